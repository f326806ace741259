"""Answers that OpenTrain never gives: HTML, empty, truncated, oversized, of the wrong shape."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import brotli
import pytest

from dashboard.rules import json_limits
from dashboard.rules.installs import UnreadEntry
from dashboard.services import opentrain
from dashboard.services.opentrain import BadResponse, Forbidden, OutcomeUnknown
from tests.services import misbehaving as bad
from tests.services.misbehaving import Behaviour
from tests.services.opentrain_samples import (
    ENDPOINT,
    INSTALL,
    LOOK_AT_ENDPOINT,
    QUICK,
    READ,
    REQUEST_ID,
    SOMETHING_BETWEEN,
    TOKEN,
    fails,
    get,
    ok,
    write,
)

NOT_FOLLOWED = "it is a redirect, which is not followed"
WITH_ID = f"X-Request-Id: {REQUEST_ID}"


def sent(body: bytes, *, status: int = 200, headers: tuple[str, ...] = ()) -> Behaviour:
    return bad.answer(status, body, headers=[WITH_ID, *headers])


UNUSABLE: dict[str, tuple[Behaviour, int | None, str]] = {
    "HTML": (sent(b"\n<!doctype html><title>Hi</title>"), 200, "it is HTML, not JSON"),
    "empty": (sent(b""), 200, "it is empty"),
    "blank": (sent(b" \n"), 200, "it is empty"),
    "byte order mark alone": (sent(b"\xef\xbb\xbf"), 200, "it is empty"),
    "HTML after a byte order mark": (sent(b"\xef\xbb\xbf<html>"), 200, "it is HTML, not JSON"),
    "two byte order marks": (sent(b'\xef\xbb\xbf\xef\xbb\xbf{"a": 1}'), 200, "it is not valid JSON"),
    "no content": (bad.raw(bad.head(204, WITH_ID)), 204, "it is empty"),
    "cut JSON": (sent(b'{"webhookEndpoint": {"id": "wh'), 200, "it is not valid JSON"),
    "text": (sent(b"upstream connect error"), 200, "it is not valid JSON"),
    "array": (sent(b"[]"), 200, "it is not a JSON object"),
    "null": (sent(b"null"), 200, "it is not a JSON object"),
    "NaN": (sent(b'{"a": NaN}'), 200, "it is not valid JSON"),
    "invalid UTF-8": (sent(b'{"a": "\xff\xfe"}'), 200, "it is not valid UTF-8"),
    "UTF-16": (sent('{"a": 1}'.encode("utf-16")), 200, "it is not valid UTF-8"),
    "deep JSON": (sent(b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}"), 200, "it is not valid JSON"),
    "JSON below our depth": (
        sent(b'{"a":' + b"[" * json_limits.DEPTH + b"]" * json_limits.DEPTH + b"}"),
        200,
        "it is not valid JSON",
    ),
    "number beyond our digits": (
        sent(b'{"a": ' + b"9" * (json_limits.DIGITS + 1) + b"}"),
        200,
        "it is not valid JSON",
    ),
    "huge number": (sent(b'{"a": ' + b"9" * 10_000 + b"}"), 200, "it is not valid JSON"),
    "error as 200": (sent(b'{"error": "No.", "code": "FORBIDDEN"}'), 200, "it lacks the field webhookEndpoint"),
    "redirect": (sent(b"", status=301, headers=("Location: /",)), 301, NOT_FOLLOWED),
    "redirect 307": (sent(b"{}", status=307, headers=("Location: /",)), 307, NOT_FOLLOWED),
    "compressed": (
        sent(gzip.compress(b"0" * 10_000_000), headers=("Content-Encoding: gzip",)),
        200,
        "it is compressed, which was not requested",
    ),
    "compressed with Brotli": (
        sent(brotli.compress(b"0" * 10_000_000, quality=1), headers=("Content-Encoding: br",)),
        200,
        "it is compressed, which was not requested",
    ),
    "length cut": (bad.raw(bad.head(200, "Content-Length: 99", WITH_ID) + b'{"a": 1'), 200, "it was cut off"),
    "chunks cut": (
        bad.raw(bad.head(200, "Transfer-Encoding: chunked", WITH_ID) + bad.chunked(b"{", end=b"9\r\n")),
        200,
        "it was cut off",
    ),
    "reset within": (bad.reset_within(bad.head(200, "Content-Length: 99", WITH_ID) + b"{"), 200, "it was cut off"),
    "oversized": (sent(b" " * (QUICK.max_bytes + 1)), 200, "it is too large"),
    "oversized without length": (bad.endless(bad.head(200, WITH_ID), b" " * 5000), 200, "it is too large"),
}  # fmt: skip


@pytest.mark.parametrize(("behaviour", "status", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_read_with_an_unusable_answer_is_a_bad_response(
    serve: Any,
    behaviour: Behaviour,
    status: int,
    why: str,
) -> None:
    with serve(behaviour) as server:
        error = fails(get, BadResponse)
    where = f"(status {status}, request {REQUEST_ID})"
    assert str(error) == f"OpenTrain's answer cannot be used: {why} {where}. {SOMETHING_BETWEEN}"
    assert (error.status, error.request_id) == (status, REQUEST_ID)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("behaviour", "status", "why"), UNUSABLE.values(), ids=UNUSABLE)
def test_write_with_an_unusable_answer_is_of_unknown_outcome(
    serve: Any,
    behaviour: Behaviour,
    status: int,
    why: str,
) -> None:
    with serve(behaviour) as server:
        error = fails(write, OutcomeUnknown)
    where = f"(status {status}, request {REQUEST_ID})"
    assert str(error) == (
        f"OpenTrain's answer cannot be used: {why} {where}. The request may have been taken. {LOOK_AT_ENDPOINT}"
    )
    assert (error.status, error.request_id) == (status, REQUEST_ID)
    assert len(server.requests) == 1


def test_what_is_not_http_is_a_bad_response_without_a_status(serve: Any) -> None:
    with serve(bad.raw(b"SSH-2.0-OpenSSH_9.2\r\n")) as server:
        error = fails(get, BadResponse)
    assert str(error) == f"OpenTrain's answer cannot be used: it is not HTTP (no status). {SOMETHING_BETWEEN}"
    assert (error.status, error.request_id, len(server.requests)) == (None, None, 1)


@pytest.mark.parametrize("call", [get, write])
@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (401, b"<html>Sign in</html>", "it is HTML, not JSON"),
        (403, b"", "it is empty"),
        (404, b'{"message": "No such route"}', "it lacks the field code"),
        (404, b'{"code": 7, "error": "No."}', "its field code is not a text"),
        (400, b'{"code": "BAD_REQUEST", "error": null}', "its field error is not a text"),
    ],
)
def test_4xx_without_the_envelope_is_a_bad_response_for_a_write_too(
    *,
    serve: Any,
    call: Any,
    status: int,
    body: bytes,
    why: str,
) -> None:
    with serve(bad.answer(status, body)) as server:
        error = fails(call, BadResponse)
    unchanged = "" if call is get else " Nothing was changed."
    assert str(error) == f"OpenTrain's answer cannot be used: {why} (status {status}).{unchanged} {SOMETHING_BETWEEN}"
    assert (error.status, len(server.requests)) == (status, 1)


def why_of(serve: Any, call: Callable[[], object], answer: object) -> str:
    """Return the error message for a read's answer."""
    with serve(ok(answer)):
        error = fails(call, BadResponse)
    found = str(error).removeprefix("OpenTrain's answer cannot be used: ")
    return found.split(" (status 200", 1)[0]


