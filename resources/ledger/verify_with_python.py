#!/usr/bin/env python3
"""Verify an export of a delivery ledger without any code of Notify Studio.

    python3 -m venv v && v/bin/pip install securesystemslib cryptography rfc8785
    v/bin/python verify_with_python.py EXPORT_DIR TRUST_DIR

Checks what makes an export evidence: every envelope's DSSE signature (securesystemslib), every payload's RFC 8785
form (rfc8785), the RFC 6962 root over the leaves, the checkpoint's log signature under TRUST_DIR/policy and the key
ranges of TRUST_DIR/keys.json, sequence numbers and times, proofs/ and payloads/. It knows no witnesses (a policy with
another quorum than `none` is refused), no filtered exports and none of the rules about the story of a delivery:
`notify ledger verify` has those. Formats: docs/ledger-format.md. Exit status 0 verified, 3 not verified, 2 usage.
"""

import base64
import hashlib
import json
import pathlib
import re
import sys

import rfc8785
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
SAFE = 2**53 - 1


class Refused(Exception):
    pass


def need(condition, reason):
    if not condition:
        raise Refused(reason)


def b64(text):
    raw = base64.b64decode(text, validate=True)
    need(base64.b64encode(raw).decode() == text, f"not canonical base64: {text[:40]}")
    return raw


def strict_json(data):
    def pairs(items):
        keys = [key for key, _ in items]
        need(len(keys) == len(set(keys)), f"a key appears twice among {keys}")
        return dict(items)

    def no_float(text):
        raise Refused(f"a float: {text}")

    return json.loads(data, object_pairs_hook=pairs, parse_float=no_float, parse_constant=no_float)


def leaf_hash(data):
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """Compact range: (level, hash), largest subtree first."""

    def __init__(self, size=0, hashes=()):
        levels = [bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]
        need(len(levels) == len(hashes), "the prefix has too few or too many hashes")
        self.size, self.stack = size, list(zip(levels, hashes))

    def push(self, leaf):
        level, self.size = 0, self.size + 1
        while self.stack and self.stack[-1][0] == level:
            leaf, level = node_hash(self.stack.pop()[1], leaf), level + 1
        self.stack.append((level, leaf))

    def root(self):
        if not self.stack:
            return hashlib.sha256(b"").digest()
        root = self.stack[-1][1]
        for _, left in reversed(self.stack[:-1]):
            root = node_hash(left, root)
        return root


def inclusion_root(leaf, index, size, path):
    """RFC 9162, section 2.1.3.2."""
    need(index < size, "the proof's index is outside of the tree")
    node, last = index, size - 1
    for sibling in path:
        need(last > 0, "the proof is too long")
        if node & 1 or node == last:
            leaf = node_hash(sibling, leaf)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            leaf = node_hash(leaf, sibling)
        node, last = node >> 1, last >> 1
    need(last == 0, "the proof is too short")
    return leaf


def log_keys(trust):
    """vkeys of the policy with their ranges in keys.json."""
    keys = strict_json((trust / "keys.json").read_bytes())
    ranges = {entry["vkey"]: entry for entry in keys["log"]}
    logs, quorum = [], None
    for line in (trust / "policy").read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "log":
            logs.append(words[1])
        if words[0] == "quorum":
            quorum = words[1]
    need(quorum == "none", "this script knows no witnesses")
    return [(vkey, ranges[vkey]) for vkey in logs if vkey in ranges], keys["export"]


def ed25519(raw):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)


def open_checkpoint(note, logs):
    text, _, lines = note.decode().rpartition("\n\n")
    text += "\n"
    origin, size, root = text[:-1].split("\n")
    need(re.fullmatch("0|[1-9][0-9]*", size), "the checkpoint's size is malformed")
    size = int(size)
    for line in lines.splitlines():
        dash, name, blob = line.split(" ")
        need(dash == "—", "a signature line is malformed")
        blob = b64(blob)
        for vkey, allowed in logs:
            key_name, key_id, key = vkey.split("+", 2)
            key = b64(key)
            need(key[0] == 1, "a log key of another type than Ed25519")
            computed = hashlib.sha256(key_name.encode() + b"\n" + key).digest()[:4]
            need(computed.hex() == key_id, "a vkey's key ID is wrong")
            if name != key_name or blob[:4] != computed:
                continue
            ed25519(key[1:]).verify(blob[4:], text.encode())
            need(name == origin, "the log key has another name than the origin")
            if "revoked" not in allowed and allowed["from"] <= size - 1 <= allowed["to"]:
                return origin, size, b64(root)
    raise Refused("no trusted log key has signed the checkpoint")


def export_keys(entries):
    keys = {}
    for entry in entries:
        der = base64.b64decode("".join(entry["pem"].strip().splitlines()[1:-1]))
        need(hashlib.sha256(der).hexdigest() == entry["keyid"], "a keyid is not the key's SHA-256")
        key = SSlibKey.from_crypto(load_pem_public_key(entry["pem"].encode()), keyid=entry["keyid"])
        keys[entry["keyid"]] = key
    return keys


