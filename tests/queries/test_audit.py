"""The audit's pages: each entry once despite changes meanwhile, only visible entries, and bounded costs."""

import itertools
import uuid
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.models import AuditEntry, Endpoint, Install, Unanswered, User
from dashboard.queries import audit
from dashboard.queries.audit import AuditCriteria
from dashboard.queries.delivery_lists import Cursor
from tests.factories import NOON, make_endpoint, make_entry, make_grant, make_install, make_user

SECOND = timedelta(seconds=1)
FILL = """
    INSERT INTO dashboard_auditentry (at, operation, phase, action, actor_name, actor_id, install_id, install_name,
        delivery_id, words, quoted, code, request_id, while_stopped)
    SELECT timestamptz '2026-06-12 12:00Z' + n / 3 * interval '1 second', gen_random_uuid(), 'done', 'a', 'ana', %s, %s,
        'Acme Labs', '', '', '', '', '', false
    FROM generate_series(1, %s) n
"""


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme, opentrain_id="whe_1")


def page(user: User, *, limit: int = 50, cursor: Cursor | None = None, **criteria: object) -> list[AuditEntry]:
    return audit.page(user=user, criteria=AuditCriteria(**criteria), limit=limit, cursor=cursor)


def fill(rows: int, *, actor: User, install: Install | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FILL, [actor.pk, install and install.pk, rows])


def beside(entry: AuditEntry, *, newer: bool = False) -> Cursor:
    return Cursor(entry.at, entry.pk, newer=newer)


@pytest.mark.parametrize("who", ["support", "partner_admin"])
def test_pages_hold_every_entry_once_both_ways_while_others_arrive(
    who: str, request: pytest.FixtureRequest, support: User, partner_admin: User, acme: Install
) -> None:
    user = request.getfixturevalue(who)
    fill(100, actor=support, install=acme)
    fill(20, actor=partner_admin, install=None)
    expected = list(AuditEntry.objects.newest_first().values_list("pk", flat=True))
    found = page(user, limit=7)
    there = list(found)
    while found:
        make_entry(install=acme, at=NOON + timedelta(days=1))
        found = page(user, limit=7, cursor=beside(there[-1]))
        there += found
    assert [entry.pk for entry in there] == expected
    back = [there[-1]]
    while back[0].pk != expected[0]:
        back = page(user, limit=7, cursor=beside(back[0], newer=True)) + back
        back = [entry for entry in back if entry.pk in expected]
    assert [entry.pk for entry in back] == expected


def test_page_of_anybody_is_what_is_visible_to_them(
    support: User, partner_admin: User, outsider: User, acme: Install
) -> None:
    other, nobody = outsider.grants.get().install, make_user(role="")
    make_grant(user=partner_admin, install=make_install())
    actors, installs = [support, partner_admin, outsider, nobody, None], [acme, other, make_install(), None]
    for number, (actor, install) in enumerate(itertools.product(actors, installs)):
        make_entry(actor=actor, install=install, at=NOON + number * SECOND)
    for user in (support, partner_admin, outsider, nobody):
        visible = list(AuditEntry.objects.visible_to(user).newest_first())
        assert page(user) == visible
        assert page(user, limit=3) == visible[:3]
    assert [len(page(user)) for user in (support, partner_admin, outsider, nobody)] == [20, 8, 8, 4]


def test_operation_is_its_answer_or_its_request_while_it_has_none(support: User, acme: Install) -> None:
    answered, open_still = uuid.uuid4(), uuid.uuid4()
    asked = make_entry(install=acme, phase="requested", operation=answered)
    made = make_entry(install=acme, phase="refused", operation=answered, at=NOON + SECOND)
    waiting = make_entry(install=acme, phase="requested", operation=open_still, at=NOON + 2 * SECOND)
    assert page(support) == [waiting, made]
    assert page(support, phase="requested") == [waiting]
    assert audit.page(user=support, criteria=AuditCriteria(), limit=9, whole=True) == [waiting, made, asked]


def test_what_has_no_answer_is_kept_in_a_list_that_is_shown_to_whom_it_concerns(
    support: User, partner_admin: User, outsider: User, acme: Install
) -> None:
    waiting = [make_entry(install=acme, phase="requested", at=NOON + number * SECOND) for number in range(3)]
    own = make_entry(actor=outsider, actor_name="olga", phase="requested", at=NOON - SECOND)
    answered = waiting.pop()
    make_entry(install=acme, phase="unknown", operation=answered.operation, at=NOON + 9 * SECOND)
    make_entry(install=acme)
    kept = set(Unanswered.objects.values_list("entry_id", "operation"))
    assert kept == {(entry.pk, entry.operation) for entry in (*waiting, own)}
    newest = waiting[::-1]
    assert page(support, phase="requested") == [*newest, own]
    assert page(partner_admin, phase="requested") == newest
    assert page(outsider, phase="requested") == [own]
    assert page(support, phase="requested", limit=2, cursor=beside(newest[0])) == [waiting[0], own]
    assert page(support, phase="requested", who="olga") == [own]


