"""Every list against a naive filter over the same rows, in every scope; paging both ways; counts and causes."""

import itertools
import random
from dataclasses import fields, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.models import Delivery, Endpoint
from dashboard.queries import delivery_lists
from dashboard.queries.delivery_lists import CauseCriteria, Cursor, DeliveryCriteria, Scope
from dashboard.rules import deliveries
from dashboard.rules.deliveries import StateKind
from dashboard.rules.endpoints import EndpointFacts
from tests.factories import (
    NOON,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_grant,
    make_install,
    make_refused_attempt,
    make_user,
)

MINUTE = timedelta(minutes=1)
NOW = NOON + 60 * MINUTE
ACME = "Acme's Labs"
EVENTS = ["contract.started", "contract.ended", "<b>odd</b> é"]
CAUSES = [("status", 503), ("status", 500), ("timeout", 504), ("tls", 502)]


@pytest.fixture
def world(db):
    """Two installs and a third hidden from Paul, with deliveries of every kind, several of them at the same time."""
    dice = random.Random(3)  # noqa: S311 - rows, not secrets
    acme = make_install(name=ACME, opentrain_id="ins_acme")
    beta, other = (make_install() for _ in range(2))
    endpoints = [
        make_endpoint(install=install, status=status)
        for install in (acme, beta, other)
        for status in ("ACTIVE", "DISABLED")
    ]
    paul = make_user(role="partner_admin")
    for install in (acme, beta):
        make_grant(user=paul, install=install)
    for number in range(150):
        ok = dice.random() < 0.4
        cause, status = ("", 200) if ok else dice.choice(CAUSES)
        at = NOON + dice.randrange(40) * MINUTE
        make_delivery(
            endpoint=endpoints[(number + number // 120) % 6],  # one ID on two endpoints is two deliveries
            opentrain_id=f"dlv_{number % 120}",
            event_id=f"evt_{number % 50}",
            event_type=dice.choice(EVENTS),
            resource_id=dice.choice(["", "con_1", "con_2", "con_'; --"]),
            first_received_at=at,
            last_attempt_at=at,
            attempt_count=dice.choice([1, 1, 2, 5, 6, 9]),
            attempts_in_round=dice.choice([1, 2, 5]),
            last_ok=ok,
            last_status=status,
            last_cause=cause,
            last_signature=dice.choice(["verified", "verified", "", "mismatch"]),
            requested_at=dice.choice([None, None, None, NOON + 30 * MINUTE, NOW]),
        )
    scopes = [
        Scope(),
        Scope(member=paul.pk),
        Scope(install=acme.pk),
        *(Scope(endpoint=one.pk) for one in endpoints[:2]),
    ]
    return paul, scopes, list(Delivery.objects.select_related("endpoint__install"))


def naive(rows, *, scope, criteria, paul):
    """The same filter, written again in Python."""
    installs = paul_sees(paul)
    return sorted(
        (row for row in rows if in_scope(row, scope, installs) and is_listed(row, criteria)),
        key=lambda row: (row.first_received_at, row.pk),
        reverse=True,
    )


def in_scope(row, scope, installs):
    if scope.endpoint is not None:
        return row.endpoint_id == scope.endpoint
    if scope.install is not None:
        return row.endpoint.install_id == scope.install
    return scope.member is None or row.endpoint.install_id in installs


def is_listed(row, criteria):
    kind = deliveries.state_kind(
        standing=deliveries.Standing(row.standing),
        due_by=row.due_by,
        endpoint=EndpointFacts(row.endpoint.status),
        now=NOW,
    )
    cause = criteria.cause
    return all(
        [
            criteria.install in names_of(row.endpoint.install),
            criteria.state in {None, kind},
            criteria.event_type in {"", row.event_type},
            cause is None
            or (row.last_cause == cause.cause and cause.first_status <= row.last_status <= cause.last_status),
            criteria.attempts_min is None or row.attempt_count >= criteria.attempts_min,
            criteria.attempts_max is None or row.attempt_count <= criteria.attempts_max,
            criteria.received_from is None or row.first_received_at >= criteria.received_from,
            criteria.received_to is None or row.first_received_at < criteria.received_to,
            criteria.delivery_id in {"", row.opentrain_id},
            criteria.event_id in {"", row.event_id},
            criteria.resource_id in {"", row.resource_id},
            criteria.signature in {None, row.last_signature},
        ]
    )


def test_undelivered_are_those_that_a_redelivery_helps(world):
    paul, scopes, rows = world
    helped = {StateKind.FAILED, StateKind.RETRYING, StateKind.OVERDUE}
    for scope in scopes:
        for criteria in (
            DeliveryCriteria(),
            DeliveryCriteria(event_type="contract.ended"),
            DeliveryCriteria(resource_id="con_1"),
            DeliveryCriteria(cause=CauseCriteria("status", 503, 503)),
            *(DeliveryCriteria(state=state) for state in StateKind),
        ):
            found = delivery_lists.undelivered(scope=scope, criteria=criteria, now=NOW, limit=1000)
            states = [criteria.state] if criteria.state else helped
            wanted = [
                naive(rows, scope=scope, criteria=replace(criteria, state=state), paul=paul)
                for state in helped.intersection(states)
            ]
            assert {one.pk for one in found} == {one.pk for of_state in wanted for one in of_state}


def names_of(install):
    return {"", str(install.pk), install.opentrain_id, install.name, install.name.upper()}


VALUES = {
    "install": [ACME, ACME.upper(), "ins_acme", "%s", "0"],
    "state": list(StateKind),
    "event_type": [*EVENTS, "nothing"],
    "cause": [
        CauseCriteria("status", 503, 503),
        CauseCriteria("status", 500, 599),
        CauseCriteria("timeout"),
        CauseCriteria("dns"),
    ],
    "attempts_min": [0, 2, 6, 7, 100],
    "attempts_max": [0, 1, 5, 6, 8],
    "received_from": [NOON + 10 * MINUTE, NOW],
    "received_to": [NOON + 25 * MINUTE],
    "delivery_id": ["dlv_3", "'; DROP TABLE dashboard_delivery; --"],
    "event_id": ["evt_7", "%s"],
    "resource_id": ["con_1", "con_'; --"],
    "signature": ["verified", "", "mismatch", "stale"],
}


def keys(rows):
    return [row.pk for row in rows]


def test_every_filter_has_values_here() -> None:
    differ = set(VALUES) ^ {one.name for one in fields(DeliveryCriteria)}
    assert not differ, f"VALUES of tests/queries/test_delivery_lists.py and DeliveryCriteria differ in {differ}"


def test_every_filter_has_its_condition_in_python_here(world) -> None:
    _paul, _scopes, rows = world
    asked = set()

    class Recording:
        def __getattr__(self, name):
            asked.add(name)
            return getattr(DeliveryCriteria(), name)

    assert is_listed(rows[0], Recording())
    missing = {one.name for one in fields(DeliveryCriteria)} - asked
    assert not missing, f"is_listed() of tests/queries/test_delivery_lists.py has no condition for {missing}"


@pytest.mark.slow
def test_every_filter_and_every_pair_lists_and_counts_what_a_naive_filter_does(world) -> None:
    paul, scopes, rows = world
    singles = [{name: value} for name, values in VALUES.items() for value in values]
    pairs = [
        {first: dice[0], second: dice[1]}
        for first, second in itertools.combinations(VALUES, 2)
        for dice in zip(VALUES[first], itertools.cycle(VALUES[second]), strict=False)
    ]
    seen = 0
    for columns in [{}, *singles, *pairs]:
        criteria = DeliveryCriteria(**columns)
        for scope in scopes:
            expected = keys(naive(rows, scope=scope, criteria=criteria, paul=paul))
            assert keys(delivery_lists.page(scope=scope, criteria=criteria, now=NOW, limit=500)) == expected, (
                scope,
                criteria,
            )
            assert delivery_lists.count(scope=scope, criteria=criteria, now=NOW) == len(expected), (scope, criteria)
            seen += len(expected)
    assert seen > 5000


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    columns=st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in VALUES.items()}),
)
def test_every_combination_pages_through_what_a_naive_filter_finds(world, data, columns) -> None:
    paul, scopes, rows = world
    scope, criteria = data.draw(st.sampled_from(scopes)), DeliveryCriteria(**columns)
    expected = keys(naive(rows, scope=scope, criteria=criteria, paul=paul))
    limit = data.draw(st.integers(1, 40))
    older = walk(scope=scope, criteria=criteria, limit=limit)
    assert older == expected
    if len(older) > limit:
        last = Delivery.objects.get(pk=older[-1])
        newer = walk(scope=scope, criteria=criteria, limit=limit, start=cursor_of(last, newer=True))
        assert newer == expected[:-1]


