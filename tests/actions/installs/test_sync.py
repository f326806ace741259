"""Connecting an install, and keeping the snapshot of its endpoints up to date."""

import dataclasses
import logging
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.actions import endpoint_changes, endpoints
from dashboard.actions.installs import sync
from dashboard.actions.outcome import OutcomeKind
from dashboard.models import Delivery, Endpoint, EndpointSnapshot, Grant, Install, User
from dashboard.models.endpoints import door_url, new_receiver_key
from dashboard.rules.deliveries import Standing
from dashboard.rules.endpoints import AUTO_DISABLE_AT, Severity
from dashboard.rules.installs import UnreadEntry
from dashboard.rules.snapshots import LAG
from dashboard.services import opentrain
from dashboard.services.opentrain import types
from dashboard.vault import Secret
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_delivery, make_failed_delivery, make_install, make_user

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def support() -> User:
    return make_user(role="support")


def connect(actor: User, token: Secret, name: str = "Acme Labs") -> tuple:
    return sync.connect(actor=actor, token=token, name=name, now=timezone.now(), operation=uuid.uuid4())


def test_connect_keeps_the_token_encrypted(
    fake_opentrain: FakeOpenTrain, support: User, caplog: pytest.LogCaptureFixture
) -> None:
    token = fake_opentrain.add_install()
    with caplog.at_level(logging.DEBUG):
        outcome, install = connect(support, token)
    assert (outcome.kind, outcome.words) == (OutcomeKind.DONE, "Acme Labs is connected.")
    assert Install.objects.get(pk=install.pk).token == token
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM dashboard_install")
        stored = bytes(cursor.fetchone()[0])
    assert token.reveal().encode() not in stored
    assert token.reveal() not in caplog.text


def test_connect_without_the_scope_says_what_is_missing(fake_opentrain: FakeOpenTrain, support: User) -> None:
    outcome, install = connect(support, fake_opentrain.add_install(scopes=["contracts:read"]))
    assert install.can_manage is False
    assert "this token lacks webhooks:manage" in outcome.words


def test_connect_answered_with_another_status_says_it(fake_opentrain: FakeOpenTrain, support: User) -> None:
    fake_opentrain.change_answer(lambda answer: replace(answer, status="SUSPENDED"), operation="get_install")
    outcome, _ = connect(support, fake_opentrain.add_install())
    assert outcome.words == (
        "Acme Labs is connected. But OpenTrain says that this install is SUSPENDED: no events are sent."
    )


def test_connect_with_a_revoked_token_connects_nothing(fake_opentrain: FakeOpenTrain, support: User) -> None:
    token = fake_opentrain.add_install()
    fake_opentrain.revoke(token)
    outcome, install = connect(support, token)
    assert (outcome.kind, outcome.code, install) == (OutcomeKind.REFUSED, "UNAUTHORIZED", None)
    assert Install.objects.count() == 0


def test_connect_again_replaces_the_token_and_keeps_the_name(fake_opentrain: FakeOpenTrain, support: User) -> None:
    token = fake_opentrain.add_install()
    _, first = connect(support, token)
    _, again = connect(support, token, name="")
    assert (again.pk, again.name) == (first.pk, "Acme Labs")


def test_connect_by_a_partner_admin_grants_it_to_them(fake_opentrain: FakeOpenTrain) -> None:
    admin, other = make_user(role="partner_admin"), make_user(role="partner_admin")
    _, install = connect(admin, fake_opentrain.add_install())
    assert list(Grant.objects.values_list("user", "install")) == [(admin.pk, install.pk)]
    assert list(Install.objects.visible_to(other)) == []
    assert list(Install.objects.visible_to(make_user(role=""))) == []
    assert list(Install.objects.visible_to(admin)) == [install]


def test_refresh_records_deletes_and_gives_up_what_an_auto_disable_gave_up(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    token = fake_opentrain.add_install()
    _, install = connect(support, token)
    made = [
        fake_opentrain.create_endpoint(token=token, url=f"https://{name}.example.com/", event_types=["contract.ended"])
        for name in ("one", "two")
    ]
    assert sync.refresh(install=install, now=timezone.now()) is None
    one, two = (Endpoint.objects.get(opentrain_id=created.endpoint.id) for created in made)
    waiting = make_delivery(endpoint=one, last_ok=False, last_attempt_at=one.created_at)
    fake_opentrain.disable(one.opentrain_id, "10 consecutive failures")
    fake_opentrain.delete_endpoint(token=token, endpoint_id=two.opentrain_id)
    now = timezone.now()
    assert sync.refresh(install=install, now=now) is None
    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.status, one.consecutive_failures, one.disabled_reason) == ("DISABLED", 10, "10 consecutive failures")
    assert (one.deleted_at, two.deleted_at) == (None, now)
    assert Delivery.objects.get(pk=waiting.pk).abandoned_at == one.disabled_at