@pytest.mark.parametrize("name", ENDPOINT)
def test_endpoint_with_a_missing_field_names_it(serve: Any, name: str) -> None:
    item = {key: value for key, value in ENDPOINT.items() if key != name}
    assert why_of(serve, get, {"webhookEndpoint": item}) == f"it lacks the field webhookEndpoint.{name}"


WRONG: list[tuple[str, Any, str]] = [
    ("id", 7, "is not a text"),
    ("id", None, "is not a text"),
    ("id", "", "is not a usable ID"),
    ("id", "x" * 201, "is not a usable ID"),
    ("id", "a\nb", "is not a usable ID"),
    ("id", "ä", "is not a usable ID"),
    ("url", None, "is not a text"),
    ("eventTypes", "contract.ended", "is not a list"),
    ("eventTypes", {"a": 1}, "is not a list"),
    ("eventTypes", ["e"] * 1001, "has more than 1,000 items"),
    ("status", True, "is not a text"),
    ("createdAt", None, "is not a time"),
    ("createdAt", 1781258400, "is not a time"),
    ("createdAt", "yesterday", "is not a plausible time with its zone"),
    ("createdAt", "2026-06-12T10:00:00", "is not a plausible time with its zone"),
    ("createdAt", "0001-01-01T00:00:00+14:00", "is not a plausible time with its zone"),
    ("createdAt", "0001-01-01T00:00:00Z", "is not a plausible time with its zone"),
    ("disabledAt", "9999-12-31T23:59:59.999Z", "is not a plausible time with its zone"),
    ("consecutiveFailures", True, "is not a count"),
    ("consecutiveFailures", "0", "is not a whole number"),
    ("consecutiveFailures", 1.5, "is not a whole number"),
    ("consecutiveFailures", -1, "is not a count"),
    ("consecutiveFailures", 2**31, "is not a count"),
    ("consecutiveFailures", 10**400, "is not a count"),
    ("consecutiveFailures", None, "is not a whole number"),
    ("disabledAt", False, "is not a time"),
    ("disabledAt", "", "is not a plausible time with its zone"),
    ("disabledReason", ["a"], "is not a text"),
]


