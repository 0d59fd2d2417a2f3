"""Parses messages with Python's own parsers and says what is in them: one JSON line in, one out.

In: {"id", "eml": base64}. Out: {"id", "headers": [names], "subject", "parts": [types], "text", "html": {"tags", "attributes",
"links", "text"}, "attachments": [{name, type, text}], "longest": bytes, "defects": [...]}
"""
import base64, email, email.policy, html.parser, json, sys


class Walker(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.links, self.text, self.hidden = [], set(), [], [], 0

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attributes)
        if tag in ("style", "title"):
            self.hidden += 1
        if tag == "br":
            self.text.append(" ")
        for name, value in attributes:
            if name in ("href", "src", "action", "formaction", "background", "data"):
                self.links.append(value)

    def handle_endtag(self, tag):
        if tag in ("style", "title"):
            self.hidden -= 1

    def handle_comment(self, data):
        self.tags.append("comment")

    def handle_decl(self, data):
        self.tags.append("!" + data)

    def handle_data(self, data):
        if not self.hidden:
            self.text.append(data)


for line in sys.stdin:
    case = json.loads(line)
    raw = base64.b64decode(case["eml"])
    message = email.message_from_bytes(raw, policy=email.policy.default)
    out = {"id": case["id"], "headers": message.keys(), "subject": message["subject"], "from": str(message["from"]),
           "to": str(message["to"]), "parts": [], "attachments": [], "defects": [str(d) for d in message.defects],
           "longest": max(len(one) for one in raw.split(b"\r\n")),
           "bare": raw.replace(b"\r\n", b"").count(b"\n") + raw.replace(b"\r\n", b"").count(b"\r"),
           "eight_bit": any(byte > 127 for byte in raw)}
    for part in message.walk():
        out["parts"].append(part.get_content_type())
        out["defects"] += [str(d) for d in part.defects]
        if part.get_content_disposition() == "attachment":
            content = part.get_payload(decode=True).decode()
            out["attachments"].append({"name": part.get_filename(), "type": part.get_content_type(), "text": content})
        elif part.get_content_type() == "text/plain":
            out["text"] = part.get_content()
        elif part.get_content_type() == "text/html":
            walker = Walker()
            source = part.get_content()
            walker.feed(source)
            walker.close()
            out["html"] = {"tags": walker.tags, "attributes": sorted(walker.attributes), "links": walker.links,
                           "text": " ".join("".join(walker.text).split()), "source": source}
    print(json.dumps(out))
