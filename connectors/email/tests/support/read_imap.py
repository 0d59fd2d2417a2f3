"""Reads the only message of a mailbox through IMAP: read_imap.py PORT USER PASSWORD. The mailbox's owner is in the folder
name, so everybody of the test signs in as the one user that there is."""
import email, email.policy, imaplib, json, sys

port, user, password = sys.argv[1:4]
imaplib._MAXLINE = 1 << 20
box = imaplib.IMAP4("127.0.0.1", int(port))
box._encoding = "utf-8"
box.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
box.select("INBOX", readonly=True)
_, found = box.search(None, "ALL")
numbers = found[0].split()
assert len(numbers) == 1, numbers
_, data = box.fetch(numbers[0], "(BODY.PEEK[])")
message = email.message_from_bytes(data[0][1], policy=email.policy.default)
text = message.get_body(("plain",)).get_content()
attachments = [{"name": part.get_filename(), "text": part.get_payload(decode=True).decode()} for part in message.iter_attachments()]
print(json.dumps({"subject": message["subject"], "text": text, "attachments": attachments}))
box.logout()
