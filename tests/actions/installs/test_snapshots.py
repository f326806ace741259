"""Storing snapshots of endpoints: of lists and of single answers, stale ones, and what an auto-disable gives up."""

import dataclasses
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.actions import endpoint_changes, endpoints
from dashboard.actions.installs import snapshots, sync
from dashboard.models import Delivery, Endpoint, EndpointSnapshot, Install, User
from dashboard.models.endpoints import door_url, new_receiver_key
from dashboard.rules.deliveries import Standing
from dashboard.rules.endpoints import AUTO_DISABLE_AT, Severity
from dashboard.rules.installs import UnreadEntry
from dashboard.rules.snapshots import LAG
from dashboard.services import opentrain
from tests.actions.installs.conftest import connect
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_delivery, make_failed_delivery, make_install

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
    through = {"url": door_url(receiver_key="k" * 43)}
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


def test_list_gives_up_only_what_waits_on_the_endpoints_that_opentrain_disabled() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=listed(3), at=NOON)
    waiting, other, failed = (
        make_delivery(endpoint=endpoint, last_ok=False, last_attempt_at=NOON)
        for endpoint in Endpoint.objects.order_by("pk")
    )
    Delivery.objects.filter(pk=failed.pk).update(standing=Standing.FAILED, due_by=None)
    disabled_at = NOON + timedelta(minutes=1)
    remote = listed(3, status="DISABLED", consecutive_failures=AUTO_DISABLE_AT, disabled_at=disabled_at)
    remote[1] = dataclasses.replace(remote[1], status="ACTIVE", consecutive_failures=9, disabled_at=None)
    snapshots.record_endpoints(install=install, remote=remote, at=disabled_at)
    given_up = dict(Delivery.objects.values_list("pk", "abandoned_at"))
    assert given_up == {waiting.pk: disabled_at, other.pk: None, failed.pk: None}


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


@pytest.fixture
def install(fake_opentrain: FakeOpenTrain, support: User) -> Install:
    return connect(support, fake_opentrain.add_install())[1]


def act(what: str, endpoint: Endpoint, actor: User) -> None:
    """Do one of the operations that change an endpoint."""
    endpoint = Endpoint.objects.select_related("install").get(pk=endpoint.pk)
    common = {"actor": actor, "endpoint": endpoint, "clock": timezone.now, "operation": uuid.uuid4()}
    if what == "re-enable":
        outcome = endpoints.enable(**common)
    elif what == "pause":
        outcome = endpoint_changes.pause(**common)
    elif what == "delete":
        outcome = endpoint_changes.delete(**common)
    else:
        address, types = ("https://new.example.com/", TYPES) if what == "move" else (endpoint.url, TYPES[:1])
        outcome = endpoint_changes.change(**common, address=address, event_types=types)
    assert outcome.ok


def facts(endpoint: Endpoint) -> tuple:
    row = Endpoint.objects.get(pk=endpoint.pk)
    return row.url, row.event_types, row.status, row.consecutive_failures, row.disabled_at, row.deleted_at is not None


TYPES = ["contract.ended", "contract.started"]
CHANGES = ["re-enable", "reset", "pause", "move", "event types", "delete"]


@pytest.fixture
def old(install: Install, fake_opentrain: FakeOpenTrain) -> Endpoint:
    """An endpoint that has been at OpenTrain for long."""
    fake_opentrain.create_endpoint(token=install.token, url="https://old.example.com/", event_types=TYPES)
    sync.refresh(install=install, now=timezone.now() - timedelta(minutes=5))
    return Endpoint.objects.get()


def prepare(what: str, endpoint: Endpoint, fake: FakeOpenTrain) -> str:
    """Bring the endpoint into the state that the operation changes; return the operation's name."""
    if what == "re-enable":
        fake.disable(endpoint.opentrain_id, "10 consecutive failures")
    elif what == "reset":
        fake.set_streak(endpoint.opentrain_id, 7)
    sync.refresh(install=endpoint.install, now=timezone.now() - timedelta(minutes=4))
    return "re-enable" if what == "reset" else what


@pytest.mark.parametrize("what", CHANGES)
def test_list_that_lags_behind_a_change_is_waited_for(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, what: str
) -> None:
    waiting = make_delivery(endpoint=old, last_ok=False, last_attempt_at=timezone.now())
    act_on = prepare(what, old, fake_opentrain)
    before = facts(old)
    asked_before = timezone.now()
    fake_opentrain.fall_behind()
    act(act_on, old, support)
    written = facts(old)
    assert written != before
    history = list(old.history.values_list("status", "consecutive_failures"))
    standing = Delivery.objects.get(pk=waiting.pk).standing
    lags = [asked_before, *(timezone.now() + seconds * SECOND for seconds in (0, 1, 5, 50))]
    for at in lags:
        assert sync.refresh(install=install, now=at) is None
        assert facts(old) == written
    assert list(old.history.values_list("status", "consecutive_failures")) == history
    assert Delivery.objects.get(pk=waiting.pk).standing == standing
    fake_opentrain.catch_up()
    sync.refresh(install=install, now=lags[-1])
    assert facts(old) == written