def commitments(value, key=""):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from commitments(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from commitments(inner, key)
    elif isinstance(value, str) and not key.endswith("Digest") and re.fullmatch("sha256:[0-9a-f]{64}", value):
        yield value[7:]


def check_line(line, seq, origin, keys, last_at):
    """Gives leaf hash, time and commitments of one line."""
    value = strict_json(line)
    if "pruned" in value:
        need(rfc8785.dumps(value) == line and set(value) == {"pruned"}, "a stub is malformed")
        need(set(value["pruned"]) == {"leafHash", "seq"} and value["pruned"]["seq"] == seq, "a stub is malformed")
        return b64(value["pruned"]["leafHash"]), last_at, (), None
    need(rfc8785.dumps(value) == line, "the envelope is not in RFC 8785 form")
    need(set(value) == {"payload", "payloadType", "signatures"}, "the envelope has other keys")
    need(value["payloadType"] == PAYLOAD_TYPE, "another payloadType")
    need(len(value["signatures"]) == 1 and set(value["signatures"][0]) == {"keyid", "sig"}, "not one signature")
    payload = b64(value["payload"])
    b64(value["signatures"][0]["sig"])
    envelope = Envelope.from_dict(json.loads(line))
    envelope.verify(list(keys.values()), 1)

    statement = strict_json(payload)
    need(rfc8785.dumps(statement) == payload, "the payload is not in RFC 8785 form")
    need(set(statement) == {"_type", "subject", "predicateType", "predicate"}, "the statement has other keys")
    need(statement["_type"] == "https://in-toto.io/Statement/v1", "another _type")
    need(statement["predicateType"] == "urn:notify-studio:ledger-entry:v1", "another predicateType")
    predicate = statement["predicate"]
    need(predicate["log"] == origin, "an entry of another log")
    need(predicate["seq"] == seq, f"sequence number {predicate['seq']} where {seq} should be")
    need((predicate["kind"] == "genesis") == (seq == 0), "genesis stands first and only there")
    at = predicate["at"]
    need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at), "`at` is malformed")
    need(at >= last_at, "`at` goes backwards")
    shown = list(commitments(predicate))
    shown += [subject["digest"]["sha256"] for subject in statement["subject"]]
    return leaf_hash(envelope.pae()), at, shown, predicate


def verify(export, trust):
    logs, export_entries = log_keys(trust)
    keys = export_keys(export_entries)
    origin, size, root = open_checkpoint((export / "checkpoint").read_bytes(), logs)
    tree = Tree()
    if (export / "prefix").exists():
        first, *hashes = (export / "prefix").read_text().splitlines()
        tree = Tree(int(first.removeprefix("first ")), [b64(text) for text in hashes])
    data = (export / "entries.jsonl").read_bytes()
    need(data.endswith(b"\n") or not data, "the last line has no line end")
    leaves, shown, stubs, prunes, last_at = {}, set(), [], [], ""
    for line in data.split(b"\n")[:-1]:
        seq = tree.size
        try:
            leaf, last_at, commits, predicate = check_line(line, seq, origin, keys, last_at)
        except Exception as fault:
            raise Refused(f"entry {seq}: {fault!r}") from fault
        if predicate is None:
            stubs.append(seq)
        elif predicate["kind"] == "prune":
            prunes.append((*predicate["range"], seq))
        tree.push(leaf)
        leaves[seq] = leaf
        shown.update(commits)
    need(tree.size == size, f"the lines end at {tree.size}, the checkpoint says {size}")
    need(tree.root() == root, "the lines lead to another root than the checkpoint's")
    for seq in stubs:
        accounted = any(low <= seq < high <= own for low, high, own in prunes)
        need(seq > 0 and accounted, f"entry {seq} is pruned and no prune entry says so")
    for path in sorted((export / "proofs").glob("*.tlog-proof")):
        head, checkpoint = path.read_bytes().split(b"\n\n", 1)
        lines = head.decode().split("\n")
        need(lines[0] == "c2sp.org/tlog-proof@v1" and lines[1] == f"index {path.stem}", f"{path.name} is malformed")
        need(open_checkpoint(checkpoint, logs) == (origin, size, root), f"{path.name} is under another head")
        index = int(path.stem)
        need(index in leaves, f"{path.name} is about no line")
        got = inclusion_root(leaves[index], index, size, [b64(line) for line in lines[2:]])
        need(got == root, f"{path.name} leads to another root")
    openings = sorted((export / "payloads").glob("*"))
    for path in openings:
        data = path.read_bytes()
        need(len(data) >= 32 and hashlib.sha256(data).hexdigest() == path.name, f"{path.name} is not its hash")
        need(path.name in shown, f"no entry commits to {path.name}")
    return f"VERIFIED {origin} size {size}: {len(leaves)} lines, {len(stubs)} pruned, {len(openings)} openings"


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(verify(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
    except Exception as fault:  # whatever goes wrong, it is not verified
        print(f"FAILED {fault!r}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
