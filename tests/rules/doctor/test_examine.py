"""Each reason for an invalid signature, signed by hand with hmac, and the doctor's finding."""

import base64
import hashlib
import hmac
import json
import time
import unicodedata
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.doctor import Diagnosis, Kind, NamedSecret, diagnose
from dashboard.rules.doctor.bodies import READ_BYTES, variants

SECRET = "whsec_" + "0123456789abcdef" * 2
OTHER = "whsec_" + "fedcba9876543210" * 2
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


def dumped(value=EVENT, **options) -> bytes:
    return json.dumps(value, **options).encode()


COMPACT = (",", ":")
SORTED = dumped(sort_keys=True, separators=COMPACT, ensure_ascii=False)


JAVASCRIPT, PHP = "JavaScript (JSON.parse, JSON.stringify)", "PHP (json_decode, json_encode)"
PHP_ARRAYS = "PHP (json_decode($body, true), json_encode)"
PYTHON, RUBY = "Python (json.loads, json.dumps)", "Ruby (JSON.parse, JSON.generate)"
GO, GSON, RAILS = "Go (encoding/json with a map)", "Java (Gson with a map)", "Rails (to_json)"
MANY = f"{JAVASCRIPT}, {PHP}, {PYTHON} or another JSON library"
KEYS_LOST = b'{"id":"e","type":"t","apiVersion":"v1","createdAt":"c","resourceId":"r","jobId":null,"data":{}}'


