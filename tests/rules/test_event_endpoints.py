"""Why an endpoint has no delivery of an event that another one has: only what the history proves is said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.event_endpoints import LABELS, Absence, Absent, EndpointThen, Happened, absent
from dashboard.rules.outside_texts import LATEST
from dashboard.rules.reconciliation_facts import EndpointFacts, Period
from dashboard.rules.schedule import Schedule

NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SCHEDULE = Schedule(retry_delays=(MINUTE, 5 * MINUTE, 25 * MINUTE, 120 * MINUTE), run_interval=5 * MINUTE)
TYPE = "contract.ended"
TYPES = frozenset({TYPE})
HAPPENED = Happened(TYPE, said=NOON, seen_at=NOON + MINUTE)
LATER = NOON + 24 * HOUR


def period(at: datetime, **columns: object) -> Period:
    known = {"is_active": True, "event_types": TYPES, "is_received": True, "not_before": at - MINUTE}
    return Period(at, **known | columns)  # type: ignore[arg-type]


FROM_START = period(NOON - 10 * HOUR)


def then(*periods: Period, created_at: datetime | None = NOON - 20 * HOUR, **columns: object) -> EndpointThen:
    began = next((one.at for one in periods if one.is_received is not None), None)
    if not any(one.is_received for one in periods):
        began = None
    facts = EndpointFacts(created_at=created_at, log_began_at=began, periods=periods, synced_at=LATER)
    return EndpointThen(**{"facts": facts, "event_types": TYPES} | columns)  # type: ignore[arg-type]


def said(one: EndpointThen, *, happened: Happened = HAPPENED, now: datetime = LATER) -> Absent:
    return absent(one, happened=happened, schedule=SCHEDULE, now=now)


def stopped(since: datetime, until: datetime, *, is_paused: bool) -> EndpointThen:
    return then(FROM_START, period(since, is_active=False, is_paused=is_paused), period(until))


@pytest.mark.parametrize(
    ("endpoint", "why", "words"),
    [
        (then(FROM_START), Absence.NONE, "Whether OpenTrain did not send it or it was lost on the way is not known."),
        (then(FROM_START, created_at=NOON + MINUTE), Absence.REGISTERED_AFTER, "It was registered after the event:"),
        (
            then(replace(FROM_START, event_types=frozenset())),
            Absence.NOT_SUBSCRIBED,
            "It did not subscribe to this event type when the event happened,",
        ),
        (then(replace(FROM_START, is_received=False)), Absence.DIRECT, "OpenTrain delivers directly to its handler,"),
        (
            then(replace(FROM_START, is_received=False), is_reported=True),
            Absence.NOT_REPORTED,
            "Its handler did not report it.",
        ),
        (then(period(NOON + HOUR)), Absence.NOT_KNOWN, "Redeliver has no record of whether"),
        (then(FROM_START, refused=2), Absence.REFUSED, "The receiver refused 2 contract.ended requests after"),
        (stopped(NOON - HOUR, NOON + HOUR, is_paused=False), Absence.DISABLED, "The endpoint was disabled when"),
        (stopped(NOON - HOUR, NOON + HOUR, is_paused=True), Absence.PAUSED, "The endpoint was paused when"),
    ],
)
def test_proven_reason_is_said(endpoint: EndpointThen, why: Absence, words: str) -> None:
    found = said(endpoint)
    assert (found.why, found.label) == (why, LABELS[why])
    assert found.words.startswith(words)


def test_disable_of_two_minutes_is_proven_by_opentrains_own_time() -> None:
    short = stopped(NOON - MINUTE, NOON + 2 * MINUTE, is_paused=False)
    assert said(short).label == "None seen; disabled about then"
    by_opentrain = replace(short, facts=replace(short.facts, auto_disabled_at=NOON - MINUTE))
    assert said(by_opentrain).label == "None seen; disabled then"
    before = replace(short, facts=replace(short.facts, auto_disabled_at=NOON + MINUTE))
    assert said(before).label == "None seen; disabled about then"


@pytest.mark.parametrize(("is_paused", "name"), [(True, "paused"), (False, "disabled")])
def test_stop_of_a_part_of_the_time_is_not_said_to_be_the_reason(is_paused: bool, name: str) -> None:
    found = said(stopped(NOON - MINUTE, NOON + 3 * MINUTE, is_paused=is_paused))
    assert found.label == f"None seen; {name} about then"
    assert "Whether it was when the event happened is not known." in found.words
    assert said(stopped(NOON - 5 * HOUR, NOON - HOUR, is_paused=is_paused)).why is Absence.NONE
    assert said(stopped(NOON + HOUR, NOON + 2 * HOUR, is_paused=is_paused)).why is Absence.NONE


def test_event_that_may_still_come_is_not_missing() -> None:
    found = said(then(FROM_START), now=NOON + HOUR)
    assert found.why is Absence.NOT_YET
    assert found.words == "It may still come until 15:02 UTC."


def test_no_history_and_no_time_of_the_event_prove_nothing() -> None:
    received = EndpointThen(EndpointFacts(created_at=None, log_began_at=LATEST), TYPES)
    assert said(received).why is Absence.NOT_KNOWN
    assert said(then()).why is Absence.DIRECT
    unsubscribed = said(replace(then(replace(FROM_START, event_types=None)), event_types=frozenset()))
    assert unsubscribed.label == "Not subscribed now"
    assert unsubscribed.words.endswith("is not known.")
    timeless = replace(HAPPENED, said=None)
    assert said(stopped(NOON - HOUR, NOON + HOUR, is_paused=True), happened=timeless).words.startswith(
        "None is in its log. When the event happened is not known"
    )
    impossible = replace(HAPPENED, said=NOON + HOUR)
    assert said(then(FROM_START), happened=impossible).why is Absence.NOT_KNOWN


def test_path_that_changed_then_is_not_known_to_be_a_loss() -> None:
    found = said(then(FROM_START, period(NOON - MINUTE, is_received=False), period(NOON + HOUR)))
    assert found.label == "Direct then: not seen here"


def test_what_the_log_has_no_longer_or_redeliver_handed_over_is_no_absence() -> None:
    kept = said(then(FROM_START, kept_at=NOON + MINUTE))
    assert (kept.why, kept.at, kept.label) == (Absence.KEPT, NOON + MINUTE, "Received")
    handed = said(replace(stopped(NOON - HOUR, NOON + HOUR, is_paused=True), handed_over_at=NOON + 2 * HOUR))
    assert (handed.why, handed.at) == (Absence.HANDED_OVER, NOON + 2 * HOUR)
    assert handed.words == "Its handler took it from Redeliver 22 h ago. Before that: None seen; paused then."


def test_every_reason_has_a_label() -> None:
    assert set(LABELS) == set(Absence)
