"""A mail server for the tests (aiosmtpd). What it does depends on the addresses; what it took goes to a file.

usage: smtp_server.py OUT [--tls starttls|implicit] [--cert C --key K] [--auth USER:PASSWORD] [--greet busy|cut|silent]
Prints its port. Ends with its standard input.
"""
import argparse, asyncio, base64, json, sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
import ssl

arguments = argparse.ArgumentParser()
arguments.add_argument("out")
arguments.add_argument("--tls")
arguments.add_argument("--cert")
arguments.add_argument("--key")
arguments.add_argument("--auth")
arguments.add_argument("--greet")
arguments.add_argument("--size", type=int, default=33554432)
options = arguments.parse_args()

seen = set()
sessions = {}
users = {}
RCPT = {
    "nouser": "550 5.1.1 no such user here",
    "full": "452 4.2.2 mailbox full",
    "relay": "554 5.7.1 relay access denied",
    "rate": "450 4.7.1 too many messages, slow down",
    "down": "421 4.3.2 service shutting down",
}
DATA = {
    "big": "552 5.3.4 message too big",
    "spam": "554 5.7.1 looks like spam",
    "tempdata": "451 4.3.0 queue file write error",
}


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, mail_options):
        local = address.split("@")[0]
        if local == "cutmail":
            server.transport.abort()
            return "250 OK"
        if local == "forged":
            return "553 5.7.1 sender address rejected: not owned by user"
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        local = address.split("@")[0]
        if local == "cutrcpt":
            server.transport.abort()
            return "250 OK"
        if local == "grey" and address not in seen:
            seen.add(address)
            return "451 4.7.1 Greylisting in action, come back later"
        if local in RCPT:
            return RCPT[local]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        local = envelope.rcpt_tos[0].split("@")[0]
        record(session, envelope)
        if local == "cutonce" and envelope.rcpt_tos[0] not in seen:
            seen.add(envelope.rcpt_tos[0])
            server.transport.abort()
            return "250 OK"
        if local == "cutdata":
            server.transport.abort()
            return "250 OK"
        if local == "slow":
            await asyncio.sleep(30)
        if local in DATA:
            return DATA[local]
        return "250 2.0.0 queued as 4711"


def record(session, envelope):
    sessions.setdefault(id(session), (len(sessions), session))
    content = envelope.original_content
    line = {
        "from": envelope.mail_from,
        "to": envelope.rcpt_tos,
        "data": base64.b64encode(content).decode(),
        "tls": session.ssl is not None or options.tls == "implicit",
        "user": users.get(id(session)),
        "session": sessions[id(session)][0],
    }
    with open(options.out, "a") as out:
        out.write(json.dumps(line) + "\n")


def authenticate(server, session, envelope, mechanism, data):
    user, password = options.auth.split(":", 1)
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
    users[id(session)] = data.login.decode() if good else None
    return AuthResult(success=good, handled=False, auth_data=data)


class Greeting(asyncio.Protocol):
    def connection_made(self, transport):
        if options.greet == "busy":
            transport.write(b"421 4.3.2 too busy\r\n")
            transport.close()
        elif options.greet == "cut":
            transport.abort()


context = None
if options.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)

if options.greet:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(Greeting, "127.0.0.1", 0))
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: loop.stop())
    loop.run_forever()
else:
    extra = {"data_size_limit": options.size, "enable_SMTPUTF8": True, "timeout": 60}
    if options.auth:
        extra |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": bool(options.tls)}
    if options.tls == "starttls":
        extra |= {"tls_context": context, "require_starttls": True}
    implicit = {"ssl_context": context} if options.tls == "implicit" else {}
    if implicit and options.auth:
        extra["auth_require_tls"] = False
    import socket
    probe = socket.socket(); probe.bind(("127.0.0.1", 0)); port = probe.getsockname()[1]; probe.close()
    controller = Controller(Handler(), hostname="127.0.0.1", port=port, **implicit, **extra)
    controller.start()
    print(port, flush=True)
    sys.stdin.read()
    controller.stop()