@pytest.mark.parametrize(("failures", "given_up"), [(AUTO_DISABLE_AT, True), (AUTO_DISABLE_AT - 1, False)])
def test_refresh_takes_an_endpoint_with_fewer_failures_for_paused_and_gives_nothing_up(
    fake_opentrain: FakeOpenTrain, support: User, failures: int, given_up: bool
) -> None:
    token = fake_opentrain.add_install()
    _, install = connect(support, token)
    made = fake_opentrain.create_endpoint(token=token, url="https://one.example.com/", event_types=["contract.ended"])
    assert sync.refresh(install=install, now=timezone.now()) is None
    endpoint = Endpoint.objects.get(opentrain_id=made.endpoint.id)
    waiting = make_delivery(endpoint=endpoint, last_ok=False, last_attempt_at=endpoint.created_at)
    fake_opentrain.disable(endpoint.opentrain_id, "")
    fake_opentrain.set_streak(endpoint.opentrain_id, failures)
    assert sync.refresh(install=install, now=timezone.now()) is None
    assert (Delivery.objects.get(pk=waiting.pk).abandoned_at is not None) == given_up
    endpoint.refresh_from_db()
    assert (endpoint.severity == Severity.DISABLED) == given_up


def test_refresh_that_fails_keeps_what_was_recorded_and_says_why(fake_opentrain: FakeOpenTrain, support: User) -> None:
    token = fake_opentrain.add_install()
    _, install = connect(support, token)
    checked_at = install.checked_at
    fake_opentrain.fail_next(opentrain.Unavailable("OpenTrain cannot be reached.", reason=opentrain.Reason.DNS))
    now = timezone.now() + timedelta(minutes=5)
    outcome = sync.refresh(install=install, now=now)
    assert outcome.words == "OpenTrain cannot be reached."
    install.refresh_from_db()
    assert (install.checked_at, install.last_error, install.last_error_at) == (checked_at, outcome.words, now)
    assert sync.refresh(install=install, now=now) is None
    install.refresh_from_db()
    assert (install.last_error, install.checked_at) == ("", now)


@pytest.mark.parametrize(
    ("column", "most"),
    [
        (Endpoint.opentrain_id, types.ID_CHARS), (Endpoint.url, types.URL_CHARS), (Endpoint.status, types.STATUS_CHARS),
        (Install.opentrain_id, types.ID_CHARS), (Install.organization_id, types.ID_CHARS),
        (Install.status, types.STATUS_CHARS), (Install.app_id, types.ID_CHARS), (Install.app_name, types.NAME_CHARS),
        (Install.token_id, types.ID_CHARS), (Install.token_name, types.NAME_CHARS),
    ],
)  # fmt: skip
def test_no_more_is_taken_of_an_answer_than_its_column_holds(column: Any, most: int) -> None:
    assert column.field.max_length >= most


def test_items_of_a_list_fit_their_columns() -> None:
    columns = (Endpoint.event_types, Install.scopes, Install.token_scopes)
    assert [column.field.base_field.max_length for column in columns] == [types.ITEM_CHARS] * 3