@pytest.mark.parametrize(
    ("signed", "received", "how", "writer"),
    [
        (BODY, dumped(), "written as JSON without spaces", PYTHON),
        (
            BODY,
            dumped(indent=2, ensure_ascii=False),
            "written as JSON without spaces",
            f"{JAVASCRIPT}, {PYTHON} or {RUBY}",
        ),
        (BODY, dumped(separators=COMPACT), "written as JSON without spaces", f"{PHP} or {PYTHON}"),
        (BODY, BODY.replace(b"/", b"\\/").replace(b"<", b"\\u003c"), "written as JSON without spaces", ""),
        (BODY, dumped(sort_keys=True), "written as JSON without spaces, keys in OpenTrain's order", PYTHON),
        (dumped(separators=COMPACT), BODY, "written as JSON without spaces, other characters as \\u escapes", MANY),
        (SORTED, BODY, "written as JSON without spaces, keys sorted", ""),
        (dumped(ensure_ascii=False), BODY, "written as JSON with a space after each comma and colon", MANY),
        (
            dumped(),
            BODY,
            "written as JSON with a space after each comma and colon, other characters as \\u escapes",
            MANY,
        ),
        (dumped(indent=2, ensure_ascii=False), BODY, "written as JSON indented by 2", MANY),
        (dumped(indent=4, ensure_ascii=False), BODY, "written as JSON indented by 4", MANY),
        (BODY + b"\n", dumped(), "written as JSON without spaces, with a final newline", PYTHON),
        (dumped(indent="\t", ensure_ascii=False), BODY, "written as JSON indented by tabs", MANY),
        (BODY, BODY + b"\n", "without its final newline", ""),
        (BODY, BODY + b"\r\n", "without its final newline", ""),
        (BODY + b"\n", BODY, "with a final newline", ""),
        (BODY + b"\r\n", BODY, "with a final CR LF", ""),
        (BODY, b" \n" + BODY + b"  ", "without the surrounding spaces and newlines", ""),
        (b"a\r\nb", b"a\nb", "with CR LF instead of LF as line endings", ""),
        (b"a\nb", b"a\r\nb", "with LF instead of CR LF as line endings", ""),
        (b"plain", b"\xef\xbb\xbfplain", "without its byte order mark", ""),
        (b"\xef\xbb\xbfplain", b"plain", "with a byte order mark", ""),
        ("é".encode(), "é".encode("latin-1"), "in UTF-8 instead of Latin-1", ""),
        (b"\xc3\xa9", b"\xc3\x83\xc2\xa9", "in UTF-8 that was not encoded as UTF-8 twice", ""),
        (b"plain", "plain".encode("utf-16"), "in UTF-8 instead of UTF-16", ""),
        ("a€".encode(), "a€".encode("cp1252"), "in UTF-8 instead of Windows-1252", ""),
        (
            "it\u2019s".encode(),
            "it\u2019s".encode().decode("cp1252").encode(),
            "in UTF-8 that was not read as Windows-1252 and encoded again",
            "",
        ),
        # What a language read and wrote again, with something lost
        (b'{"a":{}}', b'{"a":[]}', "with {} instead of [] in 1 place", PHP_ARRAYS),
        (b'{"a":{},"b":[],"c":{}}', b'{"a":[],"b":[],"c":[]}', "with {} instead of [] in 2 places", PHP_ARRAYS),
        (
            '{"id":"e","data":{"a":{},"b":[],"u":"https://a/b","n":"Zoë","v":250.0}}'.encode(),
            b'{"id":"e","data":{"a":[],"b":[],"u":"https:\\/\\/a\\/b","n":"Zo\\u00eb","v":250}}',
            "written as JSON without spaces, with .0 after 1 number and with {} instead of [] in 1 place",
            PHP_ARRAYS,
        ),
        (b'{"u":"a/b"}', b'{"u":"a\\/b"}', "written as JSON without spaces", PHP),
        (b'{"a":250.0,"b":1}', b'{"a":250,"b":1}', "with .0 after 1 number", f"{JAVASCRIPT}, {PHP} or {GO}"),
        (b'{"a":250.00}', b'{"a":250}', "with two decimals in 1 number", f"{JAVASCRIPT}, {PHP} or {GO}"),
        (
            b'{"a":250.00}',
            b'{"a":250.0}',
            "with two decimals in 1 number",
            f"{PYTHON}, {RUBY}, {RAILS} or another JSON library",
        ),
        (b'{"a":1250.00,"b":"x"}', b'{\n "a": 1250.00, "b": "x"}', "written as JSON without spaces", ""),
        (b'{"a":1}', b'{"a":1.0}', "without .0 in 1 number", GSON),
        (
            b'{"a":1E400}',
            b'{"a":null}',
            "with a number beyond a double's range, such as 1E400, instead of null or Infinity",
            JAVASCRIPT,
        ),
        (
            b'{"n":12345678901234567890}',
            b'{"n":12345678901234567000}',
            "with a large number as it was before it was rounded",
            f"{JAVASCRIPT} or {GO}",
        ),
        (
            b'{"n":9007199254740993,"a":{}}',
            b'{"n":9007199254740992,"a":{}}',
            "with a large number as it was before it was rounded",
            JAVASCRIPT,
        ),
        (
            b'{"b":1,"10":1,"9":2}',
            b'{"9":2,"10":1,"b":1}',
            "written as JSON without spaces, with its keys that are numbers in another order",
            JAVASCRIPT,
        ),
        (
            KEYS_LOST,
            b'{"apiVersion":"v1","createdAt":"c","data":{},"id":"e","resourceId":"r","type":"t"}',
            "written as JSON without spaces, with the jobId that was left out because it was null",
            "",
        ),
        (
            BODY,
            BODY.replace(b"<", b"\\u003c").replace(b">", b"\\u003e"),
            "written as JSON without spaces",
            f"{RAILS} or {GSON}",
        ),
        (b'{"u":"a\\/b"}', b'{"u":"a/b"}', "written as JSON without spaces, slashes as \\/", MANY),
        (
            b'{"u":"a\\u003cb"}',
            b'{"u":"a<b"}',
            "written as JSON without spaces, <, > and & as \\u escapes",
            f"{JAVASCRIPT}, {PHP}, {PYTHON} or another JSON library",
        ),
    ],
)  # fmt: skip
def test_a_changed_body_is_told_how_it_was_signed(signed: bytes, received: bytes, how: str, writer: str) -> None:
    found = diagnosed(signature(body=signed), body=received)
    by = f" {writer} makes exactly this of the signed body." if writer else ""
    assert (found.kind, found.words) == (
        Kind.BODY_CHANGED,
        f"The body is not the signed one. The signature matches this body {how}.{by}",
    )
    assert "express.raw" in found.code


LOGGED = 'with the escapes of a log undone (\\" and \\n)'
TEXT = BODY.decode()


