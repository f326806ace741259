"""Conditions of alerts: what counts as a problem, kind by kind, and what does not."""

from datetime import timedelta

import pytest

from dashboard.models import Endpoint, Install, ReceiverReport, Run
from dashboard.queries.alert_conditions import Wrong, find
from dashboard.rules.alerts import AlertKind, Subject
from dashboard.rules.installs import Trouble
from tests.factories import (
    NOON,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_install,
    make_refused_attempt,
    make_run,
)

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def kinds(*, open_now: frozenset[Subject] = frozenset()) -> list[tuple[str, int | None]]:
    found = find(now=NOON, open_now=open_now)
    return sorted((subject.kind.value, subject.endpoint_id) for subject in found)


def subject(kind: AlertKind, endpoint: Endpoint) -> Subject:
    return Subject(kind, endpoint.install_id, endpoint.pk)


def make_retrying(endpoint: Endpoint, *, due_ago: timedelta) -> None:
    """Create a delivery that failed once and whose next attempt is overdue by `due_ago`."""
    delivery = make_delivery(
        endpoint=endpoint,
        last_ok=False,
        last_status=503,
        last_cause="status",
        last_attempt_at=NOON - timedelta(hours=3),
    )
    delivery.due_by = NOON - due_ago
    delivery.save()


def make_stopped(endpoint: Endpoint, *, ended_ago: timedelta = MINUTE, **columns) -> Run:
    """Create a recovery that stopped because its canary failed."""
    defaults = {"state": Run.State.STOPPED, "step": "canary", "why": "The first delivery failed again: 503."}
    return make_run(endpoint=endpoint, ended_at=NOON - ended_ago, **defaults | columns)


def test_nothing_is_wrong_with_what_is_well_paused_or_failing_a_little() -> None:
    make_endpoint()
    make_endpoint(status="DISABLED")
    make_endpoint(consecutive_failures=6)
    make_failed_delivery()
    assert kinds() == []


def test_disabled_and_at_risk_are_found_by_status_and_streak() -> None:
    at_risk = make_endpoint(consecutive_failures=7)
    disabled = make_endpoint(status="DISABLED", consecutive_failures=10)
    make_endpoint(status="DISABLED", consecutive_failures=10, deleted_at=NOON)
    assert kinds() == [("at_risk", at_risk.pk), ("disabled", disabled.pk)]


@pytest.mark.parametrize(
    "columns",
    [
        {"last_error_code": Trouble.TOKEN_REFUSED},
        {"last_error_code": Trouble.TOKEN_UNREADABLE},
        {"status": "REVOKED"},
        {"token_scopes": []},
    ],
)
def test_install_that_needs_a_person_is_found(columns) -> None:
    install = make_install(**columns)
    assert list(find(now=NOON, open_now=frozenset())) == [Subject(AlertKind.NO_ACCESS, install.pk)]


@pytest.mark.parametrize("code", [Trouble.UNREACHABLE, Trouble.RATE_LIMITED])
def test_trouble_that_passes_by_itself_is_not(code) -> None:
    make_install(last_error_code=code)
    assert kinds() == []


@pytest.mark.parametrize("code", [Trouble.UNREACHABLE, Trouble.RATE_LIMITED])
def test_refused_token_stays_a_problem_while_opentrain_does_not_answer(code) -> None:
    install = make_install(last_error_code=code)
    key = Subject(AlertKind.NO_ACCESS, install.pk)
    assert list(find(now=NOON, open_now=frozenset({key}))) == [key]
    Install.objects.update(last_error_code=Trouble.NONE)
    assert find(now=NOON, open_now=frozenset({key})) == {}
    Install.objects.update(last_error_code=code, disconnected_at=NOON)
    assert find(now=NOON, open_now=frozenset({key})) == {}


@pytest.mark.parametrize("columns", [{"consecutive_failures": 10}, {"consecutive_failures": 3}])
def test_signatures_stay_refused_while_nothing_is_sent_that_could_be_accepted(columns) -> None:
    endpoint = make_endpoint(status="DISABLED", **columns)
    key = subject(AlertKind.SIGNATURES, endpoint)
    assert key in find(now=NOON, open_now=frozenset({key}))
    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
    assert find(now=NOON, open_now=frozenset({key})) == {}


def test_signatures_stay_refused_while_the_log_may_lack_refusals() -> None:
    endpoint = make_endpoint()
    key, lags = subject(AlertKind.SIGNATURES, endpoint), Subject(AlertKind.LOG_LAGS, None)
    report = ReceiverReport.objects.create(name="a", held=0, heard_at=NOON - MINUTE)
    assert set(find(now=NOON, open_now=frozenset({key}))) == {key, lags}
    Endpoint.objects.update(deleted_at=NOON)
    assert set(find(now=NOON, open_now=frozenset({key}))) == {lags}
    Endpoint.objects.update(deleted_at=None)
    report.delete()
    assert find(now=NOON, open_now=frozenset({key})) == {}


def test_overdue_deliveries_stay_a_problem_while_a_pause_keeps_them_from_being_attempted() -> None:
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=2)
    key = frozenset({subject(AlertKind.OVERDUE, endpoint)})
    assert kinds(open_now=key) == [("overdue", endpoint.pk)]
    Endpoint.objects.update(consecutive_failures=10)  # then the alert that it is disabled says more
    assert kinds(open_now=key) == [("disabled", endpoint.pk)]


def test_canary_that_failed_is_found_with_why() -> None:
    endpoint = make_endpoint(consecutive_failures=1)
    make_stopped(endpoint)
    key = subject(AlertKind.CANARY_FAILED, endpoint)
    assert find(now=NOON, open_now=frozenset()) == {key: Wrong(key, said="The first delivery failed again: 503.")}


