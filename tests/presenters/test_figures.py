"""Figures as pages show them: a reason wherever there is no number, and a sparkline that hides no failure."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.models import Install
from dashboard.presenters import figures
from dashboard.presenters.figures import (
    HIGH,
    LEAST,
    NO_ENDPOINTS,
    NONE_LOGGED,
    NOT_LOGGED,
    NOT_SUMMED,
    NOT_TIMED,
    shown,
    spark,
)
from dashboard.queries import install_endpoints
from dashboard.queries.install_endpoints import FEW
from dashboard.rules.figures import Figures, Tried
from tests.factories import make_delivery, make_endpoint, make_endpoints, make_install, make_user

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
PARTS = (Tried(0, 0),) * 22 + (Tried(10, 0), Tried(8, 2))


def test_figures_say_what_they_count() -> None:
    found = shown(Figures(taken=1198, failed=2, p50_ms=12, p95_ms=80, last_at=NOON, parts=PARTS), now=NOON)
    assert (found.success, found.is_known, found.since) == ("99.8%", True, "")
    assert found.why == "1,198 of 1,200 attempts in the last 24 hours were taken by the handler."
    assert found.spark is not None


def test_young_log_says_since_when() -> None:
    found = shown(Figures(taken=3, p50_ms=1, p95_ms=1, since=NOON - timedelta(hours=1), parts=PARTS), now=NOON)
    assert found.since == "since 11:00 UTC"
    assert found.why.endswith("were taken by the handler. The log begins 11:00 UTC.")


def test_part_of_the_deliveries_is_told_as_such() -> None:
    found = shown(Figures(taken=3, since=NOON - timedelta(hours=1), is_cut=True, parts=PARTS), now=NOON)
    assert found.why.endswith("Counted are the newest deliveries, since 11:00 UTC.")


def test_without_attempts_there_is_no_rate_but_the_last_one() -> None:
    found = shown(Figures(last_at=NOON - timedelta(days=3), last_ok=True), now=NOON)
    assert (found.success, found.is_known, found.spark) == ("—", False, None)
    assert found.why == "No delivery was attempted in the last 24 hours."
    assert found.last_at == NOON - timedelta(days=3)


def test_without_an_answer_there_is_no_time() -> None:
    found = shown(Figures(failed=4, parts=PARTS), now=NOON)
    assert (found.success, found.p50_ms, found.timed) == ("0%", None, NOT_TIMED)


def test_sparkline_draws_each_hour_and_names_failures() -> None:
    drawn = spark((None,) * 21 + (Tried(0, 0), Tried(10, 0), Tried(8, 2)))
    assert drawn.none == "M63 20v-1h2v1z"
    assert drawn.taken == "M66 20v-20h2v20zM69 20v-16h2v16z"
    assert drawn.failed == "M69 4v-4h2v4z"
    assert drawn.words == "Attempts per hour, last 24 hours: at most 10; failures in 1 hour"
    assert (drawn.width, drawn.height) == (72, HIGH)


@pytest.mark.parametrize("taken", [0, 1, 99, 100_000])
def test_one_failure_is_always_seen_and_nothing_is_higher_than_the_drawing(taken: int) -> None:
    drawn = spark([Tried(taken, 1)])
    bottom, height = (float(part) for part in drawn.failed.removeprefix("M0 ").partition("h")[0].split("v-"))
    assert height >= LEAST
    assert bottom - height >= 0


def test_no_failures_are_said_too() -> None:
    assert spark([Tried(3, 0)]).words == "Attempts per hour, last 24 hours: at most 3; no failures"
    assert spark([None, Tried(0, 0)]).words == "No attempts in the last 24 hours"


@pytest.mark.django_db
def test_every_endpoint_and_install_has_figures_or_a_reason() -> None:
    direct, empty, many, received = (make_install() for _ in range(4))
    endpoint = make_endpoint(install=direct, receiver_key=None)
    make_endpoints(install=many, count=FEW + 1)
    make_delivery(endpoint=make_endpoint(install=received))
    now = make_delivery().last_attempt_at
    installs = Install.objects.all()
    found = figures.of_installs(installs, endpoints=install_endpoints.of_installs(installs), now=now)
    assert [found[one.pk].why for one in (direct, empty, many)] == [NONE_LOGGED, NO_ENDPOINTS, NOT_SUMMED]
    assert found[received.pk].success == "100%"
    assert figures.of_endpoints([endpoint], now=now)[endpoint.pk].why == NOT_LOGGED


@pytest.mark.django_db
def test_lately_active_shows_only_what_the_user_may_see() -> None:
    endpoint = make_endpoint()
    make_endpoint(install=endpoint.install)
    make_delivery(endpoint=endpoint)
    support, outsider = make_user(), make_user(role="partner_admin")
    found = figures.lately_active(user=support, count=2, most=1, now=NOON)
    assert ([row.endpoint for row in found.rows], found.more) == ([endpoint], True)
    assert figures.lately_active(user=outsider, count=0, most=1, now=NOON).rows == []
