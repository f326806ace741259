"""Storing snapshots of endpoints: of lists and of single answers, their history, and entries that cannot be read."""

import dataclasses
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dashboard.actions.installs import snapshots
from dashboard.models import Endpoint, EndpointSnapshot, Install
from dashboard.models.endpoints import receiver_url
from dashboard.rules.installs import UnreadEntry
from dashboard.services import opentrain
from tests.factories import NOON, make_install

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def listed(count: int, **said: Any) -> list[opentrain.WebhookEndpoint]:
    """Entries of OpenTrain's list, all with the same words."""
    words = {
        "event_types": ("contract.started", "contract.ended"), "status": "ACTIVE", "created_at": NOON,
        "consecutive_failures": 0, "disabled_at": None, "disabled_reason": None,
    } | said  # fmt: skip
    return [
        opentrain.WebhookEndpoint(id=f"whe_{number}", url=f"https://a.example.com/{number}", **words)
        for number in range(count)
    ]


def queries_of(install: Install, remote: list[opentrain.WebhookEndpoint], at: datetime) -> int:
    with CaptureQueriesContext(connection) as asked:
        snapshots.record_endpoints(install=install, remote=remote, at=at)
    return len(asked)


def test_storing_a_list_takes_as_many_queries_for_2500_endpoints_as_for_25() -> None:
    few, many = make_install(), make_install()
    an_hour = snapshots.HISTORY_EVERY
    steps = [
        (NOON, {}),
        (NOON + an_hour, {}),  # time for a row in each history
        (NOON + an_hour * 1.5, {}),
        (NOON + an_hour * 2, {"consecutive_failures": 3}),
        (NOON + an_hour * 3, {"status": "DISABLED", "consecutive_failures": 10, "disabled_at": NOON}),
        (NOON + an_hour * 3.5, {"status": "DISABLED", "consecutive_failures": 10, "disabled_at": NOON}),
    ]
    for at, said in steps:
        most = queries_of(many, listed(2500, **said), at)
        assert (most, at) == (queries_of(few, listed(25, **said), at), at)
        assert most <= (8 if at == NOON else 6)  # new ones are compared with all others once, for their titles
    assert queries_of(many, [], NOON + an_hour * 4) == queries_of(few, [], NOON + an_hour * 4)
    assert Endpoint.objects.registered().count() == 0
    assert EndpointSnapshot.objects.filter(endpoint__install=many).count() == 2500 * 4


def test_list_and_single_answer_store_the_same() -> None:
    changes = [{}, {"consecutive_failures": 9}, {"status": "DISABLED", "disabled_at": NOON, "disabled_reason": "é “x”"}]
    by_list, by_answer = make_install(), make_install()
    for number, said in enumerate(changes):
        at = NOON + timedelta(minutes=number, microseconds=number)
        snapshots.record_endpoints(install=by_list, remote=listed(1, **said), at=at)
        assert snapshots.record_endpoint(install=by_answer, remote=listed(1, **said)[0], at=at) == said.get(
            "status", "ACTIVE"
        )
        snapshots.record_endpoint(install=by_answer, remote=listed(1)[0], at=at - timedelta(microseconds=1))  # too old
    columns = ("url", "event_types", "status", "severity", "created_at", "consecutive_failures", "disabled_at")
    columns += ("disabled_reason", "snapshot_at", "history_at", "deleted_at", "receiver_key")
    stored = [Endpoint.objects.filter(install=one).values(*columns).get() for one in (by_list, by_answer)]
    assert stored[0] == stored[1]
    assert stored[0] | {"snapshot_at": at, "history_at": at, "disabled_reason": "é “x”"} == stored[0]
    rows = [
        list(EndpointSnapshot.objects.filter(endpoint__install=one).order_by("at").values("at", "status", "severity"))
        for one in (by_list, by_answer)
    ]
    assert rows[0] == rows[1]
    assert len(rows[0]) == len(changes)


def test_history_tells_the_event_types_the_path_and_since_when_at_the_earliest() -> None:
    install = make_install()
    minutes = [NOON + timedelta(minutes=number) for number in range(6)]
    states = [
        {},
        {},  # nothing changes
        {"event_types": ("contract.ended",)},
        {"event_types": ("contract.ended",), "status": "DISABLED"},
        {"event_types": ("contract.ended",), "status": "DISABLED", "url": "https://elsewhere.example/"},
    ]
    snapshots.record_endpoints(install=install, remote=listed(1), at=minutes[0])
    endpoint = Endpoint.objects.get()
    Endpoint.objects.update(receiver_key="k" * 43)
    through = {"url": receiver_url(receiver_key="k" * 43)}
    for at, state in zip(minutes[1:], states, strict=True):
        remote = [dataclasses.replace(one, **through | state) for one in listed(1)]
        snapshots.record_endpoints(install=install, remote=remote, at=at)
    types = ["contract.ended"]
    usual = sorted(listed(1)[0].event_types)
    columns = ("at", "not_before", "status", "event_types", "is_received")
    assert list(endpoint.history.order_by("at").values_list(*columns)) == [
        (minutes[0], None, "ACTIVE", usual, False),
        (minutes[1], minutes[0], "ACTIVE", usual, True),
        (minutes[3], minutes[2], "ACTIVE", types, True),
        (minutes[4], minutes[3], "DISABLED", types, True),
        (minutes[5], minutes[4], "DISABLED", types, False),
    ]


