"""What keeps a hand-over from being sent: each check is made again just before it, and says why."""

import uuid
from typing import Any

import pytest

from dashboard.actions.handovers import opting
from dashboard.models import Contract, Endpoint, Install, User
from dashboard.rules.reconciliation import Event
from dashboard.services.opentrain import Reason, Unavailable
from tests.actions.handovers.test_sending import at, not_sent
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_evidence, make_link
from tests.handing_over import LATE, Scene, make_scene
from tests.services.misbehaving import (
    answer,
    misbehaving,
)

pytestmark = pytest.mark.django_db


def test_opt_in_that_was_taken_back_meanwhile_counts(scene: Scene, support: User) -> None:
    def stop() -> None:
        opting.stop(actor=support, endpoint=scene.endpoint, operation=uuid.uuid4())

    assert "Sending is not allowed for this endpoint." in not_sent(scene, support, before=stop)


def test_opt_in_that_was_taken_back_while_opentrain_was_asked_counts(scene: Scene, support: User) -> None:
    scene.fake.before(
        "list_participants",
        lambda: opting.stop(actor=support, endpoint=scene.endpoint, operation=uuid.uuid4()),
    )
    assert "Sending is not allowed for this endpoint." in not_sent(scene, support, before=lambda: None)


def test_event_that_the_handler_took_meanwhile_is_not_sent(scene: Scene, support: User) -> None:
    def take() -> None:
        make_evidence(contract=scene.contract, endpoint=scene.endpoint, link_id=scene.link.opentrain_id)

    assert "The handler took this event." in not_sent(scene, support, before=take)


def test_event_that_came_into_the_log_meanwhile_is_not_sent(scene: Scene, support: User) -> None:
    def come() -> None:
        scene.log({"opentrainUserId": "usr_1"}, event_type="contract.ended")

    assert "The handler took this event." in not_sent(scene, support, before=come)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"status": "DISABLED"}, "The endpoint is paused or disabled."),
        ({"deleted_at": LATE}, "OpenTrain no longer has this endpoint."),
        ({"event_types": ["contract.started"]}, "This endpoint does not subscribe to contract.ended."),
        ({"secret": None}, "Redeliver does not have this endpoint's signing secret"),
        ({"handler_url": ""}, "Redeliver does not know the handler's URL."),
        ({"handler_url": "https://acme.example.com/a-long-path…"}, "Redeliver does not know the handler's URL."),
        (
            {"handler_url": "https://redeliver.example.com/hooks/another-key-of-the-receiver-0000000000000000/"},
            "The handler's URL is an address of Redeliver's receiver",
        ),
    ],
)
def test_endpoint_that_changed_meanwhile_is_not_sent_to(
    scene: Scene, support: User, columns: dict[str, Any], words: str, settings: Any
) -> None:
    settings.RECEIVER_URL = "https://redeliver.example.com"

    def change() -> None:
        Endpoint.objects.filter(pk=scene.endpoint.pk).update(**columns)

    assert words in not_sent(scene, support, before=change)


def test_secret_that_cannot_be_decrypted_is_said(scene: Scene, support: User) -> None:
    def lose_key() -> None:
        Endpoint.objects.filter(pk=scene.endpoint.pk).update(secret=b"not encrypted with any key")

    assert "signing secret cannot be read with the keys in FIELD_KEYS" in not_sent(scene, support, before=lose_key)


def test_contract_that_is_gone_or_active_again_is_not_handed_over(scene: Scene, support: User) -> None:
    def restart() -> None:
        Contract.objects.filter(pk=scene.contract.pk).update(status="active", end_date=None)

    assert "The contract has not ended" in not_sent(scene, support, before=restart)


def test_contract_whose_row_was_deleted_meanwhile_is_not_handed_over(scene: Scene, support: User) -> None:
    words = not_sent(scene, support, before=lambda: Contract.objects.filter(pk=scene.contract.pk).delete())
    assert words == "OpenTrain no longer lists this contract."


def test_link_that_is_gone_meanwhile_is_not_handed_over(scene: Scene, support: User) -> None:
    other = make_link(install=scene.install)

    def move() -> None:
        Contract.objects.filter(pk=scene.contract.pk).update(link_ids=[other.opentrain_id])

    assert "or the link is gone" in not_sent(scene, support, before=move)


def test_contract_that_opentrain_lists_as_active_again_is_not_ended(scene: Scene, support: User) -> None:
    contract = scene.fake._hires[scene.contract.opentrain_id]
    contract.contract = type(contract.contract)(
        **{name: getattr(contract.contract, name) for name in contract.contract.__slots__} | {"status": "active"}
    )
    words = not_sent(scene, support, before=lambda: None)
    assert words == "OpenTrain lists this contract as active again."


def test_start_of_a_contract_that_ended_a_moment_ago_is_never_sent(
    fake_opentrain: FakeOpenTrain, support: User
) -> None:
    scene = make_scene(fake_opentrain, actor=support, event=Event.STARTED)
    with misbehaving(answer(200)) as server:
        row = at(scene, server.url).ask(support, event=Event.STARTED)
        scene.fake.end(scene.contract.opentrain_id)  # the next sweep will see it
        row = scene.send(row)
        assert server.requests == []
    assert (row.result, row.words) == (
        "not_sent",
        "Not sent. OpenTrain does not list this contract as active any more: it may have ended.",
    )


def test_start_is_not_sent_if_its_end_came_into_the_log_meanwhile(fake_opentrain: FakeOpenTrain, support: User) -> None:
    scene = make_scene(fake_opentrain, actor=support, event=Event.STARTED)
    with misbehaving(answer(200)) as server:
        row = at(scene, server.url).ask(support, event=Event.STARTED)
        scene.log({"opentrainUserId": "usr_1"}, event_type="contract.ended", last_ok=False)
        row = scene.send(row)
        assert server.requests == []
    assert "it would give access back" in row.words


@pytest.mark.parametrize("scopes", [["webhooks:manage"], ["webhooks:manage", "contracts:read"]], ids=str)
def test_scope_that_went_away_keeps_everything_back(scene: Scene, support: User, scopes: list[str]) -> None:
    def lack() -> None:
        token = Install.objects.get(pk=scene.install.pk).token
        given = scene.fake._installs[token]
        named = type(given.token)(given.token.id, given.token.name, tuple(scopes))
        scene.fake._installs[token] = type(given)(
            **{name: getattr(given, name) for name in given.__slots__} | {"token": named}
        )
        Install.objects.filter(pk=scene.install.pk).update(token_scopes=scopes)

    words = not_sent(scene, support, before=lack)
    assert ("could not be checked" in words) or ("this token lacks participants:read" in words)


def test_opentrain_that_does_not_answer_keeps_everything_back(scene: Scene, support: User) -> None:
    failure = Unavailable("OpenTrain did not answer.", reason=Reason.TIMEOUT)
    scene.fake.fail_next(failure, operation="list_contracts")
    words = not_sent(scene, support, before=lambda: None)
    assert words == "Whether the contract is still ended could not be checked: OpenTrain did not answer."


def test_two_people_hired_name_nobody_so_nothing_is_sent(scene: Scene, support: User) -> None:
    scene.log({"opentrainUserId": "usr_1"})
    scene.log({"opentrainUserId": "usr_2"})
    assert "name 2 people" in not_sent(scene, support, before=lambda: None)
