"""OpenTrain refuses, fails, asks to wait, or does not answer: the exception, its message, and the number of tries."""

import dataclasses
import json
import re
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trustme

from dashboard.services import opentrain
from dashboard.services.http import client as http_client
from dashboard.services.opentrain import (
    Forbidden,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    Reason,
    Rejected,
    Unauthorized,
    Unavailable,
)
from dashboard.services.opentrain import call as opentrain_call
from dashboard.services.opentrain.call import Limits
from tests.services import misbehaving as bad
from tests.services.misbehaving import Behaviour, certified
from tests.services.opentrain_samples import (
    CHECK_LATER,
    ENDPOINT,
    LOOK_AT_ENDPOINT,
    PATIENT,
    READ,
    REQUEST_ID,
    SLACK_S,
    TOKEN,
    envelope,
    fails,
    get,
    ok,
    write,
)

# OpenTrain refuses

IT_IS_SO = "OpenTrain refused: “It is so.”"
CORRECT_IT = "Correct it, then send it again."
ENVELOPES = [
    (400, "BAD_REQUEST", Rejected, CORRECT_IT),
    (401, "UNAUTHORIZED", Unauthorized, "Ask the customer to connect again, then replace this install's token."),
    (403, "FORBIDDEN", Forbidden, "Check that the install is active and that its token has the scope this needs."),
    (404, "NOT_FOUND", NotFound, "It may have been deleted since this page was loaded: reload the page."),
    (409, "CONFLICT", Rejected, "Something else changed it at the same time: reload the page and look again."),
    (418, "TEAPOT", Rejected, CORRECT_IT),
]


UNCHANGED = {get: "", write: " Nothing was changed."}
"""Only a write says that it had no effect: a read stands beside a write whose outcome is unknown."""


@pytest.mark.parametrize(("status", "code", "kind", "advice"), ENVELOPES)
@pytest.mark.parametrize("call", [get, write])
def test_refusal_is_quoted_with_its_code_and_request(
    *, serve: Any, call: Any, status: int, code: str, kind: type[Rejected], advice: str
) -> None:
    with serve(envelope(status, code, details={"field": "url", "more": {"a": [1]}})) as server:
        error = fails(call, kind)
    if call is get and advice == CORRECT_IT:
        advice = "Try again in a minute; if that does not help, ask OpenTrain's support."
    assert str(error) == f"{IT_IS_SO} ({status} {code}, request {REQUEST_ID}).{UNCHANGED[call]} {advice}"
    assert (error.status, error.code, error.said, error.request_id) == (status, code, "It is so.", REQUEST_ID)
    assert error.details == {"field": "url", "more": '{"a": [1]}'}
    assert len(server.requests) == 1


def test_refusal_without_a_request_id_takes_the_headers(serve: Any) -> None:
    body = json.dumps({"error": "No.", "code": "FORBIDDEN"}).encode()
    with serve(bad.answer(403, body, headers=["X-Request-Id: r-1"])):
        error = fails(get, Forbidden)
    assert (error.request_id, error.details) == ("r-1", {})


def test_refusal_without_any_request_id_says_only_what_it_knows(serve: Any) -> None:
    with serve(bad.answer(403, b'{"error": "", "code": "FORBIDDEN", "requestId": 7, "details": []}')):
        error = fails(get, Forbidden)
    assert str(error).startswith("OpenTrain refused: no reason given (403 FORBIDDEN). Check that the install")
    assert (error.request_id, error.details) == (None, {})


def test_refusal_is_cut_and_cleaned_before_it_is_quoted(serve: Any) -> None:
    with serve(envelope(400, "B" * 900, "a\u0007b\n" + "x" * 2000, details={"k" * 900: "v" * 900})):
        error = fails(get, Rejected)
    assert error.said == "a b " + "x" * 495 + "…"
    assert error.code == "B" * 49 + "…"
    assert [(len(key), len(value)) for key, value in error.details.items()] == [(500, 500)]