@pytest.mark.parametrize("step", ["rest", "others", "watch"])
def test_canary_that_failed_is_over_when_a_later_recovery_got_further(step) -> None:
    endpoint = make_endpoint(consecutive_failures=1)
    make_stopped(endpoint)
    make_run(endpoint=endpoint, state=Run.State.RUNNING, step=step)
    assert kinds() == []


@pytest.mark.parametrize("step", ["probe", "enable", "canary"])
def test_canary_that_failed_stays_while_a_later_recovery_has_not_got_there(step) -> None:
    endpoint = make_endpoint(consecutive_failures=1)
    make_stopped(endpoint)
    make_run(endpoint=endpoint, state=Run.State.RUNNING, step=step)
    assert kinds() == [("canary_failed", endpoint.pk)]


def test_canary_that_failed_is_over_when_opentrain_has_counted_a_success_since() -> None:
    endpoint = make_endpoint(snapshot_at=NOON - 2 * MINUTE)
    make_stopped(endpoint)
    assert kinds() == [("canary_failed", endpoint.pk)]  # last synced before the recovery ended
    Endpoint.objects.update(snapshot_at=NOON)
    assert kinds() == [("canary_failed", endpoint.pk)]  # the list may lag behind the canary's failure
    Endpoint.objects.update(snapshot_at=NOON + MINUTE)
    assert kinds() == []


def test_recovery_that_stopped_elsewhere_is_no_canary() -> None:
    make_stopped(make_endpoint(), step="probe")
    make_stopped(make_endpoint(), state=Run.State.CANCELLED)
    make_stopped(make_endpoint(), kind=Run.Kind.BULK)
    assert kinds() == []


def test_overdue_is_counted_from_five_minutes_on() -> None:
    endpoint = make_endpoint()
    make_retrying(endpoint, due_ago=4 * MINUTE)
    assert kinds() == []
    make_retrying(endpoint, due_ago=6 * MINUTE)
    make_retrying(endpoint, due_ago=9 * MINUTE)
    key = subject(AlertKind.OVERDUE, endpoint)
    assert find(now=NOON, open_now=frozenset()) == {key: Wrong(key, count=2, since=NOON - 9 * MINUTE)}


@pytest.mark.parametrize("columns", [{"status": "DISABLED"}, {"deleted_at": NOON}])
def test_nothing_is_overdue_where_nothing_is_attempted(columns) -> None:
    make_retrying(make_endpoint(**columns), due_ago=timedelta(hours=1))
    assert kinds() == []


@pytest.mark.parametrize("reason", ["mismatch", "missing", "stale", "future", "other_endpoint", "doubled", "malformed"])
def test_signatures_refused_three_times_in_a_quarter_of_an_hour_are_found(reason) -> None:
    endpoint = make_endpoint()
    for minutes in (1, 14, 16):
        make_refused_attempt(endpoint=endpoint, reason=reason, received_at=NOON - minutes * MINUTE)
    assert kinds() == []
    make_refused_attempt(endpoint=endpoint, reason=reason, received_at=NOON - 2 * MINUTE)
    key = subject(AlertKind.SIGNATURES, endpoint)
    assert find(now=NOON, open_now=frozenset()) == {
        key: Wrong(key, count=3, since=NOON - 16 * MINUTE, said="The signature does not match.")
    }


def test_signatures_stay_refused_until_none_was_for_half_an_hour() -> None:
    endpoint = make_endpoint()
    key = frozenset({subject(AlertKind.SIGNATURES, endpoint)})
    make_refused_attempt(endpoint=endpoint, received_at=NOON - 29 * MINUTE)
    assert kinds(open_now=key) == [("signatures", endpoint.pk)]
    endpoint.refused_attempts.update(received_at=NOON - 30 * MINUTE)
    assert kinds(open_now=key) == []


def test_refusal_for_another_reason_is_no_signature() -> None:
    endpoint = make_endpoint()
    for reason in ("too_large", "content_type", "cut_off", "registering"):
        make_refused_attempt(endpoint=endpoint, reason=reason, received_at=NOON)
    assert kinds() == []


def test_find_asks_as_often_for_many_as_for_few(django_assert_num_queries) -> None:
    for _ in range(5):
        make_endpoint(consecutive_failures=8)
    with django_assert_num_queries(7):
        assert len(kinds()) == 5


def test_url_that_was_changed_elsewhere_is_a_problem_while_the_endpoint_has_it() -> None:
    changed = {"url_changed_at": NOON - MINUTE, "url_before": "https://acme.example.com/before"}
    elsewhere = make_endpoint(url="https://other.example.com/", **changed)
    make_endpoint(url="https://gone.example.com/", deleted_at=NOON, **changed)
    make_endpoint(receiver_key="k1", url="https://redeliver.example.com/hooks/k1/", **changed)  # changed back
    make_endpoint(url="https://never.example.com/")
    assert kinds() == [("url_changed", elsewhere.pk)]


def test_receivers_that_hold_attempts_or_are_silent_are_one_problem_of_no_install() -> None:
    ReceiverReport.objects.create(name="a", held=0, heard_at=NOON)
    assert kinds() == []
    ReceiverReport.objects.create(name="b", held=7, heard_at=NOON)
    ReceiverReport.objects.create(name="c", held=7, heard_at=NOON - 3 * MINUTE)
    key = Subject(AlertKind.LOG_LAGS, None)
    said = (
        "Receiver b holds 7 attempts that are not in the log yet. "
        "Receiver c: last heard of 3 min ago. The log may lag, by how much is not known. "
        "A receiver that does not report has ended or cannot reach the database: look at its own log."
    )
    assert find(now=NOON, open_now=frozenset()) == {key: Wrong(key, said=said)}
