"""How runs end: of the time in which nothing was sent, else of the day before the run."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Contract, Endpoint, EndpointSnapshot, Install, Run
from dashboard.presenters.run_endings import run_endings, with_endings
from dashboard.presenters.runs import RunEnding, run_row
from dashboard.rules.run_endings import EndingKind
from tests.factories import (
    NOON,
    make_contract,
    make_endpoint,
    make_finding,
    make_install,
    make_reconciliation,
    make_run,
)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVERY = 10 * MINUTE
NOW = NOON + HOUR
SCOPES = ["webhooks:manage", "contracts:read", "project-links:read"]


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    """An endpoint that was disabled from two days before noon until a minute before, and whose contracts were read."""
    install = make_install(token_scopes=SCOPES)
    at = NOW - 5 * MINUTE
    make_reconciliation(install=install, contracts_read_at=at, links_read_at=at, judged_at=at, due_at=NOW + 5 * MINUTE)
    endpoint = make_endpoint(install=install, event_types=["contract.started", "contract.ended"])
    for moment, status in ((-3 * DAY, "ACTIVE"), (-2 * DAY, "DISABLED"), (-MINUTE, "ACTIVE")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=NOON + moment, status=status)
    return endpoint


def ended(endpoint: Endpoint, *, at: datetime) -> Contract:
    return make_contract(
        install=endpoint.install,
        status="ended",
        created_at=NOON - 30 * DAY,
        first_seen_at=NOON - 30 * DAY,
        end_date=at,
        active_seen_at=at - MINUTE,
        ended_seen_at=at + MINUTE,
    )


def run(endpoint: Endpoint, **columns: Any) -> Run:
    """A recovery that began two minutes before noon and ended at noon."""
    return make_run(endpoint=endpoint, **{"created_at": NOON - 2 * MINUTE, "ended_at": NOON} | columns)


def of(one: Run) -> RunEnding:
    return run_endings([one], every=EVERY, now=NOW)[one.pk]


def test_run_after_which_everything_was_read_misses_nothing(endpoint: Endpoint) -> None:
    found = of(run(endpoint))
    assert (found.kind, found.label, found.control) == (EndingKind.NOTHING_MISSING, "Nothing missing", None)
    assert "started or ended from 12:00 UTC on 9 June to 12:00 UTC is" in found.words
    assert found.changed == (
        "No contract is known to have started or ended between 12:00 UTC on 9 June, when deliveries stopped, "
        "and the end "
        "of the run."
    )


def test_run_misses_what_ended_while_nothing_was_sent_and_leads_there(endpoint: Endpoint) -> None:
    make_finding(contract=ended(endpoint, at=NOON - 40 * HOUR), endpoint=endpoint)
    make_finding(contract=ended(endpoint, at=NOON - 4 * DAY), endpoint=endpoint)
    make_finding(contract=ended(endpoint, at=NOON + HOUR / 2), endpoint=endpoint)
    one = run(endpoint)
    found = of(one)
    assert (found.kind, found.label) == (EndingKind.MISSING, "1 missing")
    assert found.control is not None
    assert found.control.url == f"/installs/{endpoint.install_id}/contracts/?lost=run-{one.pk}"


def test_run_without_such_a_time_is_looked_at_from_a_day_before(endpoint: Endpoint) -> None:
    EndpointSnapshot.objects.filter(status="DISABLED").update(status="ACTIVE")
    make_finding(contract=ended(endpoint, at=NOON - 40 * HOUR), endpoint=endpoint)
    assert of(run(endpoint)).kind is EndingKind.NOTHING_MISSING
    make_finding(contract=ended(endpoint, at=NOON - 20 * HOUR), endpoint=endpoint)
    found = of(run(endpoint))
    assert (found.label, found.changed) == ("1 missing", "")


@pytest.mark.parametrize(
    ("break_it", "why"),
    [
        (lambda _one: EndpointSnapshot.objects.all().delete(), "the history does not tell"),
        (lambda _one: EndpointSnapshot.objects.filter(at__lt=NOON - DAY * 2.5).delete(), "the history does not tell"),
        (lambda _one: Endpoint.objects.update(event_types=["milestone.funded"]), "subscribes to no contract event"),
        (lambda one: ended(one, at=NOON - HOUR), "what became of 1 contract"),
    ],
)
def test_run_of_which_something_is_not_known_says_why(break_it: Any, why: str, endpoint: Endpoint) -> None:
    break_it(endpoint)
    one = Run.objects.select_related("endpoint").get(pk=run(endpoint).pk)
    one.endpoint.refresh_from_db()
    found = of(one)
    assert (found.kind, found.control) == (EndingKind.NOT_KNOWN, None)
    assert why in found.words


def test_run_of_an_install_whose_contracts_cannot_be_read_says_nothing_of_them(endpoint: Endpoint) -> None:
    Install.objects.update(token_scopes=["webhooks:manage"])
    found = of(run(endpoint))
    assert (found.label, found.changed) == ("Not known", "")


def test_run_that_ended_after_the_last_read_is_checked_again(endpoint: Endpoint) -> None:
    found = of(run(endpoint, ended_at=NOW - MINUTE))
    assert (found.kind, found.label) == (EndingKind.CHECKED_AGAIN, "Will be checked again at 13:05 UTC")


def test_run_that_goes_on_has_no_ending_yet(endpoint: Endpoint) -> None:
    going_on = run(endpoint, state="running", ended_at=None)
    over = run(endpoint)
    rows = with_endings([run_row(going_on), run_row(over)], every=EVERY, now=NOW)
    assert [row.ending is None for row in rows] == [True, False]
    assert with_endings([], every=EVERY, now=NOW) == []


def test_number_of_queries_does_not_grow_with_runs(endpoint: Endpoint) -> None:
    runs = [run(endpoint) for _ in range(6)]
    make_finding(contract=ended(endpoint, at=NOON - HOUR), endpoint=endpoint)

    def queries(count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            run_endings(runs[:count], every=EVERY, now=NOW)
        return len(captured)

    assert (queries(1), queries(6)) == (5, 5)
