"""An authenticator app (RFC 6238 with SHA-1, six digits, 30 s), independent of the code that checks its codes."""

import base64
import hashlib
import hmac
import time

PERIOD_S = 30
TO_TYPE_S = 10
"""Seconds that a code must still be valid for, to leave time to type it; otherwise `code` waits for the next one."""


def code(secret: str, *, at: float | None = None) -> str:
    """Return the app's current code, with time left to type it; or the code at a given time."""
    if at is None and (left_s := PERIOD_S - time.time() % PERIOD_S) < TO_TYPE_S:
        time.sleep(left_s + 0.1)  # until the next code, plus a margin for clock differences
    counter = int(time.time() if at is None else at) // PERIOD_S
    digest = hmac.new(base64.b32decode(secret), counter.to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def wrong(secret: str) -> str:
    """Return six digits that are not the previous, current or next code."""
    near = {code(secret, at=time.time() + shift) for shift in (-PERIOD_S, 0, PERIOD_S)}
    return next(f"{number:06}" for number in range(100) if f"{number:06}" not in near)
