"""A secret rotation step by step: its calls to OpenTrain, and its state after each failure."""

import uuid

import pytest
from django.utils import timezone

from dashboard.actions import endpoints, rotations
from dashboard.actions.installs import sync
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Endpoint, Install, Rotation, User
from dashboard.rules.snapshots import LAG
from dashboard.services.opentrain import OutcomeUnknown, Reason, Unavailable
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_delivery, make_failed_delivery

pytestmark = pytest.mark.django_db

HANDLER = "https://acme.example.com/hook"


@pytest.fixture
def old(install: Install, support: User) -> Endpoint:
    _, endpoint, _ = endpoints.register(
        actor=support, install=install, url="", handler_url=HANDLER, through_redeliver=True,
        event_types=["contract.ended"], clock=timezone.now, operation=uuid.uuid4(),
    )  # fmt: skip
    return endpoint


@pytest.fixture
def rotation(old: Endpoint, support: User) -> Rotation:
    assert not isinstance(begin(old, support), Outcome)
    return Rotation.objects.get()


def begin(old: Endpoint, actor: User) -> object:
    return rotations.start(actor=actor, old=old, clock=timezone.now, operation=uuid.uuid4())


def go_on(rotation: Rotation, actor: User, *, unproven: bool = False) -> Outcome:
    return rotations.go_on(actor=actor, rotation=rotation, unproven=unproven, operation=uuid.uuid4())


def end(rotation: Rotation, actor: User, how: str) -> Outcome:
    rotation = Rotation.objects.select_related("old__install", "new__install").get(pk=rotation.pk)
    return getattr(rotations, how)(actor=actor, rotation=rotation, clock=timezone.now, operation=uuid.uuid4())


def listed(fake: FakeOpenTrain, install: Install) -> list[str]:
    return [endpoint.id for endpoint in fake.list_endpoints(token=install.token)]


def step(rotation: Rotation) -> str:
    return Rotation.objects.get(pk=rotation.pk).step