def cursor_of(row, *, newer=False):
    return Cursor(row.first_received_at, row.pk, newer=newer)


def walk(*, scope, criteria, limit, start=None):
    """Go through the pages in one direction; return the deliveries shown, newest first."""
    shown, cursor = [], start
    while found := list(delivery_lists.page(scope=scope, criteria=criteria, now=NOW, limit=limit, cursor=cursor)):
        newer = start is not None
        shown = keys(found) + shown if newer else shown + keys(found)
        cursor = cursor_of(found[0] if newer else found[-1], newer=newer)
    return shown


def test_pages_show_every_row_once_while_rows_arrive(world) -> None:
    paul, _scopes, rows = world
    expected = keys(naive(rows, scope=Scope(), criteria=DeliveryCriteria(), paul=paul))
    shown, cursor = [], None
    while found := list(
        delivery_lists.page(scope=Scope(), criteria=DeliveryCriteria(), now=NOW, limit=20, cursor=cursor)
    ):
        shown += keys(found)
        cursor = cursor_of(found[-1])
        make_delivery(endpoint=rows[0].endpoint, first_received_at=NOW, last_attempt_at=NOW)
    assert shown == expected


def test_scope_of_a_member_is_what_the_member_may_see(world) -> None:
    paul = world[0]
    for user in (paul, make_user(role="support"), make_user(role="partner_admin")):
        listed = delivery_lists.page(scope=Scope.of(user), criteria=DeliveryCriteria(), now=NOW, limit=500)
        assert set(keys(listed)) == set(Delivery.objects.visible_to(user).values_list("pk", flat=True))