def test_endpoint_says_when_it_was_last_seen_stopped_or_active_again_after_that() -> None:
    install, found = make_install(), []
    minutes = [NOON + timedelta(minutes=number) for number in (0, 1, 2, 3, 4, 70)]
    for at, status in zip(minutes, ("ACTIVE", "DISABLED", "DISABLED", "ACTIVE", "ACTIVE", "ACTIVE"), strict=True):
        snapshots.record_endpoints(install=install, remote=listed(1, status=status), at=at)
        found.append(Endpoint.objects.get().stopped_seen_at)
    assert found == [None, minutes[1], minutes[1], minutes[3], minutes[3], minutes[3]]


WHY = "its field url is not a text"


def state_of(install: Install) -> list[tuple[str | None, bool, str]]:
    """Return each endpoint's ID, whether it counts as deleted, and why its entry could not be read."""
    rows = Endpoint.objects.filter(install=install).order_by("pk")
    return [(row.opentrain_id, row.deleted_at is not None, row.unread_why) for row in rows]


def fine_of(install: Install) -> tuple[int, int]:
    install.refresh_from_db()
    return install.endpoint_count, install.fine_count


def test_endpoint_whose_entry_cannot_be_read_keeps_its_data_until_it_can() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=listed(3), at=NOON)
    assert fine_of(install) == (3, 3)
    odd = [*listed(2, consecutive_failures=3)[1:], UnreadEntry(1, "whe_0", WHY)]
    snapshots.record_endpoints(install=install, remote=odd, at=NOON + MINUTE)
    assert state_of(install) == [("whe_0", False, WHY), ("whe_1", False, ""), ("whe_2", True, "")]
    kept = Endpoint.objects.get(opentrain_id="whe_0")
    assert (kept.status, kept.consecutive_failures, kept.snapshot_at) == ("ACTIVE", 0, NOON)
    assert fine_of(install) == (2, 0)
    snapshots.record_endpoints(install=install, remote=listed(2), at=NOON + 2 * MINUTE)
    assert state_of(install)[:2] == [("whe_0", False, ""), ("whe_1", False, "")]
    assert fine_of(install) == (2, 2)


def test_single_answer_makes_an_endpoint_readable_again() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=listed(1), at=NOON)
    snapshots.record_endpoints(install=install, remote=[UnreadEntry(1, "whe_0", WHY)], at=NOON + MINUTE)
    snapshots.record_endpoint(install=install, remote=listed(1)[0], at=NOON + 2 * MINUTE)
    assert state_of(install) == [("whe_0", False, "")]
    assert fine_of(install) == (1, 1)


def test_list_with_an_entry_without_an_id_deletes_no_endpoint() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=listed(3), at=NOON)
    snapshots.record_endpoints(install=install, remote=[*listed(1), UnreadEntry(2, None, WHY)], at=NOON + MINUTE)
    assert state_of(install) == [("whe_0", False, ""), ("whe_1", False, ""), ("whe_2", False, "")]
    snapshots.record_endpoints(install=install, remote=listed(1), at=NOON + 2 * MINUTE)
    assert [is_deleted for _, is_deleted, _ in state_of(install)] == [False, True, True]


def test_entry_that_cannot_be_read_beside_one_that_can_changes_nothing() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=[*listed(1), UnreadEntry(2, "whe_0", WHY)], at=NOON)
    assert state_of(install) == [("whe_0", False, "")]


def test_unread_entry_undoes_no_deletion_made_since_and_restores_one_made_before() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=listed(2), at=NOON)
    Endpoint.objects.filter(opentrain_id="whe_0").update(deleted_at=NOON + 2 * MINUTE, snapshot_at=NOON + 2 * MINUTE)
    Endpoint.objects.filter(opentrain_id="whe_1").update(deleted_at=NOON)
    odd = [UnreadEntry(1, "whe_0", WHY), UnreadEntry(2, "whe_1", WHY)]
    snapshots.record_endpoints(install=install, remote=odd, at=NOON + MINUTE)
    assert state_of(install) == [("whe_0", True, ""), ("whe_1", False, WHY)]


def test_thousands_of_unread_entries_take_few_queries() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=listed(2500), at=NOON)
    odd = [UnreadEntry(number + 1, f"whe_{number}", WHY) for number in range(2500)]
    with CaptureQueriesContext(connection) as asked:
        snapshots.record_endpoints(install=install, remote=odd, at=NOON + MINUTE)
    assert len(asked) <= 4
    assert fine_of(install) == (2500, 0)
