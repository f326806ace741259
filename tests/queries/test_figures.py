"""The figures of the last 24 hours: attempts at their own time, of all asked for in a constant number of queries."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Delivery, Endpoint, Install
from dashboard.queries import figures, install_endpoints
from dashboard.rules.figures import Figures, Tried
from tests.factories import (
    NOON,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_endpoints,
    make_failed_delivery,
    make_install,
)

pytestmark = pytest.mark.django_db

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOW = NOON - timedelta(seconds=1)
"""A second before the end of the window, which is NOON."""
LONG_AGO = NOON - timedelta(days=90)


def of_installs(installs: Sequence[Install]) -> dict[int, Figures]:
    return figures.of_installs(install_endpoints.of_installs(installs), now=NOW)


def logged(**columns: object) -> Endpoint:
    """An endpoint whose log is older than a day."""
    return make_endpoint(created_at=LONG_AGO, **columns)


def attempted(endpoint: Endpoint, *, ago: timedelta, ok: bool = True, **columns: object) -> Delivery:
    at = NOON - ago
    cause = {} if ok else {"last_cause": "status", "last_status": 503}
    return make_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at, last_ok=ok, **cause | columns)


def figures_of(endpoint: Endpoint) -> Figures:
    return figures.of_endpoints([endpoint], now=NOW)[endpoint.pk]


def test_figures_count_the_attempts_of_24_hours_and_their_times() -> None:
    endpoint = logged()
    for number in range(20):
        attempted(endpoint, ago=2 * HOUR, last_latency_ms=10 * (number + 1))
    attempted(endpoint, ago=MINUTE, ok=False, last_latency_ms=5)
    attempted(endpoint, ago=25 * HOUR, ok=False)
    found = figures_of(endpoint)
    assert (found.taken, found.failed, found.p50_ms, found.p95_ms) == (20, 1, 100, 190)
    assert (found.last_at, found.last_ok, found.since, found.is_cut) == (NOON - MINUTE, False, None, False)
    assert [(number, one) for number, one in enumerate(found.parts) if one != Tried(0, 0)] == [
        (22, Tried(20, 0)), (23, Tried(0, 1))
    ]  # fmt: skip


def test_recovery_does_not_repair_the_rate() -> None:
    endpoint = logged()
    delivery = attempted(endpoint, ago=MINUTE, attempt_count=3)
    for number, ago in ((1, 3 * HOUR), (2, 2 * HOUR), (3, MINUTE)):
        make_attempt(
            delivery=delivery,
            number=number,
            received_at=NOON - ago,
            ok=number == 3,
            cause="" if number == 3 else "status",
        )
    found = figures_of(endpoint)
    assert (found.taken, found.failed) == (1, 2)


def test_time_waited_in_vain_counts_and_a_refused_connection_does_not() -> None:
    """A handler that hangs is slow; one that is not there answered nothing, however fast the refusal was."""
    endpoint = logged()
    attempted(endpoint, ago=HOUR, last_latency_ms=100)
    attempted(endpoint, ago=HOUR, ok=False, last_cause="timeout", last_latency_ms=9500)
    attempted(endpoint, ago=HOUR, ok=False, last_cause="refused", last_latency_ms=1)
    assert (figures_of(endpoint).p50_ms, figures_of(endpoint).p95_ms) == (100, 9500)
    down = logged()
    attempted(down, ago=HOUR, ok=False, last_cause="refused", last_latency_ms=1)
    assert (figures_of(down).failed, figures_of(down).p50_ms) == (1, None)


def test_young_log_says_since_when_and_its_hours_before_are_unknown() -> None:
    endpoint = make_endpoint(created_at=NOON - 90 * MINUTE)
    attempted(endpoint, ago=HOUR)
    found = figures_of(endpoint)
    assert found.since == NOON - 90 * MINUTE
    assert found.parts[:22] == (None,) * 22
    assert found.parts[22:] == (Tried(0, 0), Tried(1, 0))


def test_endpoint_put_behind_the_receiver_counts_from_then() -> None:
    endpoint = make_endpoint(created_at=LONG_AGO, routed_at=NOON - HOUR)
    attempted(endpoint, ago=MINUTE)
    assert figures_of(endpoint).since == NOON - HOUR


def test_endpoint_without_attempts_knows_its_last_one() -> None:
    endpoint = logged()
    attempted(endpoint, ago=timedelta(days=5))
    found = figures_of(endpoint)
    assert (found.attempts, found.last_at) == (0, NOON - timedelta(days=5))
    assert found.parts == (Tried(0, 0),) * 24


def test_endpoint_that_delivers_directly_has_no_figures() -> None:
    assert figures.of_endpoints([make_endpoint(receiver_key=None)], now=NOW) == {}


def test_more_than_is_looked_at_is_said_and_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "LOOKED_AT", 3)
    monkeypatch.setattr(figures, "LEAST", 1)
    endpoint = logged()
    for minutes in range(1, 6):
        attempted(endpoint, ago=minutes * MINUTE, ok=minutes > 3)
    found = figures_of(endpoint)
    assert (found.taken, found.failed, found.is_cut, found.since) == (0, 3, True, NOON - 3 * MINUTE)


def test_fifty_endpoints_take_as_many_queries_as_one() -> None:
    endpoints = [logged() for _ in range(50)]
    for endpoint in endpoints:
        delivery = make_failed_delivery(endpoint=endpoint, last_attempt_at=NOON - HOUR)
        make_attempt(delivery=delivery, received_at=NOON - HOUR, ok=False)
    numbers = []
    for some in (endpoints[:1], endpoints):
        with CaptureQueriesContext(connection) as queries:
            found = figures.of_endpoints(some, now=NOW)
        assert {one.failed for one in found.values()} == {1}
        numbers.append(len(queries))
    assert numbers == [1, 1]


def test_install_sums_up_its_endpoints_with_a_log() -> None:
    install = make_install()
    first, second = logged(install=install), logged(install=install)
    make_endpoint(install=install, receiver_key=None)
    attempted(first, ago=HOUR)
    attempted(second, ago=MINUTE, ok=False)
    other = logged(install=make_install())
    attempted(other, ago=MINUTE)
    installs = list(Install.objects.order_by("pk"))
    with CaptureQueriesContext(connection) as queries:
        found = of_installs(installs)
    assert [(found[one.pk].taken, found[one.pk].failed) for one in installs] == [(1, 1), (1, 0)]
    assert (found[install.pk].last_at, found[install.pk].last_ok) == (NOON - MINUTE, False)
    assert len(queries) == 2


def test_what_an_install_has_in_the_log_is_what_the_endpoints_model_says() -> None:
    """The query reads columns and no models, so it must not read them otherwise."""
    urls = (
        "https://proxy.example.com/hooks/{key}/?a=b",
        "https://acme.example.com/hook?/hooks/{key}/",
        "https://[/{key}",
    )
    received = [logged(url=url.format(key=f"key-{at}"), receiver_key=f"key-{at}") for at, url in enumerate(urls)]
    routed = logged(routed_at=NOON - HOUR)
    observed = make_endpoint(receiver_key=None, observation_key_sha256="0" * 64, observation_key_at=NOON - HOUR)
    endpoints = [*received, routed, observed, make_endpoint(receiver_key=None)]
    for endpoint in endpoints:
        attempted(endpoint, ago=MINUTE)
    assert [one.is_logged for one in endpoints] == [True, False, False, True, True, False]
    installs = of_installs([one.install for one in endpoints])
    assert {pk: (one.taken, one.since, one.parts) for pk, one in installs.items()} == {
        one.install_id: (1, figures_of(one).since, figures_of(one).parts) for one in endpoints if one.is_logged
    }


def test_what_nobody_tried_for_a_day_takes_nothing_from_what_the_others_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "LOOKED_AT", 4)
    monkeypatch.setattr(figures, "LEAST", 1)
    busy, quiet = logged(), logged()
    for minutes in range(1, 4):
        attempted(busy, ago=minutes * MINUTE)
    attempted(quiet, ago=25 * HOUR, ok=False)
    with CaptureQueriesContext(connection) as queries:
        found = of_installs([busy.install, quiet.install])
    assert (found[busy.install_id].taken, found[busy.install_id].is_cut) == (3, False)
    last = found[quiet.install_id]
    assert (last.attempts, last.last_at, last.last_ok) == (0, NOON - 25 * HOUR, False)
    assert last.parts == (Tried(0, 0),) * 24
    assert len(queries) == 2
    with CaptureQueriesContext(connection) as queries:
        of_installs([quiet.install])
    assert len(queries) == 1


def test_install_with_many_endpoints_or_none_with_a_log_has_no_figures() -> None:
    many, direct = make_install(), make_install()
    make_endpoints(install=many, count=install_endpoints.FEW + 1)
    make_endpoint(install=direct, receiver_key=None)
    installs = list(Install.objects.all())
    assert of_installs(installs) == {}
    assert [install_endpoints.are_few(one) for one in Install.objects.order_by("pk")] == [False, True]


@pytest.mark.parametrize("sorted_up_to", [500, 0])
def test_endpoints_come_last_active_first(monkeypatch: pytest.MonkeyPatch, sorted_up_to: int) -> None:
    monkeypatch.setattr(figures, "SORTED", sorted_up_to)
    quiet, first, second = logged(), logged(), logged()
    attempted(first, ago=MINUTE)
    attempted(second, ago=HOUR)
    attempted(first, ago=2 * HOUR)
    found = figures.lately_active(Endpoint.objects.all(), count=3, most=2)
    assert found == [first, second]
    rest = figures.lately_active(Endpoint.objects.all(), count=3, most=5)[2:]
    assert rest == ([quiet] if sorted_up_to else [])


def test_figures_of_many_endpoints_read_the_index_of_their_attempts_and_not_the_whole_log() -> None:
    one = attempted(logged(), ago=40 * timedelta(days=1))
    endpoints = [one.endpoint, *(logged() for _ in range(29))]
    given = {"opentrain_id", "endpoint", "first_received_at", "last_attempt_at", "attempt_count"}
    others = [field for field in Delivery._meta.concrete_fields if field.name not in given | {"id", "attempts_class"}]
    columns = ", ".join(str(field.column) for field in others)
    copies = f"""
        INSERT INTO dashboard_delivery
            (opentrain_id, endpoint_id, first_received_at, last_attempt_at, attempt_count, {columns})
        SELECT 'many_' || number, (%(endpoints)s::bigint[])[1 + number %% 30],
            %(now)s - number * interval '2 minutes', %(now)s - number * interval '2 minutes', 1, {columns}
        FROM dashboard_delivery CROSS JOIN generate_series(1, 20000) AS number WHERE id = %(one)s
    """  # noqa: S608 - names of columns, no values
    with connection.cursor() as cursor:
        cursor.execute(copies, {"endpoints": [endpoint.pk for endpoint in endpoints], "now": NOW, "one": one.pk})
        cursor.execute("ANALYZE dashboard_delivery")
    with CaptureQueriesContext(connection) as queries:
        found = figures.of_endpoints(endpoints, now=NOW)
    assert sum(figure.attempts for figure in found.values()) == 24 * 30 - 1
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + queries.captured_queries[-1]["sql"])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan on dashboard_delivery" not in plan, plan
