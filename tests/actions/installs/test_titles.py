"""Marks of endpoints that share a title: stored when endpoints come, go, or get another URL or name."""

import uuid

import pytest
from django.utils import timezone

from dashboard.actions import endpoint_changes, endpoints, rotations
from dashboard.actions.installs import snapshots
from dashboard.actions.installs.titles import tell_apart
from dashboard.models import Endpoint, Install, Rotation, User
from dashboard.rules.endpoint_titles import TAIL
from dashboard.services import opentrain
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint, make_install

pytestmark = pytest.mark.django_db

HOOK = "https://acme.example.com/hook"


def listed(*ids: str, url: str = HOOK) -> list[opentrain.WebhookEndpoint]:
    return [
        opentrain.WebhookEndpoint(
            id=one, url=url, event_types=("contract.started",), status="ACTIVE", created_at=NOON,
            consecutive_failures=0, disabled_at=None, disabled_reason=None,
        )
        for one in ids
    ]  # fmt: skip


def titles(install: Install) -> dict[str | None, str]:
    return {one.opentrain_id: one.title for one in install.endpoints.filter(deleted_at=None)}


def test_list_tells_new_endpoints_with_one_url_apart() -> None:
    install = make_install()
    snapshots.record_endpoints(install=install, remote=listed("whe_000001"), at=NOON)
    assert titles(install) == {"whe_000001": "acme.example.com/hook"}
    snapshots.record_endpoints(install=install, remote=listed("whe_000001", "whe_000002"), at=NOON)
    assert titles(install) == {
        "whe_000001": "acme.example.com/hook (…000001)", "whe_000002": "acme.example.com/hook (…000002)",
    }  # fmt: skip


def test_title_is_plain_again_when_the_other_is_gone_or_moves() -> None:
    install = make_install()
    both = listed("whe_000001", "whe_000002")
    snapshots.record_endpoints(install=install, remote=both, at=NOON)
    moved = [both[0], *listed("whe_000002", url="https://acme.example.com/other")]
    snapshots.record_endpoints(install=install, remote=moved, at=NOON)
    assert titles(install) == {"whe_000001": "acme.example.com/hook", "whe_000002": "acme.example.com/other"}
    snapshots.record_endpoints(install=install, remote=both, at=NOON)
    snapshots.record_endpoints(install=install, remote=both[:1], at=NOON + snapshots.LAG)
    assert titles(install) == {"whe_000001": "acme.example.com/hook"}
    gone = Endpoint.objects.get(opentrain_id="whe_000002")
    assert gone.title == "acme.example.com/hook (…000002)"


def test_rows_of_before_are_told_apart_by_the_next_list() -> None:
    install = make_install()
    both = listed("whe_000001", "whe_000002")
    snapshots.record_endpoints(install=install, remote=both, at=NOON)
    Endpoint.objects.update(told_apart_by=None)
    snapshots.record_endpoints(install=install, remote=both, at=NOON)
    assert titles(install)["whe_000001"] == "acme.example.com/hook (…000001)"


def test_title_has_no_receiver_key() -> None:
    endpoint = make_endpoint()
    assert str(endpoint.receiver_key) in endpoint.url
    assert endpoint.title == "redeliver.example.com/hooks/…"


def register(install: Install, actor: User, **given: object) -> Endpoint:
    _outcome, endpoint, _secret = endpoints.register(
        actor=actor, install=install, clock=timezone.now, operation=uuid.uuid4(), event_types=["contract.started"],
        **{"url": HOOK, "handler_url": "", "through_redeliver": False} | given,
    )  # fmt: skip
    assert endpoint is not None
    return endpoint


def test_registering_and_deleting_an_endpoint_tells_its_twin_apart(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    first, second = register(install, support), register(install, support)
    first.refresh_from_db()
    assert [one.title for one in (first, second)] == [
        f"acme.example.com/hook ({mark})" for mark in marks_of(first, second)
    ]
    endpoint_changes.delete(actor=support, endpoint=second, clock=timezone.now, operation=uuid.uuid4())
    first.refresh_from_db()
    assert first.title == "acme.example.com/hook"


def marks_of(*endpoints: Endpoint) -> list[str]:
    return [one.opentrain_id if len(one.opentrain_id) <= TAIL else f"…{one.opentrain_id[-TAIL:]}" for one in endpoints]


def test_rotation_calls_its_endpoints_by_their_secrets_until_it_ends(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    old = register(install, support, handler_url=HOOK, through_redeliver=True)
    Endpoint.objects.filter(pk=old.pk).update(name="Billing")
    old.refresh_from_db()
    started = rotations.start(actor=support, old=old, clock=timezone.now, operation=uuid.uuid4())
    assert isinstance(started, tuple)
    assert set(titles(install).values()) == {"Billing (old secret)", "Billing (new secret)"}
    rotation = Rotation.objects.select_related("old__install", "new__install").get()
    rotations.abort(actor=support, rotation=rotation, clock=timezone.now, operation=uuid.uuid4())
    assert titles(install) == {old.opentrain_id: "Billing"}


def test_refused_registration_leaves_no_mark_behind(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    first = register(install, support)
    fake_opentrain.fail_next(opentrain.Unavailable("OpenTrain is away.", reason=opentrain.Reason.DNS))
    with pytest.raises(AssertionError):
        register(install, support)
    assert titles(install) == {first.opentrain_id: "acme.example.com/hook"}


def test_another_handler_gives_another_title() -> None:
    install = make_install()
    one, two = (make_endpoint(install=install, handler_url=HOOK) for _ in range(2))
    one.refresh_from_db()
    assert (one.title, two.title) == tuple(f"acme.example.com/hook ({mark})" for mark in marks_of(one, two))
    Endpoint.objects.filter(pk=two.pk).update(name="Billing")
    tell_apart(install_id=install.pk)
    for each in (one, two):
        each.refresh_from_db()
    assert (one.title, two.title) == ("acme.example.com/hook", "Billing")
