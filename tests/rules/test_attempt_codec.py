"""Recorded attempts survive being bytes: nothing is lost, and what cannot be read is refused in words."""

import dataclasses
import json
import struct
import typing
import uuid
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules import attempt_codec
from dashboard.rules.attempt_codec import BYTES, TIMES, Undecodable, from_bytes, to_bytes
from dashboard.rules.attempts import AttemptResult, Event, Headers, RecordedAttempt, Source
from dashboard.rules.causes import Cause
from dashboard.signatures import Verdict
from tests.factories import NOON

EVENT = Event(
    delivery_id="dlv_1",
    event_id="evt_1",
    event_type="contract.created",
    resource_id="ctr_1",
    body=b'{"id":"evt_1"}',
    created_at=NOON,
)
RESULT = AttemptResult(
    received_at=NOON + timedelta(microseconds=7),
    request_headers=[["Content-Type", "application/json"]],
    answered_status=502,
    cause=Cause.TIMEOUT,
    handler_url="https://handler.example/",
    handler_status=None,
    latency_ms=12,
    response_headers=[["Server", "x"]],
    response_head=b"\x00\xff",
)
ATTEMPT = RecordedAttempt(id=uuid.UUID(int=5), endpoint_id=2**40, event=EVENT, result=RESULT)

VERSION_1 = (
    b'\x01\x00\x00\x02\x11\x00\x00\x00\x0e\x00\x00\x00\x02{"id":"00000000000000000000000000000005","endpoint_id":'
    b'1099511627776,"event":{"delivery_id":"dlv_1","event_id":"evt_1","event_type":"contract.created","resource_id":'
    b'"ctr_1","created_at":"2026-06-12T12:00:00+00:00"},"result":{"received_at":"2026-06-12T12:00:00.000007+00:00",'
    b'"request_headers":[["Content-Type","application/json"]],"answered_status":502,"cause":"timeout","handler_url":'
    b'"https://handler.example/","handler_status":null,"latency_ms":12,"response_headers":[["Server","x"]],"source":'
    b'"receiver","signature":"verified"}}{"id":"evt_1"}\x00\xff'
)
"""Written by the first release that had a spool. Never change it: a newer release must read what an older one kept."""

texts = st.text(st.characters(), max_size=30)  # with lone surrogates and NUL
headers = st.lists(st.lists(texts, min_size=2, max_size=2), max_size=4)
times = st.datetimes(timezones=st.just(UTC) | st.builds(lambda h: timezone(timedelta(hours=h)), st.integers(-12, 14)))
events = st.builds(
    Event,
    delivery_id=texts,
    event_id=texts,
    event_type=texts,
    resource_id=texts,
    body=st.none() | st.binary(max_size=100),
    created_at=st.none() | times,
)
results = st.builds(
    AttemptResult,
    received_at=times,
    request_headers=headers,
    answered_status=st.sampled_from(HTTPStatus) | st.integers(100, 599),
    cause=st.sampled_from(Cause),
    handler_url=texts,
    handler_status=st.none() | st.integers(100, 999),
    latency_ms=st.integers(0, 2**62),
    response_headers=headers,
    response_head=st.binary(max_size=100),
    source=st.sampled_from(Source),
    signature=st.sampled_from(Verdict),
)
attempts = st.builds(
    RecordedAttempt, id=st.uuids(), endpoint_id=st.integers(1, 2**63 - 1), event=events, result=results
)


def fields_of(data: bytes) -> dict[str, typing.Any]:
    return json.loads(data[13 : 13 + int.from_bytes(data[1:5], "big")])


def changed(data: bytes, **fields: object) -> bytes:
    """Return an encoded attempt with fields of its JSON set."""
    version, size, *lengths = struct.unpack_from(">BIII", data)
    text = json.dumps({**fields_of(data), **fields}).encode()
    return struct.pack(">BIII", version, len(text), *lengths) + text + data[13 + size :]


@given(attempts)
def test_attempt_survives_being_bytes(attempt: RecordedAttempt) -> None:
    read = from_bytes(to_bytes(attempt))
    assert read == attempt
    assert read.result.received_at.utcoffset() == attempt.result.received_at.utcoffset()


@pytest.mark.parametrize("body", [None, b"", b"\x00" * 1024 * 1024])
def test_body_that_was_not_reported_differs_from_an_empty_one(body: bytes | None) -> None:
    attempt = dataclasses.replace(ATTEMPT, event=dataclasses.replace(EVENT, body=body))
    assert from_bytes(to_bytes(attempt)).event.body == body