@pytest.mark.parametrize(
    ("received", "how"),
    [
        (json.dumps(TEXT), "as the content of this JSON string"),
        (json.dumps(json.dumps(TEXT)), "as the content of this JSON string, then as the content of this JSON string"),
        (TEXT.replace('"', '\\"'), LOGGED),
        (repr(TEXT), "as the content of this Python string"),
        (repr(BODY), "as the content of this Python string"),
        (repr(EVENT), "as the JSON of this printed dictionary, then written as JSON without spaces"),
        (
            TEXT.replace('":', '"=>').replace("null", "nil"),
            "as the JSON of this printed dictionary",
        ),
        (TEXT.replace('"', "&quot;"), "with its HTML entities (&quot;) decoded"),
        (quote_plus(TEXT), "as the content of this form field"),
        (f"payload={quote_plus(TEXT)}", "as the content of this form field"),
        (f"{TEXT}=", "as the content of this form field"),
        (base64.b64encode(BODY).decode(), "decoded from base64"),
        (f'"{TEXT.replace(chr(34), chr(34) * 2)}"', "with the doubled quotation marks of a CSV file undone"),
        (TEXT.replace('"name"', "\u201cname\u201d"), "with plain instead of curly quotation marks"),
        (TEXT.replace("con_1", "con\u200b_1"), "without its invisible characters"),
        (f"{TEXT[:60]}\r\n  {TEXT[60:]}", "without its line breaks"),
        (TEXT.replace("<c>", "\n<c>").replace(" \n", "\n"), "with spaces instead of its line breaks"),
        (f"INFO body={TEXT} status=401", "without the text before and after its braces"),
        (
            'INFO body="' + TEXT.replace('"', '\\"') + '"',
            f"without the text before and after its braces, then {LOGGED}",
        ),
        (unicodedata.normalize("NFD", TEXT), "with composed characters (Unicode NFC)"),
    ],
)  # fmt: skip
def test_an_escaped_or_wrapped_body_is_told_how_to_undo_it(received: str, how: str) -> None:
    found = diagnosed(signature(), body=received.encode())
    assert (found.kind, found.genuine, found.words) == (
        Kind.BODY_ESCAPED,
        False,
        f"The body is not the signed one. The signature matches this body {how}.",
    )
    assert "so the request itself may be correct" in found.advice


def test_doubled_backslashes_are_told() -> None:
    signed = b'{"a":"x\\u00eb"}'
    found = diagnosed(signature(body=signed), body=signed.replace(b"\\", b"\\\\"))
    assert found.words.endswith("matches this body with single instead of doubled backslashes.")


@pytest.mark.parametrize(
    ("received", "sign"),
    [
        (b'{"u":"a\\/b"}', "It has slashes as \\/, as PHP's json_encode writes them."),
        ('{"u":"Zo\ufffd"}'.encode(), "It contains U+FFFD"),
        (b'{"n":12345678901234567000}', "It has a large number that ends in zeros, as JavaScript rounds it."),
    ],
)
def test_what_is_only_likely_is_called_that(received: bytes, sign: str) -> None:
    found = diagnosed(signature(key=b"nobody"), body=received)
    assert found.kind is Kind.WRONG_SECRET
    assert sign in found.words
    assert found.words.endswith("may have been rewritten, but what was signed cannot be created again from it.")


def test_a_body_that_may_be_spelled_in_two_ways_is_genuine_in_either() -> None:
    assert diagnosed(signature(body=b"a\r\nb"), body=b"a\nb", also_as=[b"a\r\nb"]).kind is Kind.GENUINE


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


def test_an_empty_body_is_told_to_be_lost() -> None:
    found = diagnosed(body=b"")
    assert (found.kind, found.words) == (
        Kind.WRONG_SECRET,
        "The signature does not match an empty body: either the body was lost, or another secret signed it.",
    )


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 900 + b"]" * 900,
        b'{"a":' * 900 + b"[1" + b",1" * 20_000 + b"]" + b"}" * 900,
        b"[" + b"9" * 5000 + b"]",
        b'"\\ud800"',
        b"[" + b"[]," * ((READ_BYTES - 4) // 3) + b"[]]",
        b'"' + b"\xc3\xa9" * ((READ_BYTES - 2) // 2) + b'"',
        b"a" * (READ_BYTES + 1),
    ],
    ids=["unclosed", "deep", "deep and wide", "long number", "half a surrogate", "wide", "long", "too long"],
)
def test_the_work_on_a_hostile_body_is_bounded(body: bytes) -> None:
    started = time.process_time()
    assert diagnosed(signature(key=b"nobody"), body=body).kind is Kind.WRONG_SECRET
    assert time.process_time() - started < 5
    assert sum(1 for _ in variants(body)) <= 80


@pytest.mark.parametrize("body", [b"[" * 201 + b"]" * 201, b"[ " + b"9" * 641 + b"]"], ids=["deep", "long number"])
def test_json_beyond_our_limits_is_not_written_anew(body: bytes) -> None:
    assert not [variant.how for variant in variants(body) if "JSON" in variant.how]


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
    assert diagnosed(signature(body=body, key=key), body=body, secret=secret).kind is Kind.GENUINE
    assert isinstance(diagnosed(signature(body=body, key=b"nobody"), body=body, secret=secret).kind, Kind)
