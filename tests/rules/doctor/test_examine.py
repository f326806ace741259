"""Each reason for an invalid signature, signed by hand with hmac, and the doctor's finding."""

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.doctor import Kind, NamedSecret, diagnose
from tests.rules.doctor.signed import BODY, EVENT, NOW, SECRET, diagnosed, mac, signature

OTHER = "whsec_" + "fedcba9876543210" * 2


def test_a_known_answer_is_genuine() -> None:
    """The digest is from: printf '1781265600.{}' | openssl dgst -sha256 -hmac <secret>."""
    found = diagnosed("t=1781265600,v1=f0a1493680281714b39638a02aada843e03a48f250a5608695159d923450d2af", body=b"{}")
    assert (found.kind, found.words) == (Kind.GENUINE, "The signature is genuine and in time.")


def test_no_header_is_said_to_be_missing() -> None:
    found = diagnose(headers=[("X-Signature", "x")], body=BODY, secret=SECRET, now=NOW)
    assert (found.kind, found.words) == (Kind.MISSING, "The request has no X-OpenTrain-Signature header.")
    assert "Forward X-OpenTrain-Signature" in found.advice


@pytest.mark.parametrize("values", [[signature(), signature()], [f"{signature()}, {signature()}"]])
def test_two_headers_are_said_to_be_doubled(values) -> None:
    headers = [("X-OpenTrain-Signature", value) for value in values]
    assert diagnose(headers=headers, body=BODY, secret=SECRET, now=NOW).kind is Kind.DOUBLED


GENUINE = "Otherwise it is genuine: this endpoint's secret signed this body."
DIGEST = signature().partition("v1=")[2]


@pytest.mark.parametrize(
    ("header", "fault", "genuine"),
    [
        (" ", "It is empty.", False),
        (f"sha256={DIGEST}", "It begins with sha256=, the format of other services, and has no time (t=).", False),
        ("v1,AAAA", "It has the format v1,<base64> of other services, and no time (t=).", False),
        (f"v1={DIGEST}", "The time (t=) is missing.", False),
        (f"t=,v1={DIGEST}", "The time (t=) is empty.", False),
        (f"t=today,v1={DIGEST}", "The time (t=) is not a number of seconds.", False),
        (f"t={NOW}000,v1={DIGEST}", "The time (t=) is in milliseconds instead of seconds.", False),
        (f"t={NOW}", "The signature (v1=) is missing.", False),
        (f"t={NOW},v1=", "The signature (v1=) is empty.", False),
        (f"t={NOW},v1={DIGEST[:40]}", "has 40 hex digits, like SHA-1, instead of 64 (SHA-256).", False),
        (f"t={NOW},v1={DIGEST[:63]}", "The signature (v1=) has 63 hex digits, instead of 64 (SHA-256).", False),
        (f"t={NOW},v1=no!hex", "The signature (v1=) contains characters other than hex digits.", False),
        (f"t={NOW},v1={DIGEST.upper()}", "The signature (v1=) is in upper case instead of lower case.", True),
        (f"t={NOW}, v1={DIGEST}", "It contains spaces.", True),
        (f'"t={NOW},v1={DIGEST}"', "It is in quotation marks.", True),
        (f"t={NOW} v1={DIGEST}", "A space instead of a comma separates its parts.", True),
        (f"t={NOW},v1={DIGEST},", "It ends with a comma or semicolon.", True),
        (f"t={NOW};v1={DIGEST}", "A semicolon instead of a comma separates its parts.", True),
        (f"v1={DIGEST},t={NOW}", "v1 comes before t.", True),
        (f"t={NOW},v1={DIGEST},v0=00", "It has more parts than t and v1.", True),
        (
            f"t={NOW},v1={base64.b64encode(bytes.fromhex(DIGEST)).decode()}",
            "The signature (v1=) is base64 instead of hex.",
            True,
        ),
    ],
)  # fmt: skip
def test_a_malformed_header_is_told_what_exactly_is_wrong(header: str, fault: str, genuine: bool) -> None:
    found = diagnosed(header)
    assert found.kind is Kind.MALFORMED
    assert fault in found.words
    assert (GENUINE in found.words) is genuine


def test_a_malformed_header_that_fits_nothing_is_not_called_genuine() -> None:
    found = diagnosed(f"t={NOW}, v1={DIGEST}", body=b"{}")
    assert found.words.endswith("it does not match this body and secret.")


@pytest.mark.parametrize(
    ("age_s", "kind", "words"),
    [
        (300, Kind.GENUINE, "The signature is genuine and in time."),
        (301, Kind.STALE, "The signature is genuine, but was 301 s (5 min) old when it arrived; 300 s are allowed."),
        (-301, Kind.FUTURE, "The signature is genuine, but its time is 301 s (5 min) ahead; 300 s are allowed."),
        (
            90_000,
            Kind.STALE,
            "The signature is genuine, but was 90000 s (25 h) old when it arrived; 300 s are allowed.",
        ),
    ],
)
def test_a_genuine_signature_out_of_time_is_told_by_how_much(age_s: int, kind: Kind, words: str) -> None:
    found = diagnosed(now=NOW + age_s)
    assert (found.kind, found.words, found.genuine) == (kind, words, True)


def test_a_wrong_signature_out_of_time_is_told_both() -> None:
    found = diagnosed(signature(key=b"nobody"), now=NOW + 600)
    assert (found.kind, found.genuine) == (Kind.WRONG_SECRET, False)
    assert "Its time is also 600 s (10 min) old when it arrived; 300 s are allowed." in found.words


