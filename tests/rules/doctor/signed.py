"""A delivery with a known secret, body and time, its signature, and its diagnosis."""

import hmac
import json

from dashboard.rules.doctor import Diagnosis, diagnose

SECRET = "whsec_" + "0123456789abcdef" * 2
NOW = 1_781_265_600
EVENT = {
    "id": "evt_1",
    "type": "contract.started",
    "apiVersion": "v1",
    "createdAt": "2026-06-12T12:00:00.000Z",
    "resourceId": "con_1",
    "jobId": None,
    "data": {"name": "Zoë", "note": "a/b <c>"},
}
BODY = json.dumps(EVENT, separators=(",", ":"), ensure_ascii=False).encode()


def mac(message: bytes, *, key: bytes = SECRET.encode(), hash_name: str = "sha256") -> str:
    return hmac.new(key, message, hash_name).hexdigest()


def signature(*, body: bytes = BODY, key: bytes = SECRET.encode(), at: int = NOW) -> str:
    return f"t={at},v1={mac(b'%d.' % at + body, key=key)}"


def diagnosed(header: str | None = None, *, body: bytes = BODY, secret: str = SECRET, **arguments) -> Diagnosis:
    headers = [("Content-Type", "application/json"), ("x-opentrain-signature", header or signature())]
    return diagnose(headers=headers, body=body, secret=secret, now=arguments.pop("now", NOW), **arguments)


def dumped(value=EVENT, **options) -> bytes:
    return json.dumps(value, **options).encode()