@pytest.mark.parametrize("what", CHANGES)
def test_what_the_list_says_for_longer_than_it_lags_is_believed(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, what: str
) -> None:
    act_on = prepare(what, old, fake_opentrain)
    before = facts(old)
    fake_opentrain.fall_behind()
    act(act_on, old, support)
    sync.refresh(install=install, now=timezone.now() + LAG)
    assert facts(old) == before


def test_changes_in_a_row_are_all_waited_for(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fall_behind()
    for what in ("move", "pause", "re-enable", "event types", "pause"):
        act(what, old, support)
        written = facts(old)
        sync.refresh(install=install, now=timezone.now())
        assert facts(old) == written
    fake_opentrain.catch_up()
    act("re-enable", old, support)
    fake_opentrain.fall_behind()
    act("pause", old, support)
    act("delete", old, support)
    sync.refresh(install=install, now=timezone.now())
    assert Endpoint.objects.registered().count() == 0
    assert old.writes.filter(at__lt=timezone.now() - LAG).count() == 0


def test_change_that_a_list_shows_before_its_answer_comes_is_remembered_as_well(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poller reads the list during the call, and a list that lags comes after it."""
    prepare("re-enable", old, fake_opentrain)
    fake_opentrain.fall_behind()
    update = fake_opentrain.update_endpoint

    def update_slowly(**given: Any) -> opentrain.WebhookEndpoint:
        answer = update(**given)
        snapshots.record_endpoints(install=install, remote=[answer], at=timezone.now())
        return answer

    monkeypatch.setattr(opentrain, "update_endpoint", update_slowly)
    act("re-enable", old, support)
    sync.refresh(install=install, now=timezone.now())
    assert Endpoint.objects.get().status == "ACTIVE"


@pytest.mark.parametrize("received", [True, False])
def test_registered_endpoint_that_the_list_lacks_yet_is_not_taken_for_deleted(
    install: Install, support: User, fake_opentrain: FakeOpenTrain, received: bool
) -> None:
    fake_opentrain.fall_behind()
    _, endpoint, _ = endpoints.register(
        actor=support, install=install, url="" if received else "https://a.example.com/", handler_url="",
        through_redeliver=received, event_types=TYPES, clock=timezone.now, operation=uuid.uuid4(),
    )  # fmt: skip
    for seconds in (0, 5, 50):
        sync.refresh(install=install, now=timezone.now() + seconds * SECOND)
        assert list(Endpoint.objects.registered()) == [endpoint]
    sync.refresh(install=install, now=timezone.now() + LAG)
    assert list(Endpoint.objects.registered()) == []


def test_real_disable_after_a_change_is_believed_at_once(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    prepare("re-enable", old, fake_opentrain)
    act("re-enable", old, support)
    fake_opentrain.disable(old.opentrain_id, "10 consecutive failures")
    sync.refresh(install=install, now=timezone.now())
    assert Endpoint.objects.get().severity == Severity.DISABLED


def test_answer_to_a_redelivery_that_lags_behind_a_change_is_waited_for(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    prepare("re-enable", old, fake_opentrain)
    remote = fake_opentrain.get_endpoint(token=install.token, endpoint_id=old.opentrain_id)
    act("re-enable", old, support)
    assert snapshots.record_endpoint(install=install, remote=remote, at=timezone.now()) == "ACTIVE"


def test_stale_disable_gives_up_nothing_and_a_real_one_does(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    prepare("re-enable", old, fake_opentrain)
    fake_opentrain.fall_behind()
    act("re-enable", old, support)
    waiting = make_delivery(endpoint=old, last_ok=False, last_attempt_at=timezone.now())
    asked = make_delivery(endpoint=old, requested_at=timezone.now(), last_attempt_at=timezone.now())
    sync.refresh(install=install, now=timezone.now())
    assert states_of(waiting, asked) == [Standing.RETRYING, Standing.REQUESTED_AGAIN]
    fake_opentrain.disable(old.opentrain_id, "10 consecutive failures")
    fake_opentrain.catch_up()
    sync.refresh(install=install, now=timezone.now())
    assert states_of(waiting, asked) == [Standing.FAILED, Standing.DELIVERED]


def states_of(*deliveries: Delivery) -> list[int]:
    return [Delivery.objects.get(pk=one.pk).standing for one in deliveries]


@pytest.mark.parametrize(
    "ahead",
    [-timedelta(hours=1), -5 * MINUTE, -MINUTE, MINUTE, 5 * MINUTE, timedelta(hours=1), timedelta(days=7000 * 365)],
)
def test_disable_gives_up_what_waited_whatever_opentrains_clock_says(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, ahead: timedelta
) -> None:
    now = timezone.now()
    key = new_receiver_key()
    Endpoint.objects.update(receiver_key=key)
    fake_opentrain._change(old.opentrain_id, url=door_url(receiver_key=key))
    sync.refresh(install=install, now=now - MINUTE)
    waiting = make_failed_delivery(endpoint=old, attempts_in_round=2, last_attempt_at=now - SECOND)
    fake_opentrain.disable(old.opentrain_id, "10 consecutive failures")
    fake_opentrain._change(old.opentrain_id, disabled_at=now + ahead)
    sync.refresh(install=install, now=now)
    late = make_failed_delivery(endpoint=old, attempts_in_round=1, last_attempt_at=now + 5 * SECOND)
    elsewhere = make_failed_delivery(endpoint=old, attempts_in_round=1, last_attempt_at=now + 5 * MINUTE)
    asked = make_failed_delivery(endpoint=old, requested_at=now + 10 * SECOND, last_attempt_at=now - MINUTE)
    for minutes in (1, 10, 60):
        sync.refresh(install=install, now=now + minutes * MINUTE)
    assert states_of(waiting, late) == [Standing.FAILED, Standing.FAILED]
    assert states_of(elsewhere, asked) == [Standing.RETRYING, Standing.REQUESTED_AGAIN]
    assert old.deliveries.failed().count() == 2
    row = Endpoint.objects.get()
    assert (row.auto_disabled_at, row.disable_learned_at) == (now + ahead, now)


@pytest.mark.parametrize("ahead", [-5 * MINUTE, 5 * MINUTE])
def test_redelivery_whose_answer_first_tells_of_the_disable_stays_requested(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, ahead: timedelta
) -> None:
    names = fake_opentrain.add_deliveries(old.opentrain_id, failed=1)
    at = timezone.now() - MINUTE
    asked = make_failed_delivery(endpoint=old, opentrain_id=names[0], last_attempt_at=at)
    waiting = make_failed_delivery(endpoint=old, attempts_in_round=2, last_attempt_at=at)
    fake_opentrain.disable(old.opentrain_id, "10 consecutive failures")
    fake_opentrain._change(old.opentrain_id, disabled_at=timezone.now() + ahead)
    asked.endpoint.install = install
    outcome = endpoints.redeliver_one(actor=support, delivery=asked, clock=timezone.now, operation=uuid.uuid4())
    assert (outcome.ok, outcome.offer_enable) == (True, True)
    sync.refresh(install=install, now=timezone.now())
    assert states_of(asked, waiting) == [Standing.REQUESTED_AGAIN, Standing.FAILED]


def test_disable_that_was_known_before_redeliver_noted_when_gives_up_nothing_requested_since(
    old: Endpoint, install: Install, fake_opentrain: FakeOpenTrain
) -> None:
    prepare("re-enable", old, fake_opentrain)
    disabled_at = Endpoint.objects.get().disabled_at
    Endpoint.objects.update(auto_disabled_at=None, disable_learned_at=None)
    asked = make_failed_delivery(endpoint=old, requested_at=disabled_at + SECOND, last_attempt_at=disabled_at)
    sync.refresh(install=install, now=timezone.now())
    assert states_of(asked) == [Standing.REQUESTED_AGAIN]


def test_giving_up_deliveries_takes_as_many_queries_for_many_endpoints_as_for_few() -> None:
    few, many = make_install(), make_install()
    disabled_at, found = NOON + timedelta(minutes=1), []
    for install, count in ((few, 2), (many, 40)):
        snapshots.record_endpoints(install=install, remote=listed(count), at=NOON)
        for endpoint in install.endpoints.all():
            make_delivery(endpoint=endpoint, last_ok=False, last_attempt_at=NOON)
        remote = listed(count, status="DISABLED", consecutive_failures=AUTO_DISABLE_AT, disabled_at=disabled_at)
        found.append(queries_of(install, remote, disabled_at))
    assert found[0] == found[1]
    assert Delivery.objects.filter(abandoned_at=disabled_at, standing=Standing.FAILED, due_by=None).count() == 42