def test_list_of_what_has_no_answer_is_filled_from_what_was_there_before(support: User, acme: Install) -> None:
    waiting, asked = (make_entry(install=acme, phase="requested") for _ in range(2))
    Unanswered.objects.all().delete()
    make_entry(install=acme, operation=asked.operation)
    migration = import_module("dashboard.migrations.0016_audit_lists")
    with connection.cursor() as cursor:
        cursor.execute(migration.FILL)
        assert list(Unanswered.objects.values_list("entry_id", flat=True)) == [waiting.pk]
        cursor.execute("INSERT INTO dashboard_unanswered VALUES (%s, %s)", [asked.pk, asked.operation])
        assert page(support, phase="requested") == [waiting]
        cursor.execute(migration.SETTLE)
    assert list(Unanswered.objects.values_list("entry_id", flat=True)) == [waiting.pk]


@pytest.mark.parametrize(
    "criteria",
    [
        {"who": "paul"}, {"what": "pause endpoint"}, {"phase": "refused"}, {"install": "acme labs"},
        {"install": "ins_acme"}, {"install": "{install}"}, {"endpoint": "whe_1"}, {"endpoint": "{endpoint}"},
        {"delivery_id": "dlv_1"}, {"request_id": "9d1f"}, {"at_from": NOON}, {"at_to": NOON + SECOND},
        {"delivery_id": "DLV_1"}, {"request_id": "9D1F"}, {"install": "INS_acme"}, {"endpoint": "Whe_1"},
        {"endpoint": "billing eu"}, {"who": "paul", "what": "pause endpoint", "install": "Acme Labs", "at_from": NOON},
    ],
)  # fmt: skip
def test_filter_finds_what_fits_it_and_nothing_else(criteria: dict[str, object], support: User) -> None:
    acme = make_install(name="Acme Labs", opentrain_id="ins_acme")
    endpoint = make_endpoint(install=acme, opentrain_id="whe_1", name="Billing EU")
    mine = make_entry(
        endpoint=endpoint, actor_name="paul", action="pause endpoint", phase="refused", delivery_id="dlv_1",
        request_id="9d1f",
    )  # fmt: skip
    early = criteria.keys() == {"at_to"}
    make_entry(endpoint=make_endpoint(), delivery_id="dlv_2", at=NOON + (SECOND if early else -SECOND))
    numbers = {"{install}": str(acme.pk), "{endpoint}": str(endpoint.pk)}
    assert page(support, **{name: numbers.get(str(value), value) for name, value in criteria.items()}) == [mine]


@pytest.mark.parametrize(
    "criteria",
    [
        {"who": "paul"}, {"what": "pause endpoint"}, {"phase": "refused"}, {"who": "paul", "phase": "refused"},
        {"endpoint": "whe_1"}, {"delivery_id": "dlv_1"}, {"request_id": "9d1f"}, {"at_from": NOON},
    ],
)  # fmt: skip
def test_filter_finds_what_fits_it_among_an_installs_entries(criteria: dict[str, Any], viewer: User, acme: Install):
    kept = {"actor_name": "paul", "action": "pause endpoint", "phase": "refused", "delivery_id": "dlv_1"}
    endpoint = make_endpoint(install=acme, opentrain_id="whe_1")
    mine = make_entry(endpoint=endpoint, request_id="9d1f", **kept)
    make_entry(endpoint=make_endpoint(install=acme), at=NOON - SECOND)
    make_entry(endpoint=make_endpoint(), request_id="9d1f", **kept)
    assert page(viewer, **criteria) == [mine]


@pytest.mark.parametrize(("name", "text"), [("install", "Acme Labs"), ("install", "ins_x"), ("endpoint", "whe_1")])
def test_what_is_gone_is_found_by_the_names_that_were_kept(name: str, text: str, support: User) -> None:
    install = make_install(name="Acme Labs", opentrain_id="ins_x")
    endpoint = make_endpoint(install=install, opentrain_id="whe_1")
    entry, number = make_entry(endpoint=endpoint), str(install.pk)
    make_entry(endpoint=make_endpoint())
    install.delete()
    assert page(support, **{name: text}) == [entry]
    assert page(support, install=number) == [entry]


def test_suggestions_are_each_name_once(support: User) -> None:
    assert (audit.actions(), audit.actors()) == ([], [])
    for who, what in (("bob", "b"), ("ana", "a"), ("ana", "b"), ("bob", "b")):
        make_entry(actor_name=who, action=what)
    assert (audit.actions(), audit.actors()) == (["a", "b"], ["ana", "bob"])


@pytest.mark.parametrize("who", ["support", "partner_admin"])
def test_page_is_one_statement_that_skips_and_counts_nothing(
    who: str, request: pytest.FixtureRequest, support: User, acme: Install
) -> None:
    user = request.getfixturevalue(who)
    fill(300, actor=support, install=acme)
    first = page(user)
    with CaptureQueriesContext(connection) as asked:
        second = page(user, cursor=beside(first[-1]), who="ana", at_from=NOON)
    assert len(second) == 50
    (sql,) = [query["sql"] for query in asked]
    assert ("OFFSET" in sql, "COUNT(" in sql.upper(), sql.count("LIMIT 50")) == (
        False, False, 1 if who == "support" else 3,
    )  # fmt: skip
