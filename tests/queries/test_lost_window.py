"""When an endpoint was sent nothing, by its history; and what became of the events of contracts in a span."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Contract, Endpoint, EndpointSnapshot, Install, Run
from dashboard.queries import lost_window
from dashboard.queries.lost_window import (
    Span,
    Stopped,
    active_contracts,
    contracts_of,
    found_in,
    last_stops,
    reads_of,
    spans_of,
    stop_of,
)
from dashboard.rules.lost_window import Found, Lost, Reads, Stop, may_have_happened
from dashboard.rules.reconciliation import CLOCKS_APART, ContractFacts, Event, Kind, Reason
from tests.factories import (
    NOON,
    make_contract,
    make_endpoint,
    make_evidence,
    make_finding,
    make_install,
    make_reconciliation,
    make_run,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BOTH = ["contract.started", "contract.ended"]


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    return make_endpoint(event_types=BOTH)


def was(
    endpoint: Endpoint, at: datetime, status: str, *, failures: int = 0, not_before: datetime | None = None
) -> None:
    EndpointSnapshot.objects.create(
        endpoint=endpoint, at=at, status=status, consecutive_failures=failures, not_before=not_before
    )


def stopped(endpoint: Endpoint, *, since: datetime, until: datetime) -> Stopped:
    return last_stops([Span(7, endpoint, since, until)])[7]


def test_stop_lasts_from_when_it_was_last_seen_active_until_it_was_so_again(endpoint: Endpoint) -> None:
    was(endpoint, NOON, "ACTIVE")
    was(endpoint, NOON + HOUR, "DISABLED", failures=10, not_before=NOON + 59 * MINUTE)
    was(endpoint, NOON + 2 * HOUR, "DISABLED", failures=10)
    was(endpoint, NOON + 3 * HOUR, "ACTIVE")
    was(endpoint, NOON + 4 * HOUR, "ACTIVE")
    expected = Stopped(Stop(NOON + 59 * MINUTE, NOON + 3 * HOUR, is_paused=False, is_begun_known=True), is_known=True)
    for since, until in ((NOON, NOON + 5 * HOUR), (NOON + 90 * MINUTE, NOON + 91 * MINUTE), (NOON, NOON + HOUR)):
        assert stopped(endpoint, since=since, until=until) == expected


def test_stop_that_was_over_before_the_span_is_none(endpoint: Endpoint) -> None:
    was(endpoint, NOON, "ACTIVE")
    was(endpoint, NOON + HOUR, "DISABLED")
    was(endpoint, NOON + 3 * HOUR, "ACTIVE")
    assert stopped(endpoint, since=NOON + 4 * HOUR, until=NOON + 5 * HOUR) == Stopped(None, is_known=True)
    assert stopped(endpoint, since=NOON, until=NOON + 59 * MINUTE) == Stopped(None, is_known=True)


def test_last_of_several_stops_counts(endpoint: Endpoint) -> None:
    for hours, status in enumerate(("ACTIVE", "DISABLED", "ACTIVE", "DISABLED", "ACTIVE")):
        was(endpoint, NOON + hours * HOUR, status)
    assert stopped(endpoint, since=NOON, until=NOON + DAY).stop == Stop(
        NOON + 2 * HOUR, NOON + 4 * HOUR, is_paused=True
    )


def test_stop_whose_beginning_is_not_in_the_history_says_so(endpoint: Endpoint) -> None:
    was(endpoint, NOON, "DISABLED", failures=10)
    was(endpoint, NOON + HOUR, "ACTIVE")
    found = stopped(endpoint, since=NOON, until=NOON + HOUR)
    assert found.stop == Stop(NOON, NOON + HOUR, is_begun_known=False)
    assert stopped(endpoint, since=NOON - DAY, until=NOON - HOUR) == Stopped(None, is_known=False)


def test_each_span_has_its_own_stop(endpoint: Endpoint) -> None:
    other = make_endpoint()
    was(endpoint, NOON, "ACTIVE")
    was(other, NOON, "ACTIVE")
    was(other, NOON + HOUR, "DISABLED")
    spans = [Span(1, endpoint, NOON, NOON + DAY), Span(2, other, NOON, NOON + DAY), Span(3, other, NOON, NOON)]
    found = last_stops(spans)
    assert {key: one.stop is not None for key, one in found.items()} == {1: False, 2: True, 3: False}
    assert last_stops([]) == {}


@pytest.mark.parametrize(
    ("columns", "history", "expected"),
    [
        ({}, ["ACTIVE"], None),
        ({"status": "ODD"}, ["ODD"], None),
        ({"status": "DISABLED"}, ["ACTIVE", "DISABLED"], Stop(NOON, None, is_paused=True)),
        ({"status": "DISABLED"}, [], None),
        (
            {"status": "DISABLED", "consecutive_failures": 10, "disabled_at": NOON + HOUR},
            [],
            Stop(NOON + HOUR - CLOCKS_APART, None),
        ),
        ({"status": "DISABLED", "disabled_at": NOON}, ["DISABLED"], Stop(NOON - CLOCKS_APART, None, is_paused=True)),
        ({"status": "DISABLED"}, ["DISABLED"], Stop(NOON, None, is_paused=True, is_begun_known=False)),
    ],
)
def test_stop_of_an_endpoint_is_by_its_history_or_else_by_what_opentrain_says(
    columns: dict[str, Any], history: list[str], expected: Stop | None, db: None
) -> None:
    endpoint = Endpoint.objects.get(pk=make_endpoint(**columns).pk)
    for hours, status in enumerate(history):
        was(endpoint, NOON + hours * HOUR, status, failures=endpoint.consecutive_failures)
    assert stop_of(endpoint, now=NOON + DAY) == expected


def ended(endpoint: Endpoint, **columns: Any) -> Contract:
    """A contract that started a day before noon, and ended at half past noon."""
    defaults = {
        "status": "ended",
        "created_at": NOON - DAY,
        "first_seen_at": NOON - DAY,
        "end_date": NOON + HOUR / 2,
        "active_seen_at": NOON,
        "ended_seen_at": NOON + HOUR,
    }
    return make_contract(install=endpoint.install, **defaults | columns)


def found(endpoint: Endpoint) -> Found:
    return found_in([Span(7, endpoint, NOON, NOON + 2 * HOUR)])[7]


def test_events_in_a_span_are_told_by_evidence_and_findings(endpoint: Endpoint) -> None:
    taken, missing, coming, _unclear = (ended(endpoint) for _ in range(4))
    make_evidence(contract=taken, endpoint=endpoint)
    make_finding(contract=missing, endpoint=endpoint, reason=Reason.DISABLED)
    make_finding(contract=coming, endpoint=endpoint, kind=Kind.NOT_SEEN_YET, until=NOON + DAY)
    assert found(endpoint) == Found(
        ended=4,
        missing=((Event.ENDED, 1),),
        lacking=frozenset({missing.pk}),
        coming=frozenset({coming.pk}),
        until=NOON + DAY,
        unclear=1,
    )


def test_failed_start_of_an_ended_contract_is_not_missing(endpoint: Endpoint) -> None:
    early, late = (ended(endpoint, created_at=NOON + MINUTE, first_seen_at=NOON + MINUTE) for _ in range(2))
    for contract, consequence in ((early, ""), (late, "provision")):
        make_evidence(contract=contract, endpoint=endpoint)
        columns = {"event_type": Event.STARTED, "kind": Kind.FAILED, "consequence": consequence}
        make_finding(contract=contract, endpoint=endpoint, **columns)
    assert found(endpoint) == Found(
        started=2, ended=2, missing=((Event.STARTED, 1),), lacking=frozenset({late.pk}), harmless=1
    )


def test_events_of_other_endpoints_installs_and_times_do_not_count(endpoint: Endpoint) -> None:
    contract = ended(endpoint)
    make_finding(contract=contract, endpoint=make_endpoint(install=endpoint.install))
    make_finding(contract=ended(make_endpoint()))
    make_finding(contract=contract, endpoint=endpoint, closed_at=NOON)
    early = ended(endpoint, end_date=NOON - HOUR, ended_seen_at=NOON - HOUR / 2, active_seen_at=NOON - 2 * HOUR)
    make_finding(contract=early, endpoint=endpoint)
    assert found(endpoint) == Found(ended=1, unclear=1)


def test_more_contracts_than_are_looked_at_are_told_as_more(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_window, "LOOKED_AT", 2)
    for _ in range(3):
        make_evidence(contract=ended(endpoint), endpoint=endpoint)
    assert found(endpoint) == Found(ended=2, more=True)


def test_query_keeps_every_contract_that_the_rule_may_keep(endpoint: Endpoint) -> None:
    """The conditions of the query are wider than the rule, never narrower."""
    times = [None, NOON - DAY, NOON - HOUR, NOON, NOON + HOUR, NOON + 3 * HOUR, NOON + DAY]
    shapes = itertools.product(["active", "ended", "odd"], times, times, [NOON - HOUR, NOON + HOUR], times[1:5], times)
    made = Contract.objects.bulk_create(
        Contract(
            install=endpoint.install,
            opentrain_id=f"con_{number}",
            status=status,
            created_at=created_at,
            end_date=end_date,
            first_seen_at=first_seen_at,
            last_seen_at=NOON,
            active_seen_at=active_seen_at,
            ended_seen_at=ended_seen_at,
        )
        for number, (status, created_at, end_date, first_seen_at, active_seen_at, ended_seen_at) in enumerate(shapes)
        if number % 3 == 0
    )
    since, until = NOON, NOON + 2 * HOUR
    names = ("status", "created_at", "end_date", "first_seen_at", "active_seen_at", "ended_seen_at")
    kept = {
        one.pk
        for one in made
        for event in Event
        if may_have_happened(
            event,
            contract=ContractFacts(**{name: getattr(one, name) for name in names}),
            since=since,
            until=until,
        )
    }
    conditions = lost_window._started(Span(1, endpoint, since, until)) | lost_window._ended(
        Span(1, endpoint, since, until)
    )
    looked_at = set(Contract.objects.filter(conditions).values_list("pk", flat=True))
    assert kept <= looked_at
    assert len(kept) > 100
    assert len(looked_at) < len(made)


def test_number_of_queries_does_not_grow_with_spans(endpoint: Endpoint) -> None:
    def queries(count: int) -> int:
        spans = [Span(key, make_endpoint(event_types=BOTH), NOON, NOON + 2 * HOUR) for key in range(count)]
        for one in spans:
            ended(one.endpoint)
        with CaptureQueriesContext(connection) as captured:
            last_stops(spans)
            found_in(spans)
            reads_of([one.endpoint.install_id for one in spans])
        return len(captured)

    assert (queries(1), queries(5)) == (5, 5)


def test_reads_are_as_old_as_the_older_of_both(endpoint: Endpoint) -> None:
    install = endpoint.install
    assert reads_of([install.pk]) == {install.pk: Reads(("webhooks:manage",))}
    columns = {"judged_at": NOON + HOUR, "due_at": NOON + DAY, "error": "No answer.", "out_of_reach": "Some."}
    make_reconciliation(install=install, contracts_read_at=NOON + MINUTE, links_read_at=NOON, **columns)
    assert reads_of([install.pk])[install.pk] == Reads(
        ("webhooks:manage",), NOON, NOON + HOUR, NOON + DAY, "No answer.", "Some."
    )
    other = make_install()
    make_reconciliation(install=other, links_read_at=None)
    assert reads_of([other.pk])[other.pk].read_at is None


def test_active_contracts_are_those_that_are_still_listed_as_active(endpoint: Endpoint) -> None:
    install: Install = endpoint.install
    make_contract(install=install)
    make_contract(install=install, status="ended")
    make_contract(install=install, gone_at=NOON)
    make_contract()
    assert active_contracts(install_id=install.pk) == 1


def ran(endpoint: Endpoint, **columns: Any) -> Run:
    """A run from half past noon until two hours after noon, of an endpoint that was sent nothing since noon."""
    was(endpoint, NOON, "ACTIVE")
    was(endpoint, NOON + MINUTE, "DISABLED")
    defaults = {"created_at": NOON + HOUR / 2, "ended_at": NOON + 2 * HOUR}
    return make_run(endpoint=endpoint, **defaults | columns)


def test_runs_that_have_ended_are_looked_at_from_when_nothing_was_sent(endpoint: Endpoint) -> None:
    run, going_on = ran(endpoint), make_run(endpoint=make_endpoint(), ended_at=None)
    [span], stops = spans_of([run, going_on])
    assert (span.key, span.since, span.until) == (run.pk, NOON, NOON + 2 * HOUR)
    assert stops[run.pk].stop == Stop(NOON, None, is_paused=True)
    [span], _stops = spans_of([make_run(endpoint=make_endpoint(), created_at=NOON, ended_at=NOON + HOUR)])
    assert span.since == NOON - DAY


def test_contracts_of_a_run_are_those_that_lack_an_event_or_else_wait_for_one(endpoint: Endpoint) -> None:
    run, install = ran(endpoint), endpoint.install
    of_run = Lost(run=run.pk)
    waits, lacks, taken = (ended(endpoint) for _ in range(3))
    make_evidence(contract=taken, endpoint=endpoint)
    make_finding(contract=waits, endpoint=endpoint, kind=Kind.NOT_SEEN_YET)
    assert contracts_of(of_run, install_id=install.pk, now=NOON + DAY) == {waits.pk}
    make_finding(contract=lacks, endpoint=endpoint)
    assert contracts_of(of_run, install_id=install.pk, now=NOON + DAY) == {lacks.pk}
    assert contracts_of(of_run, install_id=make_install().pk, now=NOON + DAY) == frozenset()
    assert contracts_of(Lost(run=run.pk + 1), install_id=install.pk, now=NOON + DAY) == frozenset()


def test_contracts_of_a_stopped_endpoint_are_those_since_it_stopped(endpoint: Endpoint) -> None:
    of_endpoint, install_id = Lost(endpoint=endpoint.pk), endpoint.install_id
    lacks = ended(endpoint)
    make_finding(contract=lacks, endpoint=endpoint)
    ran(endpoint)
    assert contracts_of(of_endpoint, install_id=install_id, now=NOON + DAY) == frozenset()  # it is active
    Endpoint.objects.filter(pk=endpoint.pk).update(status="DISABLED")
    assert contracts_of(of_endpoint, install_id=install_id, now=NOON + DAY) == {lacks.pk}
    assert contracts_of(of_endpoint, install_id=make_install().pk, now=NOON + DAY) == frozenset()
