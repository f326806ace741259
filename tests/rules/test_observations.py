"""The format of an observations API call: a valid one is accepted whole, and every invalid field is named."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from dashboard.rules.attempts import Source
from dashboard.rules.observations import (
    AHEAD,
    AT_ONCE,
    BODIES_LIMIT,
    ERRORS_TOLD,
    LATENCY_LIMIT_MS,
    OLDEST,
    BadRequest,
    Observation,
    read,
)
from tests.factories import NOON

ITEM: dict[str, Any] = {
    "deliveryId": "dlv_1",
    "eventType": "contract.started",
    "receivedAt": "2026-06-12T12:00:00.000Z",
    "status": 200,
    "latencyMs": 35,
}


def given(*items: object) -> list[Observation]:
    return read(json.dumps({"observations": items}).encode(), now=NOON)


def refused(*items: object) -> list[tuple[object, object]]:
    with pytest.raises(BadRequest) as raised:
        given(*items)
    return [(error["index"], error["field"]) for error in raised.value.errors]


def test_observation_is_an_event_and_its_result() -> None:
    [found] = given(ITEM | {"eventId": "evt_1", "resourceId": "con_1", "signature": "stale", "body": "ü"})
    event, result = found.event, found.result
    assert (event.delivery_id, event.event_id, event.event_type, event.resource_id, event.body) == (
        "dlv_1", "evt_1", "contract.started", "con_1", "ü".encode(),
    )  # fmt: skip
    assert (result.received_at, result.answered_status, result.handler_status, result.latency_ms) == (
        NOON,
        200,
        200,
        35,
    )
    assert (result.cause, result.source, result.signature) == ("", Source.OBSERVED, "stale")
    assert found.identity == ("dlv_1", NOON)


def test_byte_order_mark_before_the_json_is_ignored() -> None:
    body = json.dumps({"observations": [ITEM]}).encode()
    assert read(b"\xef\xbb\xbf" + body, now=NOON) == read(body, now=NOON)


def test_observation_without_the_optional_fields_leaves_them_empty() -> None:
    [found] = given(ITEM)
    assert (found.event.event_id, found.event.resource_id, found.event.body) == ("", "", None)
    assert found.result.signature == ""


@pytest.mark.parametrize(("status", "cause", "ok"), [(299, "", True), (300, "status", False), (599, "status", False)])
def test_status_says_whether_it_failed(status: int, cause: str, ok: bool) -> None:
    [found] = given(ITEM | {"status": status})
    assert (found.result.cause, found.result.ok) == (cause, ok)


def test_body_in_base64_is_any_bytes() -> None:
    [found] = given(ITEM | {"bodyBase64": base64.b64encode(b"\xff\x00").decode()})
    assert found.event.body == b"\xff\x00"


def test_time_with_another_zone_is_the_same_moment() -> None:
    [found] = given(ITEM | {"receivedAt": "2026-06-12T14:00:00+02:00"})
    assert found.result.received_at == NOON


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"deliveryId": ""}, "deliveryId"),
        ({"deliveryId": "x" * 201}, "deliveryId"),
        ({"deliveryId": "a\nb"}, "deliveryId"),
        ({"deliveryId": 1}, "deliveryId"),
        ({"eventType": "x" * 101}, "eventType"),
        ({"eventId": None}, "eventId"),
        ({"status": 199}, "status"),
        ({"status": 600}, "status"),
        ({"status": True}, "status"),
        ({"status": 200.0}, "status"),
        ({"latencyMs": -1}, "latencyMs"),
        ({"latencyMs": LATENCY_LIMIT_MS + 1}, "latencyMs"),
        ({"receivedAt": "2026-06-12T12:00:00"}, "receivedAt"),
        ({"receivedAt": 1}, "receivedAt"),
        ({"receivedAt": (OLDEST - timedelta(seconds=1)).isoformat()}, "receivedAt"),
        ({"receivedAt": (NOON + AHEAD + timedelta(seconds=1)).isoformat()}, "receivedAt"),
        ({"receivedAt": "0001-01-01T00:00:00+14:00"}, "receivedAt"),
        ({"signature": "fine"}, "signature"),
        ({"signature": None}, "signature"),
        ({"body": 1}, "body"),
        ({"body": "\ud800"}, "body"),
        ({"bodyBase64": "?"}, "bodyBase64"),
        ({"body": "", "bodyBase64": ""}, "body"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_wrong_field_is_named(change: dict[str, object], field: str) -> None:
    assert refused(ITEM, ITEM | change) == [(1, field)]


@pytest.mark.parametrize("name", list(ITEM))
def test_missing_field_is_named(name: str) -> None:
    assert refused({key: value for key, value in ITEM.items() if key != name}) == [(0, name)]


@pytest.mark.parametrize("item", [None, [], "x", 1])
def test_observation_that_is_no_object_is_named_by_its_place(item: object) -> None:
    assert refused(ITEM, item) == [(1, "")]


def test_bounds_are_included() -> None:
    edges = [{"receivedAt": OLDEST.isoformat()}, {"receivedAt": (NOON + AHEAD).isoformat()}]
    edges += [{"status": 200}, {"status": 599}, {"latencyMs": 0}, {"latencyMs": LATENCY_LIMIT_MS}]
    assert len(given(*(ITEM | edge for edge in edges))) == len(edges)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"observations": []}',
        b'{"observations": {}}',
        b'{"observations": [{}], "more": 1}',
        b'{"observations": [NaN]}',
        b"[" * 100_000,
        json.dumps({"observations": [ITEM] * (AT_ONCE + 1)}).encode(),
    ],
    ids=["empty", "bytes", "list", "nothing", "none", "object", "more", "NaN", "deep", "many"],
)
def test_call_of_another_form_is_refused_without_naming_fields(body: bytes) -> None:
    with pytest.raises(BadRequest) as raised:
        read(body, now=NOON)
    assert (raised.value.errors, bool(str(raised.value))) == ([], True)


def test_bodies_together_have_a_limit() -> None:
    half = ITEM | {"body": "x" * (BODIES_LIMIT // 2)}
    assert len(given(half, half)) == 2
    with pytest.raises(BadRequest):
        given(half, half, ITEM | {"body": "x"})


def test_errors_that_are_told_have_a_limit() -> None:
    assert len(refused(*[{}] * AT_ONCE)) == ERRORS_TOLD
