"""What open findings mean for people, by install; and of which installs it is not known whether events are missing."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import Endpoint, Finding, Install, User
from dashboard.queries import consequences
from dashboard.queries.consequences import contract_needs, known
from dashboard.rules.consequences import Affected, Known, Need, Unknown
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason
from tests.factories import (
    NOON,
    make_contract,
    make_endpoint,
    make_finding,
    make_install,
    make_reconciliation,
)

HOUR = timedelta(hours=1)
NOW = NOON + HOUR
EVERY = timedelta(minutes=10)
SCOPES = ["webhooks:manage", "contracts:read", "project-links:read"]


@pytest.fixture
def install(db: None) -> Install:
    return make_install(name="Acme Labs", token_scopes=SCOPES)


@pytest.fixture
def endpoint(install: Install) -> Endpoint:
    return make_endpoint(install=install)


def lacks(endpoint: Endpoint, **columns: Any) -> Finding:
    """Open a finding of a contract of its own: its end is missing, and a person may still have access."""
    defaults = {"consequence": Consequence.ACCESS, "reason": Reason.UNPROVEN}
    return make_finding(contract=make_contract(install=endpoint.install), endpoint=endpoint, **defaults | columns)


def needs(user: User) -> list[tuple[str, Affected]]:
    return [(one.install_name, one.affected) for one in contract_needs(user=user)]


def test_contracts_are_counted_once_however_many_endpoints_lack_their_event(endpoint: Endpoint, support: User) -> None:
    first, second = lacks(endpoint), lacks(endpoint, happened_at=NOON - HOUR)
    other = make_endpoint(install=endpoint.install)
    make_finding(contract=first.contract, endpoint=other, consequence=Consequence.ACCESS, reason=Reason.UNPROVEN)
    expected = Affected(
        need=Need.ACCESS,
        contracts=2,
        first_counted=2,
        handlers=2,
        times=(NOON, second.happened_at),
        oldest=second.happened_at,
    )
    assert needs(support) == [("Acme Labs", expected)]


def test_contract_with_two_needs_is_counted_with_the_worse(endpoint: Endpoint, support: User) -> None:
    both = lacks(endpoint)
    started = {"event_type": Event.STARTED, "consequence": Consequence.PROVISION, "reason": Reason.UNPROVEN}
    make_finding(contract=both.contract, endpoint=make_endpoint(install=endpoint.install), **started)
    lacks(endpoint, **started)
    counted = [(found.need, found.contracts, found.first_counted) for _name, found in needs(support)]
    assert counted == [(Need.ACCESS, 1, 1), (Need.PROVISION, 2, 1)]


@pytest.mark.parametrize(
    ("columns", "need"),
    [
        ({}, Need.ACCESS),
        ({"kind": Kind.FAILED, "reason": ""}, Need.ACCESS),
        ({"kind": Kind.REFUSED, "reason": ""}, Need.ACCESS),
        ({"kind": Kind.OUT_OF_ORDER, "reason": ""}, Need.OUT_OF_ORDER),
        ({"event_type": Event.STARTED, "consequence": Consequence.PROVISION}, Need.PROVISION),
        ({"kind": Kind.NOT_SEEN_YET, "reason": ""}, Need.COMING),
        ({"kind": Kind.NOT_SEEN_YET, "reason": "", "consequence": ""}, Need.COMING),
        ({"kind": Kind.RETRYING, "reason": ""}, Need.RETRYING),
        ({"kind": Kind.REQUESTED, "reason": ""}, Need.REQUESTED),
        ({"kind": Kind.NOT_SEEN_YET, "reason": "", "event_type": Event.STARTED}, None),
        ({"consequence": ""}, None),
        ({"closed_at": NOON}, None),
        ({"consequence": "", "reason": Reason.REGISTERED_AFTER}, None),
        ({"consequence": "", "reason": Reason.NOT_SUBSCRIBED}, None),
    ],
)
def test_each_finding_is_one_need_or_none(
    columns: dict[str, Any], need: Need | None, endpoint: Endpoint, support: User
) -> None:
    lacks(endpoint, **columns)
    assert [one.need for _name, one in needs(support)] == ([] if need is None else [need])


def test_times_that_are_not_known_are_said_not_to_be(endpoint: Endpoint, support: User) -> None:
    lacks(endpoint, happened_at=None)
    assert needs(support)[0][1] == Affected(need=Need.ACCESS, contracts=1, first_counted=1, handlers=1, undated=True)
    lacks(endpoint)
    [(_name, found)] = needs(support)
    assert (found.contracts, found.times, found.oldest, found.undated) == (2, (NOON,), NOON, True)


def test_many_contracts_keep_the_newest_times_and_the_oldest(endpoint: Endpoint, support: User) -> None:
    for hours in range(5):
        lacks(endpoint, happened_at=NOON - hours * HOUR)
    [(_name, found)] = needs(support)
    assert found.contracts == 5
    assert found.times == (NOON, NOON - HOUR, NOON - 2 * HOUR)
    assert found.oldest == NOON - 4 * HOUR


def test_until_is_when_the_last_may_come(endpoint: Endpoint, support: User) -> None:
    for hours in (1, 3, 2):
        lacks(endpoint, kind=Kind.NOT_SEEN_YET, reason="", until=NOON + hours * HOUR)
    assert needs(support)[0][1].until == NOON + 3 * HOUR


def test_more_findings_than_counted_are_told_as_more(support: User) -> None:
    few, many = (make_endpoint(install=make_install()) for _ in range(2))
    Finding.objects.bulk_create(
        Finding(
            install=one.install,
            contract=make_contract(install=one.install),
            endpoint=one,
            event_type=Event.ENDED,
            kind=Kind.MISSING,
            consequence=Consequence.ACCESS,
            happened_at=NOON,
            found_at=NOON,
            changed_at=NOON,
        )
        for one, count in ((few, 1), (many, consequences.COUNTED + 1))
        for _ in range(count)
    )
    found = [one.affected for one in contract_needs(user=support)]
    assert [(one.contracts, one.more) for one in found] == [(consequences.COUNTED, True), (1, False)]


def test_worst_comes_first_and_then_what_concerns_most(support: User) -> None:
    for name, columns, count in (
        ("coming", {"kind": Kind.NOT_SEEN_YET, "reason": ""}, 3),
        ("provision", {"event_type": Event.STARTED, "consequence": Consequence.PROVISION}, 2),
        ("access", {}, 1),
        ("accesses", {}, 2),
    ):
        endpoint = make_endpoint(install=make_install(name=name))
        for _ in range(count):
            lacks(endpoint, **columns)
    assert [name for name, _found in needs(support)] == ["accesses", "access", "provision", "coming"]


def test_partner_admins_learn_of_their_installs_alone(partner_admin: User, acme: Install, support: User) -> None:
    lacks(make_endpoint(install=acme))
    lacks(make_endpoint(install=make_install(name="Other Data")))
    assert [name for name, _found in needs(partner_admin)] == ["Acme Labs"]
    assert len(needs(support)) == 2


def test_needs_are_one_query_that_finds_installs_by_the_index(endpoint: Endpoint, support: User) -> None:
    lacks(endpoint)
    with CaptureQueriesContext(connection) as captured:
        contract_needs(user=support)
    [query] = captured.captured_queries
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE dashboard_finding")  # what earlier tests left of it would choose the plan
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {query['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "finding_of_inbox" in plan, plan


def read(install: Install, **columns: Any) -> None:
    defaults = dict.fromkeys(("contracts_read_at", "links_read_at", "judged_at"), NOW - EVERY)
    make_reconciliation(install=install, **defaults | columns)


@pytest.mark.parametrize(
    ("columns", "endpoint_columns", "token_scopes", "why"),
    [
        ({}, {}, SCOPES, None),
        ({}, {}, ["contracts:read", "project-links:write"], None),
        ({}, {}, ["webhooks:manage", "contracts:read"], Unknown.NO_SCOPE),
        ({}, {}, ["webhooks:manage", "project-links:read"], Unknown.NO_SCOPE),
        ({"contracts_read_at": None}, {}, SCOPES, Unknown.NEVER_READ),
        ({"links_read_at": None}, {}, SCOPES, Unknown.NEVER_READ),
        ({"judged_at": None}, {}, SCOPES, Unknown.NEVER_READ),
        (None, {}, SCOPES, Unknown.NEVER_READ),
        ({"error": "OpenTrain did not answer."}, {}, SCOPES, Unknown.FAILED),
        ({"out_of_reach": "More than 200 of one link."}, {}, SCOPES, Unknown.OUT_OF_REACH),
        ({"contracts_read_at": NOW - 2 * EVERY - timedelta(minutes=6)}, {}, SCOPES, Unknown.OUTDATED),
        ({"links_read_at": NOW - 2 * EVERY - timedelta(minutes=6)}, {}, SCOPES, Unknown.OUTDATED),
        ({"judged_at": NOW - EVERY - timedelta(seconds=1)}, {}, SCOPES, Unknown.OUTDATED),
        ({}, {"receiver_key": None}, SCOPES, Unknown.DIRECT),
        ({}, {"url": "https://elsewhere.example.com/"}, SCOPES, Unknown.DIRECT),
    ],
)
def test_why_it_is_not_known_of_an_install(
    columns: dict[str, Any] | None,
    endpoint_columns: dict[str, Any],
    token_scopes: list[str],
    why: Unknown | None,
    support: User,
) -> None:
    install = make_install(token_scopes=token_scopes)
    make_endpoint(install=install, **endpoint_columns)
    if columns is not None:
        read(install, **columns)
    found = known(user=support, every=EVERY, now=NOW)
    assert found == Known(installs=1, unknown=() if why is None else ((why, 1),))


@pytest.mark.parametrize(
    "columns", [{"event_types": ["milestone.funded"]}, {"deleted_at": NOON}, {"opentrain_id": None}]
)
def test_installs_to_which_no_contract_event_comes_do_not_count(columns: dict[str, Any], support: User) -> None:
    make_endpoint(install=make_install(), **columns)
    assert known(user=support, every=EVERY, now=NOW) == Known()


def test_open_findings_are_no_reason_to_be_reassured(endpoint: Endpoint, support: User, outsider: User) -> None:
    read(endpoint.install)
    lacks(endpoint, consequence="")
    lacks(endpoint, consequence="", closed_at=NOON)
    lacks(endpoint, kind=Kind.NOT_SEEN_YET, reason="", event_type=Event.STARTED)
    lacks(endpoint, reason=Reason.NOT_SUBSCRIBED, consequence="")
    assert known(user=support, every=EVERY, now=NOW) == Known(installs=1, missing=1, coming=1)
    lacks(endpoint, reason=Reason.REGISTERED_AFTER, consequence="")
    assert known(user=support, every=EVERY, now=NOW) == Known(installs=1, missing=1, coming=1, expected=True)
    assert known(user=outsider, every=EVERY, now=NOW) == Known()


def test_known_counts_installs_by_their_first_reason(support: User) -> None:
    for columns in ({"error": "No answer.", "out_of_reach": "Some."}, {"error": "No answer."}, {}):
        install = make_install(token_scopes=SCOPES)
        make_endpoint(install=install)
        read(install, **columns)
    make_endpoint(install=make_install())
    found = known(user=support, every=EVERY, now=NOW)
    assert found == Known(installs=4, unknown=((Unknown.NO_SCOPE, 1), (Unknown.FAILED, 2)))