@pytest.mark.parametrize("headers", [(), (f"X-Request-Id: {'h' * 300}",)])
def test_request_id_is_cut_with_a_mark(serve: Any, headers: tuple[str, ...]) -> None:
    body = {"error": "No.", "code": "FORBIDDEN", **({} if headers else {"requestId": "r" * 300})}
    with serve(bad.answer(403, json.dumps(body).encode(), headers=headers)):
        error = fails(get, Forbidden)
    assert error.request_id == ("h" if headers else "r") * 99 + "…"
    assert f"request {error.request_id})" in str(error)


# OpenTrain fails


@pytest.mark.parametrize("status", [500, 501, 505, 599])
def test_read_that_fails_on_their_side_is_not_repeated(serve: Any, status: int) -> None:
    with serve(envelope(status, "INTERNAL_ERROR")) as server:
        error = fails(get, Unavailable)
    assert str(error) == (
        f"OpenTrain failed to answer ({status} INTERNAL_ERROR, request {REQUEST_ID}): “It is so.” "
        "Try again in a minute; if that does not help, ask OpenTrain's support."
    )
    assert (error.reason, error.status, error.request_id) == (Reason.SERVER_ERROR, status, REQUEST_ID)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_read_is_tried_three_times_while_a_gateway_fails(serve: Any, status: int) -> None:
    html = bad.answer(status, b"<html>Bad gateway</html>", content_type="text/html")
    with serve(html) as server:
        error = fails(get, Unavailable)
    assert str(error) == (
        f"OpenTrain failed to answer (status {status}). "
        "Try again in a minute; if that does not help, ask OpenTrain's support."
    )
    assert (error.reason, error.status, error.request_id) == (Reason.SERVER_ERROR, status, None)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "first",
    [
        bad.answer(502),
        bad.answer(503, headers=["Retry-After: 0"]),
        envelope(429, "RATE_LIMITED"),
        bad.reset_before_request,
        bad.reset_after_request,
        bad.hanging_up,
        bad.silent,
    ],
)
def test_read_that_works_the_second_time_is_answered(
    serve: Any, first: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    if first is bad.silent:
        monkeypatch.setattr(opentrain_call, "LIMITS", dataclasses.replace(PATIENT, read_s=1.5))
    with serve(first, ok({"webhookEndpoint": ENDPOINT})) as server:
        assert get() == READ
    assert server.connections == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("with_envelope", [True, False])
def test_write_that_fails_on_their_side_is_of_unknown_outcome(serve: Any, status: int, with_envelope: bool) -> None:
    behaviour = envelope(status, "INTERNAL_ERROR") if with_envelope else bad.answer(status, b"<html>")
    with serve(behaviour) as server:
        error = fails(write, OutcomeUnknown)
    where = f"({status} INTERNAL_ERROR, request {REQUEST_ID}): “It is so.”" if with_envelope else f"(status {status})."
    assert str(error) == (
        f"OpenTrain failed to complete the request {where} It may have taken effect anyway. {LOOK_AT_ENDPOINT}"
    )
    assert (error.status, error.request_id) == (status, REQUEST_ID if with_envelope else None)
    assert len(server.requests) == 1


# OpenTrain asks to wait

TOO_MANY = f"OpenTrain gets too many requests from this install (429 RATE_LIMITED, request {REQUEST_ID})."


def limited(*headers: str) -> Behaviour:
    body = {"error": "Slow down.", "code": "RATE_LIMITED", "requestId": REQUEST_ID, "details": {}}
    return bad.answer(429, json.dumps(body).encode(), headers=headers)


@pytest.mark.parametrize(
    "headers", [[], ["Retry-After: soon"], ["Retry-After: -1"], ["Retry-After: 1.5"], ["Retry-After:"]]
)
def test_rate_limit_without_a_usable_retry_after_is_tried_three_times(serve: Any, headers: list[str]) -> None:
    with serve(limited(*headers)) as server:
        error = fails(get, RateLimited)
    assert str(error) == f"{TOO_MANY} Try again in a minute."
    assert (error.retry_after_s, error.reason, error.status) == (None, Reason.RATE_LIMITED, 429)
    assert (error.request_id, len(server.requests)) == (REQUEST_ID, 3)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [("30", "30 s"), ("120", "120 s"), ("121", "about 3 min"), ("7201", "about 3 h"), ("999999999", "about 277778 h")],
)
def test_rate_limit_beyond_the_deadline_is_not_waited_for(serve: Any, seconds: str, words: str) -> None:
    with serve(limited(f"Retry-After: {seconds}")) as server:
        started = time.monotonic()
        error = fails(get, RateLimited)
        assert time.monotonic() - started < PATIENT.total_s
    assert str(error) == f"{TOO_MANY} Try again in {words}."
    assert (error.retry_after_s, len(server.requests)) == (int(seconds), 1)