@pytest.mark.parametrize(("name", "value", "wrong"), WRONG)
def test_endpoint_with_a_wrong_type_names_the_field(serve: Any, name: str, value: Any, wrong: str) -> None:
    why = why_of(serve, get, {"webhookEndpoint": ENDPOINT | {name: value}})
    assert why == f"its field webhookEndpoint.{name} {wrong}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({}, "it lacks the field webhookEndpoints"),
        ({"webhookEndpoints": {}}, "its field webhookEndpoints is not a list"),
        ({"webhookEndpoints": None}, "its field webhookEndpoints is not a list"),
    ],
)
def test_list_of_the_wrong_shape_names_the_place(serve: Any, answer: Any, why: str) -> None:
    assert why_of(serve, lambda: opentrain.list_endpoints(token=TOKEN), answer) == why


UNREAD: list[tuple[Any, str | None, str]] = [
    (None, None, "it is not an object"),
    ([ENDPOINT], None, "it is not an object"),
    ({}, None, "it lacks the field id"),
    (ENDPOINT | {"id": 7}, None, "its field id is not a text"),
    (ENDPOINT | {"id": "x" * 201}, None, "its field id is not a usable ID"),
    (ENDPOINT | {"url": None}, "whe_1", "its field url is not a text"),
    (ENDPOINT | {"eventTypes": {}}, "whe_1", "its field eventTypes is not a list"),
    (
        ENDPOINT | {"disabledAt": "9999-12-31T23:59:59Z"},
        "whe_1",
        "its field disabledAt is not a plausible time with its zone",
    ),
    (ENDPOINT | {"consecutiveFailures": 2**31}, "whe_1", "its field consecutiveFailures is not a count"),
]


