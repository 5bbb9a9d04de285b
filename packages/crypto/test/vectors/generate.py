#!/usr/bin/env python3
"""Writes the frozen vectors of format v1 to standard output.

An implementation of its own, written from the design (docs: README.md of this package) on Python's
`cryptography`; it shares no line with the TypeScript. Run once:

    python3 generate.py > format-v1.json

The result is checked in and never rewritten: records that users hold depend on it. A new format gets
a new file.
"""
import base64
import hashlib
import json
import sys
import unicodedata

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HALVES = [
    (bytes(range(32)), bytes(range(32, 64))),
    (bytes(range(32, 64)), bytes(range(32))),
    (hashlib.sha256(b"half A").digest(), hashlib.sha256(b"half B").digest()),
]


def lp(value):
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def expand(key, label, names=(), length=32):
    info = label.encode() + b"".join(lp(name) for name in names)
    material = HALVES[key][0] + HALVES[key][1]
    return HKDF(hashes.SHA256(), length, salt=None, info=info).derive(material)


def hmac_sha256(key, message):
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(message)
    return mac.finalize()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def pattern(length):
    """Bytes that a test can make again: byte i is (31 i + 7) mod 256."""
    return bytes((31 * i + 7) & 0xFF for i in range(length))


def normalise(value, normalisation):
    return value if normalisation == "none" else unicodedata.normalize("NFKC", value).lower()


def token(key, collection, index, message):
    return base64url(hmac_sha256(expand(key, "vault/v1/index", (collection, index)), message)[:16])


def entries_bytes(entries):
    return b"".join(
        lp(index) + base64.urlsafe_b64decode(text + "==") for index, text in entries
    )


def seal(key, collection, record_id, header, nonce, plaintext):
    key_id = expand(key, "vault/v1/key-id", length=8)
    aad = b"vault/v1\0" + key_id + lp(header) + lp(collection) + lp(record_id)
    sealed = AESGCM(expand(key, "vault/v1/record", (collection,))).encrypt(nonce, plaintext, aad)
    return b"\x01" + key_id + lp(header) + nonce + sealed


def key_vectors():
    return [
        {"halfA": a.hex(), "halfB": b.hex(), "keyId": expand(i, "vault/v1/key-id", length=8).hex()}
        for i, (a, b) in enumerate(HALVES)
    ]


def token_vectors():
    values = [
        ("server", "host", "xen01.example.org", "text"),
        ("server", "host", "XEN01.Example.ORG", "text"),
        ("server", "host", "XEN01.Example.ORG", "none"),
        ("server", "label", "xen01.example.org", "text"),
        ("remote", "host", "xen01.example.org", "text"),
        ("user", "email", "\uff21lice@\u212bngstr\u00f6m.example", "text"),
        ("user", "email", "ali\u0301ce", "text"),
        ("user", "email", "al\u00ed" + "ce", "text"),
        ("user", "name", "\u039f\u0394\u039f\u03a3", "text"),
        ("user", "name", "", "text"),
        ("user", "name", "\U0001f511 key", "text"),
        ("token", "hash", "long " * 200, "none"),
    ]
    out = []
    for key in range(len(HALVES)):
        for collection, index, value, normalisation in values:
            normalised = normalise(value, normalisation)
            out.append(
                {
                    "key": key,
                    "collection": collection,
                    "index": index,
                    "value": value,
                    "normalisation": normalisation,
                    "normalised": normalised,
                    "token": token(key, collection, index, normalised.encode()),
                }
            )
    return out


def compound_vectors():
    out = []
    for fields in (["ab", "c"], ["a", "bc"], ["abc"], ["", ""], ["Zürich", "öl"]):
        normalised = [normalise(field, "text") for field in fields]
        joined = b"".join(lp(field) for field in normalised)
        out.append(
            {
                "key": 0,
                "collection": "server",
                "index": "byOwner",
                "fields": fields,
                "joined": joined.hex(),
                "token": token(0, "server", "byOwner", joined),
            }
        )
    return out


def index_entry_vectors():
    lists = [
        [],
        [("host", token(0, "server", "host", b"a"))],
        [("host", token(0, "server", "host", b"a")), ("byOwner", token(0, "server", "byOwner", b"b"))],
        [("x" * 64, base64url(bytes(16))), ("y", base64url(b"\xff" * 16))],
    ]
    return [
        {
            "entries": [{"index": index, "token": text} for index, text in entries],
            "bytes": entries_bytes(entries).hex(),
        }
        for entries in lists
    ]


def envelope_vectors():
    header = entries_bytes([("host", token(0, "server", "host", b"a"))])
    record = '{"host":"xen01.example.org","password":"s\u00e9same \U0001f511"}'.encode()
    cases = [
        (0, "server", "b6f9ee58-3e8c-4b0e-8c5c-6a6a3c3ed8c1", header, record),
        (0, "server", "b6f9ee58-3e8c-4b0e-8c5c-6a6a3c3ed8c1", b"", record),
        (0, "remote", "b6f9ee58-3e8c-4b0e-8c5c-6a6a3c3ed8c1", header, record),
        (1, "server", "b6f9ee58-3e8c-4b0e-8c5c-6a6a3c3ed8c1", header, record),
        (2, "user", "\u00fcml\u00e4ut \U0001f511", b"", b"{}"),
        (2, "user", "", b"", b""),
    ]
    return [
        {
            "key": key,
            "collection": collection,
            "id": record_id,
            "header": header.hex(),
            "nonce": pattern(12 + i)[i:].hex(),
            "plaintext": plaintext.hex(),
            "envelope": seal(key, collection, record_id, header, pattern(12 + i)[i:], plaintext).hex(),
        }
        for i, (key, collection, record_id, header, plaintext) in enumerate(cases)
    ]


def sized_envelope_vectors():
    """Too long to print: bytes are `pattern(length)`, the envelope is given by its SHA-256."""
    out = []
    for header_bytes, plaintext_bytes in [
        (0, 0), (0, 1), (1, 15), (15, 16), (16, 17), (65535, 0), (65534, 300), (0, 1 << 20), (65535, 1 << 20),
    ]:
        envelope = seal(0, "server", "id", pattern(header_bytes), pattern(12), pattern(plaintext_bytes))
        out.append(
            {
                "headerBytes": header_bytes,
                "plaintextBytes": plaintext_bytes,
                "envelopeBytes": len(envelope),
                "sha256": hashlib.sha256(envelope).hexdigest(),
            }
        )
    return out


def mac_vectors():
    out = []
    for purpose in ("seal", "audit", "process", "fence"):
        for parts in ([], [""], ["a"], ["a", ""], ["", "a"], ["ab", "c"], ["a", "bc"], ["a", "b", "x" * 70000]):
            data = [part.encode() for part in parts]
            message = bytes([len(data)]) + b"".join(lp(part) for part in data[:-1])
            message += data[-1] if data else b""
            mac = hmac_sha256(expand(0, "vault/v1/" + purpose), message)
            shown = [part if len(part) < 100 else {"repeat": part[0], "times": len(part)} for part in parts]
            out.append({"key": 0, "purpose": purpose, "parts": shown, "mac": mac.hex()})
    return out


json.dump(
    {
        "source": "generate.py in this folder, Python cryptography; frozen, never rewritten",
        "keys": key_vectors(),
        "tokens": token_vectors(),
        "compoundTokens": compound_vectors(),
        "indexEntries": index_entry_vectors(),
        "envelopes": envelope_vectors(),
        "sizedEnvelopes": sized_envelope_vectors(),
        "macs": mac_vectors(),
    },
    sys.stdout,
    indent=2,
)
sys.stdout.write("\n")
