"""Diagnosis of a body that was rewritten, escaped, wrapped, lost or made to be costly."""

import base64
import json
import time
import unicodedata
from urllib.parse import quote_plus

import pytest

from dashboard.rules.doctor import Kind
from dashboard.rules.doctor.bodies import READ_BYTES, variants
from tests.rules.doctor.signed import BODY, EVENT, diagnosed, dumped, signature

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