def test_text_that_pairs_half_characters_stays_as_it_was() -> None:
    event = dataclasses.replace(EVENT, event_id="\ud83d\ude00", resource_id="\U0001f600")
    read = from_bytes(to_bytes(dataclasses.replace(ATTEMPT, event=event))).event
    assert (len(read.event_id), len(read.resource_id)) == (2, 1)


def test_body_costs_no_more_than_its_size() -> None:
    grown = dataclasses.replace(ATTEMPT, event=dataclasses.replace(EVENT, body=b'\x00"' * 5000))
    assert len(to_bytes(grown)) - len(to_bytes(ATTEMPT)) == 10_000 - len(EVENT.body or b"")


def test_what_version_1_wrote_is_read() -> None:
    assert from_bytes(VERSION_1) == ATTEMPT


def test_field_that_an_older_release_did_not_know_takes_its_default() -> None:
    fields = fields_of(VERSION_1)["result"]
    del fields["source"], fields["signature"]
    assert from_bytes(changed(VERSION_1, result=fields)) == ATTEMPT


def test_field_of_a_newer_release_is_refused_by_name() -> None:
    event = {**fields_of(VERSION_1)["event"], "priority": 1}
    with pytest.raises(Undecodable) as refused:
        from_bytes(changed(VERSION_1, event=event))
    assert str(refused.value) == (
        "The attempt has fields that this release of Redeliver does not know (priority). A newer release wrote it: "
        "start that release to read it."
    )


def test_unknown_version_is_refused_in_words() -> None:
    with pytest.raises(Undecodable) as refused:
        from_bytes(b"\x02" + VERSION_1[1:])
    assert str(refused.value) == (
        "The attempt has format version 2; this release of Redeliver reads version 1. A newer release wrote it: start "
        "that release to read it."
    )


def test_attempt_that_is_cut_off_anywhere_is_refused() -> None:
    for size in range(len(VERSION_1)):
        with pytest.raises(Undecodable):
            from_bytes(VERSION_1[:size])


def test_attempt_with_something_behind_it_is_refused() -> None:
    with pytest.raises(Undecodable, match="other lengths"):
        from_bytes(VERSION_1 + b"\x00")


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "c4n4ry"},
        {"event": None},
        {"event": {}},
        {"result": {"cause": "c4n4ry"}},
        {"event": {"created_at": "c4n4ry"}},
        {"id": 5},
    ],
)
def test_damaged_attempt_is_refused_without_quoting_it(wrong: dict[str, object]) -> None:
    with pytest.raises(Undecodable, match=r"^The attempt is damaged \(\w+\)\.$") as refused:
        from_bytes(changed(VERSION_1, **wrong))
    assert refused.value.__cause__ is None


def test_time_without_a_zone_is_not_stored() -> None:
    result = dataclasses.replace(RESULT, received_at=datetime(2026, 6, 12))  # noqa: DTZ001
    with pytest.raises(ValueError, match="time zone"):
        to_bytes(dataclasses.replace(ATTEMPT, result=result))


@pytest.mark.parametrize("of", [Event, AttemptResult])
def test_each_field_has_a_type_that_the_codec_keeps(of: type[Event | AttemptResult]) -> None:
    """A field of another type must be named in BYTES or TIMES, or get a rule of its own."""
    kept = {str, int, str | None, int | None, bool | None, Headers}
    for field in dataclasses.fields(of):
        kind = typing.get_type_hints(of)[field.name]
        if kind in {datetime, datetime | None}:
            assert field.name in TIMES
        elif kind in {bytes, bytes | None}:
            assert field.name == BYTES[of]
        else:
            assert (field.name, kind in kept) == (field.name, True)


def test_each_field_that_versions_before_lack_has_a_default() -> None:
    """Of version 1, these had none. A field that is added needs a default, or what older releases kept is lost."""
    needed = {"delivery_id", "event_id", "event_type", "resource_id", "body", "received_at", "request_headers"}
    needed |= {"answered_status", "cause", "handler_url", "handler_status", "latency_ms", "response_headers"}
    needed |= {"response_head"}
    for field in [*dataclasses.fields(Event), *dataclasses.fields(AttemptResult)]:
        assert field.name in needed or field.default is not dataclasses.MISSING


def test_layout_of_a_recorded_attempt_is_the_codecs() -> None:
    assert [field.name for field in dataclasses.fields(RecordedAttempt)] == ["id", "endpoint_id", "event", "result"]
    assert attempt_codec.VERSION == 1
