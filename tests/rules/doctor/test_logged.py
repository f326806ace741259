"""Findings about a refused request without its body."""

import hashlib

import pytest

from dashboard.rules.doctor import Kind, Refused, compare, from_log

AT = 1_781_265_600
HEADER = f"t={AT},v1={'a' * 64}"


def refused(reason: str, *values: str, arrived: int = AT) -> Refused:
    return Refused(reason=reason, headers=[("X-OpenTrain-Signature", value) for value in values], arrived=arrived)


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        (refused("missing"), Kind.MISSING, "The request has no X-OpenTrain-Signature header."),
        (refused("doubled", HEADER, HEADER), Kind.DOUBLED, "more than one X-OpenTrain-Signature header."),
        (refused("malformed", HEADER.upper()), Kind.MALFORMED, "in upper case"),
        (refused("stale", HEADER, arrived=AT + 900), Kind.STALE, "was 900 s (15 min) old when it arrived"),
        (refused("future", HEADER, arrived=AT - 400), Kind.FUTURE, "its time is 400 s (6 min) ahead"),
        (refused("other_endpoint", HEADER), Kind.OTHER_ENDPOINT, "Paste the body to see which."),
        (refused("mismatch", HEADER, arrived=AT + 2), Kind.UNTESTED, "its time is right, 2 s before its arrival."),
        (refused("mismatch", HEADER, arrived=AT - 2), Kind.UNTESTED, "its time is right, 2 s after its arrival."),
        (
            refused("mismatch", HEADER, arrived=AT + 900),
            Kind.UNTESTED,
            "its time is also wrong, 900 s (15 min) before",
        ),
        (refused("a reason of tomorrow", HEADER), Kind.UNTESTED, "Without the body, which is not kept"),
        (refused("content_type", HEADER), Kind.NOT_THE_SIGNATURE, "Its Content-Type is not application/json."),
        (refused("too_large"), Kind.NOT_THE_SIGNATURE, "Its body is larger than 1 MiB"),
        (refused("cut_off"), Kind.NOT_THE_SIGNATURE, "Its body is shorter than its Content-Length"),
        (refused("delivery_id", HEADER), Kind.NOT_THE_SIGNATURE, "Its X-OpenTrain-Delivery header is missing"),
    ],
    ids=lambda value: value.reason if isinstance(value, Refused) else "",
)
def test_from_log_says_what_the_headers_tell(row: Refused, kind: Kind, words: str) -> None:
    found = from_log(refused=row)
    assert found.kind is kind
    assert words in found.words


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (b'{"a":1}', "This is exactly the refused body."),
        (b'{"a":1}\n', "The refused body is this one with a final newline."),
        (b'{"a": 1}', "The refused body is this one written as JSON with a space after each comma and colon."),
        (
            b"else",
            "This is not the refused body: its SHA-256 differs. The finding is about the body that you pasted.",
        ),
    ],
)  # fmt: skip
def test_compare_knows_the_body_by_its_hash(kept: bytes, words: str) -> None:
    assert compare(bodies=[b'{"a":1}'], sha256=hashlib.sha256(kept).hexdigest()) == words


def test_compare_without_a_hash_says_nothing() -> None:
    assert compare(bodies=[b"{}"], sha256="") == ""
