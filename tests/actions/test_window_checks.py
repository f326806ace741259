"""Marking a time as checked: once, of exactly that time, audited, and without a call to OpenTrain."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from dashboard.actions import audit, window_checks
from dashboard.actions.window_checks import Changed, CheckedBefore, mark_checked, show_again
from dashboard.models import AuditEntry, Endpoint, EndpointSnapshot, Install, User, WindowCheck
from dashboard.presenters.activity import activity_row
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint, make_install, make_user
from tests.presenters.test_may_be_missing import MINUTE, NOW, stopped

pytestmark = pytest.mark.django_db
UNTIL = NOON + 110 * MINUTE / 60
SPAN = "between 2026-06-12 12:00:00 UTC and 2026-06-12 12:01:50 UTC"


@pytest.fixture
def endpoint() -> Endpoint:
    return stopped(make_install())


def mark(endpoint: Endpoint, **given: Any) -> None:
    mark_checked(
        endpoint=endpoint,
        **{
            "actor": given.pop("actor", None) or make_user(),
            "since": NOON,
            "until": UNTIL,
            "note": "",
            "now": NOW,
            "operation": uuid.uuid4(),
        }
        | given,
    )


def again(endpoint: Endpoint, **given: Any) -> bool:
    given = {"since": NOON, "until": UNTIL, "operation": uuid.uuid4()} | given
    return show_again(actor=given.pop("actor", None) or make_user(), endpoint=endpoint, **given)


def test_time_is_checked_with_an_entry_and_without_a_call(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    mark(endpoint, actor=support, note="Partner compared\nwith its own list")
    row = WindowCheck.objects.get()
    assert (row.endpoint, row.since, row.until, row.checked_at) == (endpoint, NOON, UNTIL, NOW)
    assert (row.checked_by, row.checked_by_name, row.note) == (support, "ana", "Partner compared with its own list")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.phase, entry.actor, entry.endpoint) == (window_checks.CHECK, "done", support, endpoint)
    assert entry.words == (
        f"Marked as checked: events {SPAN}. The inbox does not show them, and nothing is proven. "
        "Note: “Partner compared with its own list”"
    )
    assert activity_row(entry, from_where=True, now=NOW).title.startswith(
        f"ana checked the events that may be missing at {entry.endpoint_shown} of {endpoint.install.name}. Marked as"
    )
    assert fake_opentrain.calls == []


def test_same_form_twice_is_one_check(endpoint: Endpoint) -> None:
    form = uuid.uuid4()
    mark(endpoint, operation=form)
    with pytest.raises(audit.NotedBefore):
        mark(endpoint, operation=form)
    assert again(endpoint)
    with pytest.raises(audit.NotedBefore):  # nor does it come back from an old tab
        mark(endpoint, operation=form)
    assert not WindowCheck.objects.exists()


def test_second_person_learns_who_was_first(endpoint: Endpoint, support: User) -> None:
    mark(endpoint, actor=support)
    with pytest.raises(CheckedBefore) as raised:
        mark(endpoint, note="Me too")
    assert raised.value.row.checked_by_name == "ana"
    assert (WindowCheck.objects.get().note, AuditEntry.objects.count()) == ("", 1)


@pytest.mark.parametrize(("since", "until"), [(NOON, UNTIL + MINUTE), (NOON - MINUTE, UNTIL), (UNTIL, NOON)])
def test_time_that_the_history_does_not_show_is_not_checked(
    endpoint: Endpoint, since: datetime, until: datetime
) -> None:
    with pytest.raises(Changed):
        mark(endpoint, since=since, until=until)
    assert not AuditEntry.objects.exists()


def test_time_that_lasts_and_endpoints_that_are_gone_are_not_checked() -> None:
    lasting = stopped(make_install(), until=None)
    with pytest.raises(Changed):
        mark(lasting, until=NOW)
    gone = stopped(make_install(), deleted_at=NOW)
    with pytest.raises(Changed):
        mark(gone)
    with pytest.raises(Changed):
        mark(make_endpoint())
    assert not WindowCheck.objects.exists()


def test_time_can_be_checked_after_its_install_was_disconnected() -> None:
    endpoint = stopped(make_install(disconnected_at=NOW, disconnected_by_name="ben"))
    mark(endpoint)
    assert WindowCheck.objects.get().endpoint == endpoint


def test_note_keeps_no_secret_and_fits(endpoint: Endpoint) -> None:
    mark(endpoint, note=f"They sent whsec_{'a' * 40} " + "x" * 400)
    row = WindowCheck.objects.get()
    assert "whsec_a" not in row.note
    assert len(row.note) <= 300
    assert "whsec_a" not in AuditEntry.objects.get().words


def test_check_is_taken_back_once(endpoint: Endpoint, support: User) -> None:
    mark(endpoint, actor=support)
    form = uuid.uuid4()
    assert again(endpoint, operation=form)
    assert not WindowCheck.objects.exists()
    entry = AuditEntry.objects.get(action=window_checks.SHOW_AGAIN)
    assert entry.words == f"No longer marked as checked: events {SPAN}. ana had checked them."
    with pytest.raises(audit.NotedBefore):
        again(endpoint, operation=form)
    assert not again(endpoint)
    assert AuditEntry.objects.count() == 2


def test_check_goes_with_its_endpoint_and_outlives_who_made_it(endpoint: Endpoint) -> None:
    actor = make_user(username="gone")
    mark(endpoint, actor=actor)
    WindowCheck.objects.update(checked_by=None)
    assert WindowCheck.objects.get().checked_by_name == "gone"
    EndpointSnapshot.objects.all().delete()
    Endpoint.objects.filter(pk=endpoint.pk).delete()
    assert not WindowCheck.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_people_at_once_give_one_check() -> None:
    endpoint = stopped(make_install())
    people = [make_user() for _ in range(4)]

    def press(actor: User) -> str:
        try:
            mark(endpoint, actor=actor)
        except CheckedBefore:
            return "before"
        finally:
            connections.close_all()
        return "first"

    with ThreadPoolExecutor(len(people)) as pool:
        said = sorted(pool.map(press, people))
    assert said == ["before", "before", "before", "first"]
    assert (WindowCheck.objects.count(), AuditEntry.objects.count()) == (1, 1)


def test_stops_of_other_installs_are_not_touched(endpoint: Endpoint) -> None:
    other = stopped(Install.objects.get(pk=make_install().pk), since=NOON - timedelta(hours=1))
    mark(endpoint)
    assert not WindowCheck.objects.filter(endpoint=other).exists()