def test_start_makes_an_endpoint_like_the_old_one_with_a_key_and_a_secret_of_its_own(
    old: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome, rotation, secret = begin(old, support)
    new = Endpoint.objects.get(pk=rotation.new_id)
    assert (new.handler_url, new.event_types, new.status) == (HANDLER, ["contract.ended"], "ACTIVE")
    assert new.receiver_key != old.receiver_key
    assert new.secret == secret != old.secret
    assert outcome.quoted == "Store the secret now: it is shown only once."
    stored = Rotation.objects.get()
    assert (stored.step, stored.started_by_name, stored.old_id) == ("prove", "ana", old.pk)
    said = AuditEntry.objects.filter(endpoint=old).order_by("id").values_list("action", "phase")
    assert list(said) == [
        ("register endpoint", "requested"),
        ("register endpoint", "done"),
        ("rotate secret: create the new endpoint", "requested"),
        ("rotate secret: create the new endpoint", "done"),
    ]


def test_start_of_a_second_rotation_makes_nothing(
    old: Endpoint, rotation: Rotation, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    assert begin(old, support).kind is OutcomeKind.REFUSED
    assert (Rotation.objects.count(), Endpoint.objects.count()) == (1, 2)
    assert len(listed(fake_opentrain, old.install)) == 2


def test_start_that_opentrain_does_not_take_leaves_nothing(
    old: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(Unavailable("OpenTrain cannot be reached.", reason=Reason.DNS))
    assert begin(old, support).kind is OutcomeKind.UNAVAILABLE
    assert (Rotation.objects.count(), Endpoint.objects.count()) == (0, 1)


def test_start_without_an_answer_can_be_given_up_when_it_was_not_made(
    old: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."))
    assert begin(old, support).kind is OutcomeKind.UNKNOWN
    rotation = Rotation.objects.get()
    assert (rotation.step, rotation.new.opentrain_id) == ("create", None)
    assert end(rotation, support, "abort").ok
    assert (Rotation.objects.count(), Endpoint.objects.count()) == (0, 1)


def test_start_without_an_answer_that_was_made_is_found_in_the_list_and_deleted(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."))
    begin(old, support)
    rotation = Rotation.objects.get()
    fake_opentrain.create_endpoint(token=install.token, url=rotation.new.url, event_types=["contract.ended"])
    sync.refresh(install=install, now=timezone.now())
    assert Endpoint.objects.get(pk=rotation.new_id).opentrain_id is not None
    assert end(rotation, support, "abort").ok
    assert (step(rotation), listed(fake_opentrain, install)) == ("aborted", [old.opentrain_id])


def test_start_whose_process_died_is_found_again_by_its_row(
    old: Endpoint, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(**_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dashboard.services.opentrain.create_endpoint", die)
    with pytest.raises(KeyboardInterrupt):
        begin(old, support)
    rotation = Rotation.objects.under_way().get()
    assert (rotation.step, rotation.new.opentrain_id) == ("create", None)
    assert end(rotation, support, "abort").words == (
        "OpenTrain does not list the new endpoint, so it was not created. The old one stays in use."
    )
    assert Endpoint.objects.get() == old


def test_finish_whose_process_died_after_the_answer_goes_on_from_the_row(
    rotation: Rotation, support: User, monkeypatch: pytest.MonkeyPatch, fake_opentrain: FakeOpenTrain
) -> None:
    def die(*_arguments: object, **_columns: object) -> None:
        raise KeyboardInterrupt

    go_on(rotation, support, unproven=True)
    with monkeypatch.context() as patch:
        patch.setattr(rotations, "_move", die)
        with pytest.raises(KeyboardInterrupt):
            end(rotation, support, "finish")
    assert (step(rotation), Endpoint.objects.get(pk=rotation.old_id).deleted_at is None) == ("delete", False)
    calls = len(fake_opentrain.calls)
    assert end(rotation, support, "finish").ok
    assert (step(rotation), len(fake_opentrain.calls)) == ("done", calls)


def test_going_on_needs_a_delivery_that_succeeded_at_the_new_endpoint(rotation: Rotation, support: User) -> None:
    make_delivery(endpoint=rotation.old)
    make_failed_delivery(endpoint=rotation.new)
    assert go_on(rotation, support).kind is OutcomeKind.REFUSED
    assert step(rotation) == "prove"
    make_delivery(endpoint=rotation.new)
    assert go_on(rotation, support).words == "The new endpoint receives deliveries. Next, delete the old endpoint."
    stored = Rotation.objects.get()
    assert (stored.step, stored.unproven, stored.proved_at) == ("delete", False, NOON)


def test_going_on_without_proof_is_in_the_audit(rotation: Rotation, support: User) -> None:
    assert go_on(rotation, support, unproven=True).ok
    assert (step(rotation), Rotation.objects.get().unproven) == ("delete", True)
    assert AuditEntry.objects.filter(action="rotate secret: go on without proof", phase="done").count() == 1


def test_finish_deletes_the_old_endpoint_only(
    rotation: Rotation, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    go_on(rotation, support, unproven=True)
    assert end(rotation, support, "finish").ok
    stored = Rotation.objects.get()
    assert (stored.step, stored.ended_by_name) == ("done", "ana")
    assert listed(fake_opentrain, install) == [stored.new.opentrain_id]
    assert stored.old.deleted_at is not None


def test_finish_without_an_answer_stands_at_its_step_and_goes_on_when_the_old_one_is_gone(
    rotation: Rotation, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    go_on(rotation, support, unproven=True)
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."))
    assert end(rotation, support, "finish").kind is OutcomeKind.UNKNOWN
    assert step(rotation) == "delete"
    fake_opentrain.delete_endpoint(token=install.token, endpoint_id=rotation.old.opentrain_id)
    sync.refresh(install=install, now=timezone.now() + LAG)
    calls = len(fake_opentrain.calls)
    assert end(rotation, support, "finish").ok
    assert (step(rotation), len(fake_opentrain.calls)) == ("done", calls)


def test_abort_deletes_the_new_endpoint_and_another_rotation_can_start(
    rotation: Rotation, old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    assert end(rotation, support, "abort").ok
    assert (step(rotation), listed(fake_opentrain, install)) == ("aborted", [old.opentrain_id])
    assert not isinstance(begin(old, support), Outcome)
    assert Rotation.objects.under_way().count() == 1


def test_abort_of_what_was_deleted_elsewhere_asks_nothing(
    rotation: Rotation, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    Endpoint.objects.filter(pk=rotation.new_id).update(deleted_at=NOON)
    calls = len(fake_opentrain.calls)
    assert end(rotation, support, "abort").words == "The new endpoint is already deleted. The old one stays in use."
    assert (step(rotation), len(fake_opentrain.calls)) == ("aborted", calls)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"url": "https://a.example.com/xxx…", "receiver_key": None},
            "Redeliver does not know the whole address of this endpoint, so it cannot register it again.",
        ),
        (
            {"url": "https://moved.example.com/xxx…"},  # it was moved outside, so the new one would go there too
            "Redeliver does not know the whole address of this endpoint, so it cannot register it again.",
        ),
        (
            {"event_types": ["contract.ended", "e…"]},
            "Redeliver does not know the whole name of the event type “e…”, so it cannot register it again.",
        ),
    ],
)
def test_start_sends_nothing_that_was_cut(
    old: Endpoint, support: User, fake_opentrain: FakeOpenTrain, columns: dict, words: str
) -> None:
    Endpoint.objects.update(**columns)
    old.refresh_from_db()
    fake_opentrain.calls.clear()
    outcome = begin(old, support)
    assert isinstance(outcome, Outcome)
    assert (outcome.kind, outcome.words) == (OutcomeKind.REFUSED, f"Nothing changed. {words}")
    assert (fake_opentrain.calls, Rotation.objects.count(), Endpoint.objects.count()) == ([], 0, 1)


def test_start_takes_a_receivers_own_address_whatever_opentrain_tells(old: Endpoint, support: User) -> None:
    Endpoint.objects.update(url=f"https://other-name.example.com/hooks/{old.receiver_key}/")
    old.refresh_from_db()
    assert not isinstance(begin(old, support), Outcome)
    assert Rotation.objects.get().new.url.startswith("https://redeliver.example.com/hooks/")


def test_abort_takes_no_endpoint_for_not_created_while_an_entry_of_the_list_cannot_be_read(
    old: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("Lost."), operation="create_endpoint")
    begin(old, support)
    rotation = Rotation.objects.get()
    Install.objects.update(unread_entries="OpenTrain's list of endpoints has an entry that Redeliver cannot read.")
    outcome = end(rotation, support, "abort")
    assert (outcome.kind, outcome.words) == (OutcomeKind.REFUSED, rotations.MAY_BE_UNREAD)
    assert Endpoint.objects.filter(pk=rotation.new_id).exists()
    Install.objects.update(unread_entries="")
    assert end(rotation, support, "abort").ok


@pytest.mark.parametrize("how", ["finish", "abort"])
def test_rotation_goes_to_its_end_while_the_list_lags_behind_each_step(
    old: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, how: str
) -> None:
    fake_opentrain.fall_behind()
    begin(old, support)
    rotation = Rotation.objects.get()
    sync.refresh(install=install, now=timezone.now())
    assert Endpoint.objects.registered().count() == 2
    fake_opentrain.catch_up()
    fake_opentrain.fall_behind()
    go_on(rotation, support, unproven=True)
    assert end(rotation, support, how).ok
    sync.refresh(install=install, now=timezone.now())
    left = rotation.new_id if how == "finish" else rotation.old_id
    assert list(Endpoint.objects.registered().values_list("pk", flat=True)) == [left]


def test_endpoint_that_was_moved_to_a_wrong_receiver_address_gets_one_of_its_own(old: Endpoint, support: User) -> None:
    Endpoint.objects.filter(pk=old.pk).update(url="https://redeliver.example.com/hooks/of-another/")
    old.refresh_from_db()
    assert not isinstance(begin(old, support), Outcome)
    new = Rotation.objects.get().new
    assert (new.is_received, new.handler_url) == (True, HANDLER)
