"""Verifies DKIM signatures with dkimpy. In: one JSON line {"eml": base64, "records": {name: text}}; out: true or false."""
import base64, json, sys

import dkim

for line in sys.stdin:
    case = json.loads(line)
    records = {name.encode() + b".": text.encode() for name, text in case["records"].items()}
    raw = base64.b64decode(case["eml"])
    try:
        good = dkim.verify(raw, dnsfunc=lambda name, timeout=5: records.get(name if isinstance(name, bytes) else name.encode()))
    except dkim.DKIMException as error:
        print(f"{error}", file=sys.stderr)
        good = False
    print(json.dumps(bool(good)))