@pytest.mark.parametrize(("entry", "known_as", "why"), UNREAD)
def test_entry_of_a_list_that_cannot_be_read_is_named_beside_the_others(
    serve: Any, entry: Any, known_as: str | None, why: str
) -> None:
    others = [ENDPOINT | {"id": "whe_2"}, ENDPOINT | {"id": "whe_3"}]
    with serve(ok({"webhookEndpoints": [others[0], entry, others[1]]})):
        found = opentrain.list_endpoints(token=TOKEN)
    assert [one.id for one in found[:2]] == ["whe_2", "whe_3"]
    assert found[2:] == (UnreadEntry(position=2, id=known_as, why=why),)


def without(value: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Return a copy without the field at this path."""
    first, *rest = path
    return {key: without(item, rest) if key == first else item for key, item in value.items() if rest or key != first}


@pytest.mark.parametrize(
    "path",
    [
        "install",
        *(f"install.{name}" for name in INSTALL),
        *(f"install.partnerApp.{name}" for name in INSTALL["partnerApp"]),
        *(f"install.token.{name}" for name in INSTALL["token"]),
    ],
)
def test_install_with_a_missing_field_names_it(serve: Any, path: str) -> None:
    answer = without({"install": INSTALL}, path.split("."))
    assert why_of(serve, lambda: opentrain.get_install(token=TOKEN), answer) == f"it lacks the field {path}"


def test_install_with_a_consent_that_is_no_boolean_names_it(serve: Any) -> None:
    answer = {"install": INSTALL | {"piiConsent": 1}}
    why = why_of(serve, lambda: opentrain.get_install(token=TOKEN), answer)
    assert why == "its field install.piiConsent is not true or false"


WRITES: dict[str, tuple[Callable[[], object], dict[str, Any], str]] = {
    "no secret": (
        lambda: opentrain.create_endpoint(token=TOKEN, url="https://a.example.com/", event_types=["a"]),
        {"webhookEndpoint": ENDPOINT, "message": ""},
        "it lacks the field secret",
    ),
    "not deleted": (
        lambda: opentrain.delete_endpoint(token=TOKEN, endpoint_id="whe_1"),
        {"webhookEndpoint": ENDPOINT, "deleted": False},
        "its field deleted is not true",
    ),
    "no count": (
        lambda: opentrain.redeliver(token=TOKEN, endpoint_id="whe_1"),
        {"webhookEndpoint": ENDPOINT, "requeued": True, "message": ""},
        "its field requeued is not a count",
    ),
    "no message": (
        lambda: opentrain.redeliver(token=TOKEN, endpoint_id="whe_1"),
        {"webhookEndpoint": ENDPOINT, "requeued": 1},
        "it lacks the field message",
    ),
}


@pytest.mark.parametrize(("call", "answer", "why"), WRITES.values(), ids=WRITES)
def test_write_with_an_answer_of_the_wrong_shape_is_of_unknown_outcome(
    serve: Any,
    call: Callable[[], object],
    answer: dict[str, Any],
    why: str,
) -> None:
    with serve(ok(answer)) as server:
        error = fails(call, OutcomeUnknown)
    assert str(error).startswith(
        f"OpenTrain's answer cannot be used: {why} (status 200, request {REQUEST_ID}). The request may have been taken."
    )
    assert len(server.requests) == 1


def test_doubled_key_counts_the_last(serve: Any) -> None:
    body = json.dumps({"webhookEndpoint": ENDPOINT}).replace('"status": "ACTIVE"', '"status": "A", "status": "B"')
    with serve(bad.answer(200, body.encode())):
        assert get().status == "B"


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain"])
def test_byte_order_mark_before_the_json_is_ignored(serve: Any, content_type: str) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"webhookEndpoint": ENDPOINT}).encode()
    with serve(bad.answer(200, body, content_type=content_type)):
        assert get() == READ


def test_byte_order_mark_before_an_error_is_ignored(serve: Any) -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"error": "No.", "code": "FORBIDDEN", "requestId": "r"}).encode()
    with serve(bad.answer(403, body)):
        error = fails(get, Forbidden)
    assert (error.said, error.code, error.request_id) == ("No.", "FORBIDDEN", "r")
