"""Signing and verifying deliveries, with an explanation for each refusal.

Standard library only: the console, the receiver and the Partner API share this module.

Source: partner-api, "Deliveries": `X-OpenTrain-Signature: t=<unix seconds>,v1=<hex>`, where v1 is the
HMAC-SHA256 of `<t>.` + the raw body under the secret exactly as it was given, with its `whsec_`.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

TOLERANCE_S = 300
"""Allowed difference between the signature's time and ours, in seconds, in either direction."""

OTHERS_TRIED = 20
"""How many secrets of the install's other endpoints are tried at most."""
HEADER = "X-OpenTrain-Signature"
STAMP = r"[0-9]{1,12}"
"""Regular expression for a signature's time."""
DIGEST_CHARS = 64
"""Hex digits of an HMAC-SHA256."""
_HEADER = re.compile(rf"t=({STAMP}),v1=([0-9a-f]{{{DIGEST_CHARS}}})")


class Verdict(StrEnum):
    """The result of a verification; everything but VERIFIED is a refusal."""

    VERIFIED = "verified"
    MISSING = "missing"
    DOUBLED = "doubled"
    MALFORMED = "malformed"
    STALE = "stale"
    FUTURE = "future"
    OTHER_ENDPOINT = "other_endpoint"
    MISMATCH = "mismatch"


UNCHECKED = "unchecked"
"""Stored instead of a verdict where the receiver passed on what it could not check, for want of the secret."""

REPORTED = {
    "": "did not say whether the signature was right",
    Verdict.VERIFIED: "verified the signature",
    Verdict.MISSING: "found no signature",
    Verdict.DOUBLED: "found more than one signature",
    Verdict.MALFORMED: "could not read the signature",
    Verdict.STALE: "found the signature too old",
    Verdict.FUTURE: "found the signature to be from the future",
    Verdict.OTHER_ENDPOINT: "found the signature made with another endpoint's secret",
    Verdict.MISMATCH: "found that the signature does not fit",
    UNCHECKED: "had no secret to check the signature with",
}
"""What whoever checked the signature reports, in words, by verdict: a handler, or the receiver where it passed on what
is not verified. "" means no report. Other values come from newer versions."""


@dataclass(frozen=True, slots=True)
class Verification:
    """A verdict, and its explanation for people."""

    verdict: Verdict
    explanation: str

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.VERIFIED


def sign(*, secret: str, body: bytes, timestamp: int) -> str:
    """Return the signature header of one attempt. `timestamp` is in Unix seconds."""
    return f"t={timestamp},v1={_digest(secret=secret, body=body, timestamp=str(timestamp))}"


def verify(
    *, secret: str, headers: Sequence[str], body: bytes, now: int, other_secrets: Iterable[str] = ()
) -> Verification:
    """Verify one request.

    `headers` holds every value of the request's signature header, `now` is in Unix seconds. WSGI servers join repeated
    headers with a comma; these are recognized and not called malformed. `other_secrets` (of the install's other
    endpoints) are tried only after `secret` failed: an HMAC cannot tell a changed byte from an unknown secret, but it
    can tell that a known secret was used. The signature is checked before its age, so a stale one is known to be
    genuine.
    """
    if not headers:
        return Verification(Verdict.MISSING, f"The request carried no {HEADER} header.")
    count = sum(max(_stamps(header), 1) for header in headers)
    if count > 1:
        return Verification(Verdict.DOUBLED, f"The request carried {count} {HEADER} headers.")
    parts = split(headers[0])
    if parts is None:
        return Verification(
            Verdict.MALFORMED,
            f"The {HEADER} header is not of the form t=<unix seconds>,v1=<{DIGEST_CHARS} hex digits>.",
        )
    stamp, given = parts
    if not _matches(secret=secret, body=body, timestamp=stamp, given=given):
        if any(_matches(secret=other, body=body, timestamp=stamp, given=given) for other in other_secrets):
            return Verification(
                Verdict.OTHER_ENDPOINT, "The request was signed with the secret of another endpoint of this install."
            )
        return Verification(
            Verdict.MISMATCH,
            "The signature does not match: the body was changed on its way, or a secret that we do not know signed it.",
        )
    return _in_time(age_s=now - int(stamp))


def split(header: str) -> tuple[str, str] | None:
    """Return the time and the signature that a header's value holds; None where it is not of the contract's form."""
    match = _HEADER.fullmatch(header)
    return None if match is None else (match[1], match[2])


def _stamps(header: str) -> int:
    """Count the signatures in a header value. Each has one `t=`, so two mean that headers were joined."""
    return sum(part.strip().startswith("t=") for part in header.split(","))


def _in_time(*, age_s: int) -> Verification:
    if age_s > TOLERANCE_S:
        return Verification(Verdict.STALE, f"The signature is {age_s} s old; {TOLERANCE_S} s are allowed.")
    if age_s < -TOLERANCE_S:
        return Verification(Verdict.FUTURE, f"The signature is {-age_s} s in the future; {TOLERANCE_S} s are allowed.")
    return Verification(Verdict.VERIFIED, "The signature is genuine and in time.")


def _matches(*, secret: str, body: bytes, timestamp: str, given: str) -> bool:
    """Return whether the secret signed it. An empty one signs nothing: anyone has it."""
    return bool(secret) and hmac.compare_digest(_digest(secret=secret, body=body, timestamp=timestamp), given)


def _digest(*, secret: str, body: bytes, timestamp: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
