"""What an authenticator app does (RFC 6238 with SHA-1, six digits, 30 s), written apart from what checks it."""

import base64
import hashlib
import hmac
import time

PERIOD_S = 30
TO_TYPE_S = 10
"""As somebody does who sees that the code is about to change, whoever asks for one of now gets one for so long."""


def code(secret: str, *, at: float | None = None) -> str:
    """Return the code that an app shows now, with time left to type it; or the one at a time."""
    if at is None and (left_s := PERIOD_S - time.time() % PERIOD_S) < TO_TYPE_S:
        time.sleep(left_s + 0.1)  # no longer than until the next code, and a little for clocks
    counter = int(time.time() if at is None else at) // PERIOD_S
    digest = hmac.new(base64.b32decode(secret), counter.to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def wrong(secret: str) -> str:
    """Return six digits that are not the code of now, of before, or of next."""
    near = {code(secret, at=time.time() + shift) for shift in (-PERIOD_S, 0, PERIOD_S)}
    return next(f"{number:06}" for number in range(100) if f"{number:06}" not in near)
