"""Publishes with the official CloudEvents SDK and prints what the service answered, one JSON document per line.

Arguments: base URL, token. Nothing here knows the service: messages are made by the SDK and sent as they are.
"""

import http.client
import json
import sys
from urllib.parse import urlsplit

from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent


def event(id, content_type, data, **extensions):
    attributes = {
        "id": id,
        "source": "/python/sdk",
        "type": "sdk.event",
        "specversion": "1.0",
        "subject": 'Euro € 😀 "100 %"',
        "time": __import__("datetime").datetime.fromisoformat("2026-11-22T06:00:00+00:00"),
        "datacontenttype": content_type,
    }
    return CloudEvent(attributes={**attributes, **extensions}, data=data)


def send(base, token, message):
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=20)
    connection.request("POST", "/api/v1/events", message.body, {**message.headers, "authorization": "Bearer " + token})
    answer = connection.getresponse()
    print(json.dumps({"status": answer.status, "body": json.loads(answer.read())}))


base, token = sys.argv[1:3]
form = JSONFormat()
data = {"image": "app", "findings": [1, 2.5, None], "text": "Ä"}
for made in (
    event("json", "application/json", data, myext="a b", traceparent="00-x"),
    event("bytes", "application/octet-stream", b"\x00\xff"),
    event("text", "text/plain", "Grüße"),
):
    send(base, token, to_structured(made, form))
    send(base, token, to_binary(made, form))