def test_rate_limit_within_the_deadline_is_waited_for(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opentrain_call, "LIMITS", Limits(pause_s=0.01))
    with serve(limited("Retry-After: 1"), ok({"webhookEndpoint": ENDPOINT})) as server:
        started = time.monotonic()
        assert get() == READ
        assert 1 <= time.monotonic() - started < 1 + SLACK_S
    assert len(server.requests) == 2


def test_rate_limit_until_a_date_is_understood(serve: Any) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=600), usegmt=True)
    with serve(limited(f"Retry-After: {until}")) as server:
        error = fails(get, RateLimited)
    assert 590 <= error.retry_after_s <= 600
    assert str(error).endswith("Try again in about 10 min.")
    assert len(server.requests) == 1


def test_rate_limit_until_a_date_in_the_past_is_tried_again(serve: Any) -> None:
    with serve(limited("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"), ok({"webhookEndpoint": ENDPOINT})) as server:
        assert get() == READ
    assert len(server.requests) == 2


def test_rate_limited_write_was_not_taken_and_is_not_repeated(serve: Any) -> None:
    with serve(limited("Retry-After: 0")) as server:
        error = fails(write, RateLimited)
    assert str(error) == f"{TOO_MANY} Nothing was changed. Try again in 0 s."
    assert len(server.requests) == 1


def test_rate_limit_of_something_in_front_is_one_too(serve: Any) -> None:
    with serve(bad.answer(429, b"<html>", headers=["Retry-After: 60"])):
        error = fails(get, RateLimited)
    assert str(error) == ("OpenTrain gets too many requests from this install (status 429). Try again in 60 s.")


# No answer

BROKE = "The connection to OpenTrain broke before its answer came"
LOOK_AT_LIST = "Check the list of endpoints before you repeat the request."
LATE = "OpenTrain did not answer within N s."
NO_ANSWER: list[tuple[Behaviour, Reason, str]] = [
    (bad.silent, Reason.TIMEOUT, LATE),
    (bad.deaf, Reason.TIMEOUT, LATE),
    (bad.dripping(b"", b"HTTP/1.1 200 OK" + b" " * 999, every_s=0.05), Reason.TIMEOUT, LATE),
    (bad.dripping(bad.head(200), b" " * 999, every_s=0.05), Reason.TIMEOUT, LATE),
    (bad.hanging_up, Reason.CONNECTION, f"{BROKE}."),
    (bad.reset_before_request, Reason.CONNECTION, f"{BROKE}."),
    (bad.reset_after_request, Reason.CONNECTION, f"{BROKE}."),
]


def steady(text: str) -> str:
    """Return the text without its variable parts: the seconds, and whether a send or a read met the reset."""
    return re.sub(r"within \d+ s", "within N s", text).replace(" (Connection reset by peer)", "")


@pytest.mark.parametrize(("behaviour", "reason", "what"), NO_ANSWER)
def test_read_without_an_answer_is_unavailable(
    serve: Any, hurry: Any, behaviour: Behaviour, reason: Reason, what: str
) -> None:
    if reason is Reason.TIMEOUT:
        hurry()
    with serve(behaviour) as server:
        error = fails(get, Unavailable)
    assert steady(str(error)) == f"{what} {CHECK_LATER}"
    assert (error.reason, error.request_id) == (reason, None)
    assert 2 <= server.connections <= 3 or reason is Reason.TIMEOUT


