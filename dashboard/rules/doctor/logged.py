"""Diagnosis of a refused request from the log, which keeps everything except its body."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.rules.attempts import BODY_LIMIT_WORDS
from dashboard.rules.doctor import header
from dashboard.rules.doctor.bodies import variants
from dashboard.rules.doctor.diagnosis import Diagnosis, Kind, finding
from dashboard.rules.doctor.examine import age, diagnose, in_time
from dashboard.rules.headers import values_of
from dashboard.signatures import HEADER, TOLERANCE_S, split

SAME = "This is exactly the refused body."
_OTHER_REASONS = {
    "content_type": "Its Content-Type is not application/json.",
    "too_large": f"Its body is larger than {BODY_LIMIT_WORDS}. OpenTrain's events are smaller.",
    "cut_off": "Its body is shorter than its Content-Length: the connection was cut.",
    "no_secret": "Redeliver does not know the signing secret of this endpoint: OpenTrain's answer with it was lost.",
    "delivery_id": "Its X-OpenTrain-Delivery header is missing or not an ID: a proxy drops or rewrites it.",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused request in the log. `arrived` is in Unix seconds; `reason` is the receiver's code."""

    reason: str
    headers: Sequence[tuple[str, str]]
    arrived: int
    body_sha256: str = ""


def from_log(*, refused: Refused) -> Diagnosis:
    """Diagnose without the body, which rules out testing secrets."""
    if refused.reason in _OTHER_REASONS:
        return finding(kind=Kind.NOT_THE_SIGNATURE, words=_OTHER_REASONS[refused.reason])
    form = diagnose(headers=refused.headers, body=b"", secret="", now=refused.arrived)
    if form.kind in {Kind.MISSING, Kind.DOUBLED}:
        return form
    value = values_of(refused.headers, HEADER)[0]
    parts = split(value)
    if parts is None:
        return finding(kind=Kind.MALFORMED, words=header.malformed_words(header.read(value).faults))
    age_s = refused.arrived - int(parts[0])
    if refused.reason in {"stale", "future"}:
        return in_time(age_s=age_s)
    if refused.reason == "other_endpoint":
        words = "It was signed with the secret of another endpoint of this install."
        return finding(kind=Kind.OTHER_ENDPOINT, words=f"{words} Paste the body to see which.")
    words = (
        f"The header is well formed, and its time is {_side(age_s)}. Its signature did not match. Without the body, "
        "which is not kept, Redeliver cannot tell whether the body was changed or another secret was used."
    )
    return finding(kind=Kind.UNTESTED, words=words)


def compare(*, bodies: Sequence[bytes], sha256: str) -> str:
    """Say whether the pasted body is the refused one, by its stored hash; "" without a hash."""
    if not sha256:
        return ""
    for body in bodies:
        if hashlib.sha256(body).hexdigest() == sha256:
            return SAME
    for body in bodies:
        for variant in variants(body):
            if hashlib.sha256(variant.body).hexdigest() == sha256:
                return f"The refused body is this one {variant.how}."
    return "This is not the refused body: its SHA-256 differs. The finding is about the body that you pasted."


def _side(age_s: int) -> str:
    distance = f"{age(abs(age_s))} {'before' if age_s >= 0 else 'after'} its arrival"
    return f"right, {distance}" if abs(age_s) <= TOLERANCE_S else f"also wrong, {distance}"