@pytest.mark.django_db
def test_count_and_causes_stop_at_what_is_counted(monkeypatch) -> None:
    monkeypatch.setattr(delivery_lists, "LIST_COUNT_LIMIT", 3)
    endpoint = make_endpoint()
    for number in range(6):
        make_failed_delivery(endpoint=endpoint, event_type=EVENTS[number % 2])
    scope = Scope(endpoint=endpoint.pk)
    assert delivery_lists.count(scope=scope, criteria=DeliveryCriteria(), now=NOW) == 4
    assert delivery_lists.count(scope=scope, criteria=DeliveryCriteria(event_type=EVENTS[0]), now=NOW) == 3
    assert [one.count for one in delivery_lists.causes(scope=scope, criteria=DeliveryCriteria())] == [4]


def test_causes_group_what_failed_with_counts_and_times(world) -> None:
    paul, scopes, rows = world
    for scope, criteria in itertools.product(
        scopes, [DeliveryCriteria(), DeliveryCriteria(received_from=NOON + 10 * MINUTE, received_to=NOON + 25 * MINUTE)]
    ):
        failed = naive(rows, scope=scope, criteria=replace(criteria, state=StateKind.FAILED), paul=paul)
        expected = {}
        for row in failed:
            expected.setdefault((row.last_cause, row.last_status), []).append(row.first_received_at)
        groups = delivery_lists.causes(scope=scope, criteria=criteria)
        found = {(one.cause, one.status): (one.count, one.first_received_at, one.last_received_at) for one in groups}
        assert found == {key: (len(times), min(times), max(times)) for key, times in expected.items()}
        assert [one.count for one in groups] == sorted((one.count for one in groups), reverse=True)


def test_refused_requests_are_grouped_by_reason_after_the_causes_in_every_scope(world) -> None:
    paul, scopes, rows = world
    ours = scopes[3].endpoint
    other = next(row.endpoint for row in rows if not in_scope(row, scopes[1], paul_sees(paul)))
    for endpoint, reason, minute in ((ours, "stale", 5), (ours, "mismatch", 12), (ours, "mismatch", 30)):
        make_refused_attempt(
            endpoint=Endpoint.objects.get(pk=endpoint), reason=reason, received_at=NOON + minute * MINUTE
        )
    make_refused_attempt(endpoint=other, reason="missing", received_at=NOON)

    def refused(scope, **times):
        groups = delivery_lists.causes(scope=scope, criteria=DeliveryCriteria(**times))
        assert [one.is_refused for one in groups] == sorted(one.is_refused for one in groups)
        return [(one.cause, one.count, one.first_received_at, one.last_received_at) for one in groups if one.is_refused]

    mismatch = ("mismatch", 2, NOON + 12 * MINUTE, NOON + 30 * MINUTE)
    stale = ("stale", 1, NOON + 5 * MINUTE, NOON + 5 * MINUTE)
    assert refused(scopes[0]) == [mismatch, ("missing", 1, NOON, NOON), stale]
    for scope in scopes[1:4]:
        assert refused(scope) == [mismatch, stale]
    assert refused(scopes[4]) == []
    within = {"received_from": NOON + 10 * MINUTE, "received_to": NOON + 30 * MINUTE}
    assert refused(scopes[3], **within) == [("mismatch", 1, NOON + 12 * MINUTE, NOON + 12 * MINUTE)]


def paul_sees(paul):
    return set(paul.grants.values_list("install_id", flat=True))


def test_id_in_several_spellings_is_one_list_newest_first(db) -> None:
    endpoint = make_endpoint()
    for number, resource in enumerate(["con_ab", "con_AB", "con_ab", "CON_AB", "con_aB"]):
        make_delivery(
            endpoint=endpoint,
            opentrain_id=f"dlv_{number}",
            resource_id=resource,
            first_received_at=NOON + number * MINUTE,
        )
    criteria = DeliveryCriteria(resource_id="con_ab")
    found = delivery_lists.page(scope=Scope(), criteria=criteria, now=NOW, limit=3)
    assert [one.opentrain_id for one in found] == ["dlv_3", "dlv_2", "dlv_1"]
    last = list(found)[-1]
    older = Cursor(last.first_received_at, last.pk)
    found = delivery_lists.page(scope=Scope(), criteria=criteria, now=NOW, limit=3, cursor=older)
    assert [one.opentrain_id for one in found] == ["dlv_0"]
    assert delivery_lists.count(scope=Scope(), criteria=criteria, now=NOW) == 4