def test_another_endpoints_secret_is_named() -> None:
    others = [NamedSecret("the first", "whsec_" + "b" * 32), NamedSecret("the second", OTHER)]
    found = diagnosed(signature(key=OTHER.encode()), other_secrets=others)
    assert (found.kind, found.words) == (
        Kind.OTHER_ENDPOINT,
        "It was signed with the secret of another endpoint of this install: the second.",
    )


def test_another_endpoints_secret_and_a_changed_body_are_told_together() -> None:
    spaced = json.dumps(EVENT).encode()
    found = diagnosed(signature(key=OTHER.encode()), body=spaced, other_secrets=[NamedSecret("the other", OTHER)])
    assert found.kind is Kind.BODY_CHANGED
    assert found.words.endswith("also signed with the secret of another endpoint of this install: the other.")


@pytest.mark.parametrize(
    ("key", "secret", "how"),
    [
        (SECRET[6:].encode(), SECRET, "without its whsec_"),
        (SECRET.encode(), SECRET[6:], "with its prefix whsec_"),
        (SECRET.encode(), f"  {SECRET}\n", "without the surrounding spaces or quotation marks"),
        (SECRET.encode() + b"\n", SECRET, "with a final newline"),
        (SECRET.encode() + b"\r\n", SECRET, "with CR LF at its end"),
        (f'"{SECRET}"'.encode(), SECRET, "in quotation marks"),
        (base64.b64decode(SECRET[6:]), SECRET, "decoded from base64"),
        (SECRET.encode(), f"\u200b\u201c{SECRET}\u201d\u00a0", "without the characters that copying adds"),
        (SECRET.encode(), f'["{SECRET}"]', "without the characters that copying adds"),
        (SECRET.encode(), f"OPENTRAIN_SECRET={SECRET}", "without the text before whsec_"),
        (bytes.fromhex(SECRET[6:]), SECRET, "decoded from hex"),
    ],
)
def test_a_secret_in_another_form_is_told_which(key: bytes, secret: str, how: str) -> None:
    found = diagnosed(signature(key=key), secret=secret)
    assert (found.kind, found.words) == (Kind.SECRET_FORM, f"It matches if the secret is used {how}.")


STAMP = b"%d" % NOW


@pytest.mark.parametrize(
    ("message", "how"),
    [
        (BODY, "without the timestamp: over the body alone"),
        (STAMP + BODY, "with nothing between timestamp and body"),
        (STAMP + b":" + BODY, "with a colon instead of a dot between timestamp and body"),
        (STAMP + b"\n" + BODY, "with a newline instead of a dot between timestamp and body"),
        (BODY + b"." + STAMP, "with the timestamp after the body"),
        (b"t=" + STAMP + b"." + BODY, "with t= before the timestamp"),
        (STAMP + b"000." + BODY, "with the timestamp in milliseconds"),
        (b"dlv_1." + STAMP + b"." + BODY, "with the delivery ID before the timestamp"),
        (STAMP + b"." + hashlib.sha256(BODY).hexdigest().encode(), "over the SHA-256 of the body"),
    ],
)
def test_a_signature_over_something_else_is_told_over_what(message: bytes, how: str) -> None:
    found = diagnosed(f"t={NOW},v1={mac(message)}", delivery_id="dlv_1")
    assert (found.kind, found.words) == (Kind.SIGNED_OTHERWISE, f"It was signed {how}.")


def test_a_plain_hash_is_told_from_an_hmac() -> None:
    digest = hashlib.sha256(SECRET.encode() + STAMP + b"." + BODY).hexdigest()
    found = diagnosed(f"t={NOW},v1={digest}")
    assert (found.kind, found.words) == (Kind.SIGNED_OTHERWISE, "It is a plain SHA-256, not an HMAC.")


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([], "This secret did not make this signature, and no common change of the body explains it."),
        (
            [NamedSecret("the other", OTHER)],
            ("Neither this secret nor that of 1 other endpoint made this signature, "
            "and no common change of the body explains it."),
        ),
    ],
)  # fmt: skip
def test_a_secret_that_nobody_knows_is_what_is_left(others, words: str) -> None:
    found = diagnosed(signature(key=b"nobody knows"), other_secrets=others)
    assert (found.kind, found.words) == (Kind.WRONG_SECRET, words)


HEADER_TEXT = st.one_of(
    st.text(max_size=200),
    st.builds("t={},v1={}".format, st.integers(0, 10**14), st.text("0123456789abcdefABCDEF=/+ ", max_size=130)),
    st.just(signature(key=b"nobody")),
)


@given(values=st.lists(HEADER_TEXT, max_size=3), body=st.binary(max_size=300), now=st.integers(0, 10**11))
def test_whatever_comes_is_diagnosed_and_no_secret_is_given_away(values: list[str], body: bytes, now: int) -> None:
    headers = [("X-OpenTrain-Signature", value) for value in [*values, *([SECRET] if now % 2 else [])]]
    found = diagnose(
        headers=headers, body=body + SECRET.encode(), secret=SECRET, now=now, other_secrets=[NamedSecret("it", OTHER)]
    )
    said = repr(found)
    assert isinstance(found.kind, Kind)
    assert [secret in said for secret in (SECRET, SECRET[6:], OTHER, OTHER[6:])] == [False] * 4


@given(secret=st.text(max_size=50), body=st.binary(max_size=100))
def test_any_secret_is_tried_and_none_is_an_error(secret: str, body: bytes) -> None:
    key = secret.encode(errors="replace")
    found = diagnosed(signature(body=body, key=key), body=body, secret=secret)
    assert (found.kind is Kind.GENUINE) is bool(secret)  # anyone could sign with an empty one
    assert isinstance(diagnosed(signature(body=body, key=b"nobody"), body=body, secret=secret).kind, Kind)