def test_refresh_keeps_an_endpoint_whose_words_are_longer_than_their_columns(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    token = fake_opentrain.add_install()
    _, install = connect(support, token)
    given = {
        "id": "whe_1", "url": "https://a.example.com/" + "x" * 3000, "eventTypes": ["e" * 400], "status": "S" * 400,
        "createdAt": "2026-06-12T10:00:00.000Z", "consecutiveFailures": 0, "disabledAt": None, "disabledReason": None,
    }  # fmt: skip
    read = types.endpoint({"webhookEndpoint": given})
    made = fake_opentrain.create_endpoint(token=token, url="https://one.example.com/", event_types=["contract.ended"])
    said = {"url": read.url, "event_types": read.event_types, "status": read.status}
    fake_opentrain._change(made.endpoint.id, **said)
    assert sync.refresh(install=install, now=timezone.now()) is None
    endpoint = Endpoint.objects.get(opentrain_id=made.endpoint.id)
    assert {"url": endpoint.url, "event_types": tuple(endpoint.event_types), "status": endpoint.status} == said


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
        sync.record_endpoints(install=install, remote=remote, at=at)
    return len(asked)


def test_storing_a_list_takes_as_many_queries_for_2500_endpoints_as_for_25() -> None:
    few, many = make_install(), make_install()
    an_hour = sync.HISTORY_EVERY
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
        assert most <= 6
    assert queries_of(many, [], NOON + an_hour * 4) == queries_of(few, [], NOON + an_hour * 4)
    assert Endpoint.objects.registered().count() == 0
    assert EndpointSnapshot.objects.filter(endpoint__install=many).count() == 2500 * 4


def test_list_and_single_answer_store_the_same() -> None:
    changes = [{}, {"consecutive_failures": 9}, {"status": "DISABLED", "disabled_at": NOON, "disabled_reason": "é “x”"}]
    by_list, by_answer = make_install(), make_install()
    for number, said in enumerate(changes):
        at = NOON + timedelta(minutes=number, microseconds=number)
        sync.record_endpoints(install=by_list, remote=listed(1, **said), at=at)
        assert sync.record_endpoint(install=by_answer, remote=listed(1, **said)[0], at=at) == said.get(
            "status", "ACTIVE"
        )
        sync.record_endpoint(install=by_answer, remote=listed(1)[0], at=at - timedelta(microseconds=1))  # too old
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


def test_list_gives_up_only_what_waits_on_the_endpoints_that_opentrain_disabled() -> None:
    install = make_install()
    sync.record_endpoints(install=install, remote=listed(3), at=NOON)
    waiting, other, failed = (
        make_delivery(endpoint=endpoint, last_ok=False, last_attempt_at=NOON)
        for endpoint in Endpoint.objects.order_by("pk")
    )
    Delivery.objects.filter(pk=failed.pk).update(standing=Standing.FAILED, due_by=None)
    disabled_at = NOON + timedelta(minutes=1)
    remote = listed(3, status="DISABLED", consecutive_failures=AUTO_DISABLE_AT, disabled_at=disabled_at)
    remote[1] = dataclasses.replace(remote[1], status="ACTIVE", consecutive_failures=9, disabled_at=None)
    sync.record_endpoints(install=install, remote=remote, at=disabled_at)
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
    sync.record_endpoints(install=install, remote=listed(3), at=NOON)
    assert fine_of(install) == (3, 3)
    odd = [*listed(2, consecutive_failures=3)[1:], UnreadEntry(1, "whe_0", WHY)]
    sync.record_endpoints(install=install, remote=odd, at=NOON + MINUTE)
    assert state_of(install) == [("whe_0", False, WHY), ("whe_1", False, ""), ("whe_2", True, "")]
    kept = Endpoint.objects.get(opentrain_id="whe_0")
    assert (kept.status, kept.consecutive_failures, kept.snapshot_at) == ("ACTIVE", 0, NOON)
    assert fine_of(install) == (2, 0)
    sync.record_endpoints(install=install, remote=listed(2), at=NOON + 2 * MINUTE)
    assert state_of(install)[:2] == [("whe_0", False, ""), ("whe_1", False, "")]
    assert fine_of(install) == (2, 2)


def test_single_answer_makes_an_endpoint_readable_again() -> None:
    install = make_install()
    sync.record_endpoints(install=install, remote=listed(1), at=NOON)
    sync.record_endpoints(install=install, remote=[UnreadEntry(1, "whe_0", WHY)], at=NOON + MINUTE)
    sync.record_endpoint(install=install, remote=listed(1)[0], at=NOON + 2 * MINUTE)
    assert state_of(install) == [("whe_0", False, "")]
    assert fine_of(install) == (1, 1)


def test_list_with_an_entry_without_an_id_deletes_no_endpoint() -> None:
    install = make_install()
    sync.record_endpoints(install=install, remote=listed(3), at=NOON)
    sync.record_endpoints(install=install, remote=[*listed(1), UnreadEntry(2, None, WHY)], at=NOON + MINUTE)
    assert state_of(install) == [("whe_0", False, ""), ("whe_1", False, ""), ("whe_2", False, "")]
    sync.record_endpoints(install=install, remote=listed(1), at=NOON + 2 * MINUTE)
    assert [is_deleted for _, is_deleted, _ in state_of(install)] == [False, True, True]


def test_entry_that_cannot_be_read_beside_one_that_can_changes_nothing() -> None:
    install = make_install()
    sync.record_endpoints(install=install, remote=[*listed(1), UnreadEntry(2, "whe_0", WHY)], at=NOON)
    assert state_of(install) == [("whe_0", False, "")]


def test_unread_entry_undoes_no_deletion_made_since_and_restores_one_made_before() -> None:
    install = make_install()
    sync.record_endpoints(install=install, remote=listed(2), at=NOON)
    Endpoint.objects.filter(opentrain_id="whe_0").update(deleted_at=NOON + 2 * MINUTE, snapshot_at=NOON + 2 * MINUTE)
    Endpoint.objects.filter(opentrain_id="whe_1").update(deleted_at=NOON)
    odd = [UnreadEntry(1, "whe_0", WHY), UnreadEntry(2, "whe_1", WHY)]
    sync.record_endpoints(install=install, remote=odd, at=NOON + MINUTE)
    assert state_of(install) == [("whe_0", True, ""), ("whe_1", False, WHY)]


def test_thousands_of_unread_entries_take_few_queries() -> None:
    install = make_install()
    sync.record_endpoints(install=install, remote=listed(2500), at=NOON)
    odd = [UnreadEntry(number + 1, f"whe_{number}", WHY) for number in range(2500)]
    with CaptureQueriesContext(connection) as asked:
        sync.record_endpoints(install=install, remote=odd, at=NOON + MINUTE)
    assert len(asked) <= 4
    assert fine_of(install) == (2500, 0)


@pytest.mark.parametrize("works", [True, False])
def test_result_of_a_token_that_was_replaced_meanwhile_is_not_recorded(
    fake_opentrain: FakeOpenTrain, works: bool
) -> None:
    """A poll that began with the old token must not say that the new one is refused, nor bring back the old scopes."""
    token = fake_opentrain.add_install(scopes=["contracts:read"] if works else ["webhooks:manage"])
    install = make_install(token=token, token_id="tok_old", token_scopes=["webhooks:manage"], described_at=None)
    if not works:
        fake_opentrain.revoke(token)
    polled = Install.objects.get(pk=install.pk)
    Install.objects.filter(pk=install.pk).update(token_id="tok_new", last_error="", checked_at=NOON)
    sync.refresh(install=polled, now=NOON)
    known = Install.objects.defer("token").get(pk=install.pk)
    assert (known.last_error, known.last_error_code, known.failures) == ("", "", 0)
    assert (known.token_scopes, known.token_id, known.poll_after) == (["webhooks:manage"], "tok_new", None)


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
        sync.record_endpoints(install=install, remote=[answer], at=timezone.now())
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
    assert sync.record_endpoint(install=install, remote=remote, at=timezone.now()) == "ACTIVE"


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
        sync.record_endpoints(install=install, remote=listed(count), at=NOON)
        for endpoint in install.endpoints.all():
            make_delivery(endpoint=endpoint, last_ok=False, last_attempt_at=NOON)
        remote = listed(count, status="DISABLED", consecutive_failures=AUTO_DISABLE_AT, disabled_at=disabled_at)
        found.append(queries_of(install, remote, disabled_at))
    assert found[0] == found[1]
    assert Delivery.objects.filter(abandoned_at=disabled_at, standing=Standing.FAILED, due_by=None).count() == 42


def test_list_of_a_replaced_token_is_recorded_without_its_description(
    fake_opentrain: FakeOpenTrain,
) -> None:
    """The list is the install's, whichever token reads it."""
    token = fake_opentrain.add_install(scopes=["webhooks:manage"])
    fake_opentrain.create_endpoint(token=token, url="https://acme.example.com/", event_types=["contract.ended"])
    install = make_install(token=token, token_id="tok_old", described_at=None)
    polled = Install.objects.get(pk=install.pk)
    Install.objects.filter(pk=install.pk).update(token_id="tok_new")
    assert sync.refresh(install=polled, now=NOON) is None
    known = Install.objects.defer("token").get(pk=install.pk)
    assert (known.token_id, known.listed_at, known.endpoints.count()) == ("tok_new", NOON, 1)