@pytest.mark.parametrize(("behaviour", "reason", "what"), NO_ANSWER)
def test_write_without_an_answer_is_of_unknown_outcome(
    serve: Any, hurry: Any, behaviour: Behaviour, reason: Reason, what: str
) -> None:
    if reason is Reason.TIMEOUT:
        hurry()
    with serve(behaviour) as server:
        error = fails(write, OutcomeUnknown)
    assert steady(str(error)) == f"{what} The request may have been taken. {LOOK_AT_ENDPOINT}"
    assert (reason, server.connections) == (reason, 1)


@pytest.mark.parametrize(
    ("call", "look"),
    [
        (
            lambda: opentrain.create_endpoint(token=TOKEN, url="https://a.example.com/", event_types=["a"]),
            LOOK_AT_LIST
            + " If the new one is listed, its secret was lost with the answer: delete it and register it again.",
        ),
        (
            lambda: opentrain.delete_endpoint(token=TOKEN, endpoint_id="whe_1"),
            LOOK_AT_LIST,
        ),
        (
            lambda: opentrain.redeliver(token=TOKEN, endpoint_id="whe_1"),
            "Check the endpoint's deliveries before you repeat the request.",
        ),
    ],
)
def test_unknown_outcome_says_where_to_look(serve: Any, call: Any, look: str) -> None:
    with serve(bad.reset_after_request) as server:
        error = fails(call, OutcomeUnknown)
    assert steady(str(error)) == f"{BROKE}. The request may have been taken. {look}"
    assert len(server.requests) == 1


@pytest.mark.parametrize("call", [get, write])
def test_refused_connection_is_unavailable_for_a_write_too(settings: Any, call: Any) -> None:
    settings.OPENTRAIN_BASE_URL = f"http://localhost:{bad.closed_port()}/api"
    error = fails(call, Unavailable)
    assert str(error) == (
        f"OpenTrain cannot be reached: localhost refused the connection.{UNCHANGED[call]} {CHECK_LATER}"
    )
    assert (error.reason, error.status) == (Reason.REFUSED, None)


@pytest.mark.parametrize("call", [get, write])
def test_unknown_host_is_unavailable_for_a_write_too(settings: Any, monkeypatch: pytest.MonkeyPatch, call: Any) -> None:
    def unknown(*_args: Any, **_named: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    settings.OPENTRAIN_BASE_URL = "https://opentrain.invalid/api"
    error = fails(call, Unavailable)
    assert str(error) == (
        f"OpenTrain cannot be reached: the name opentrain.invalid could not be found.{UNCHANGED[call]} {CHECK_LATER}"
    )
    assert error.reason == Reason.DNS


@pytest.mark.parametrize("call", [get, write])
def test_unverified_certificate_is_unavailable_and_not_tried_again(serve: Any, call: Any) -> None:
    with serve(bad.answer(200), tls=certified(trustme.CA(), "localhost")) as server:
        error = fails(call, Unavailable)
    assert str(error) == (
        "OpenTrain cannot be reached safely: localhost could not be verified (unable to get local issuer certificate)."
        f"{UNCHANGED[call]} Check this server's network and its OPENTRAIN_BASE_URL."
    )
    assert (error.reason, server.connections, server.requests) == (Reason.TLS, 1, [])


def test_base_url_that_is_none_is_unavailable(settings: Any) -> None:
    settings.OPENTRAIN_BASE_URL = "app.opentrain.ai"
    error = fails(get, Unavailable)
    assert str(error) == (
        "OpenTrain cannot be reached: its address is not a valid URL. "
        "Check this server's network and its OPENTRAIN_BASE_URL."
    )
    assert error.reason == Reason.ADDRESS


def test_tries_of_a_read_share_one_deadline(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opentrain_call, "LIMITS", Limits(read_s=0.5, total_s=1.2, pause_s=0.01))
    given, exchange = [], http_client.exchange

    def noting(*, total_s: float, **rest: Any) -> Any:
        given.append(total_s)
        return exchange(total_s=total_s, **rest)

    monkeypatch.setattr(http_client, "exchange", noting)
    with serve(bad.silent):
        fails(get, Unavailable)
    # Each try takes half a second, so the next one gets half a second less.
    assert given
    assert all(left_s <= 1.2 - 0.5 * number for number, left_s in enumerate(given))
