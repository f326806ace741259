"""Who was hired: by verified events of the log, else by OpenTrain, and only where it is exactly one person."""

import dataclasses

import pytest

from dashboard.actions.handovers import people
from dashboard.models import Attempt, AuditEntry, Contract, Delivery, Install, User
from dashboard.rules.reconstruction import Person
from dashboard.services.opentrain import Participant, Reason, Unavailable
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_attempt, make_delivery, make_endpoint
from tests.handing_over import Scene

pytestmark = pytest.mark.django_db

JONAS = {"opentrainUserId": "usr_jonas", "displayName": "Jonas K.", "workEmail": "jonas@opentrain.work"}
BY_LOG = "The log does not tell who was hired."


def contract_of(scene: Scene) -> Contract:
    return Contract.objects.select_related("install").get(pk=scene.contract.pk)


def reads(fake: FakeOpenTrain) -> int:
    return sum(call.operation == "list_participants" for call in fake.calls)


def test_logged_event_names_the_person_without_a_call(scene: Scene, support: User) -> None:
    scene.log(JONAS)
    jonas = Person("usr_jonas", "Jonas K.", work_email="jonas@opentrain.work")
    assert people.from_log(contract=contract_of(scene)).person == jonas
    assert people.read(actor=support, contract=contract_of(scene)).person == jonas
    assert reads(scene.fake) == 0


def test_logged_email_address_is_left_out_once_the_customer_does_not_consent(scene: Scene) -> None:
    scene.log(JONAS)
    Install.objects.update(pii_consent=False)
    assert people.from_log(contract=contract_of(scene)).person == Person("usr_jonas", "Jonas K.")


def test_logged_events_that_name_two_people_name_nobody(scene: Scene) -> None:
    scene.log(JONAS)
    scene.log(JONAS | {"opentrainUserId": "usr_other"})
    hired = people.from_log(contract=contract_of(scene))
    assert (hired.person, hired.may_be_read) == (None, False)
    assert hired.words == (
        "The logged events of this contract name 2 people, and the event names exactly one person. So it cannot be "
        "built."
    )


def test_event_that_nobody_verified_or_of_another_install_or_type_names_nobody(scene: Scene) -> None:
    scene.log(JONAS)
    Attempt.objects.update(signature="unchecked")
    scene.log(JONAS, event_type="milestone.funded")
    elsewhere = make_delivery(
        endpoint=make_endpoint(),
        resource_id=scene.contract.opentrain_id,
        body=bytes(Delivery.objects.first().body),
    )
    make_attempt(delivery=elsewhere)
    reported = make_delivery(endpoint=scene.endpoint, resource_id=scene.contract.opentrain_id, body=elsewhere.body)
    make_attempt(delivery=reported, source="observed")
    hired = people.from_log(contract=contract_of(scene))
    assert (hired.person, hired.words, hired.may_be_read) == (None, BY_LOG, True)


def test_read_of_opentrain_names_the_one_participant_and_is_audited_without_the_name(
    scene: Scene, support: User
) -> None:
    hired = people.read(actor=support, contract=contract_of(scene))
    assert hired.person is not None
    assert (reads(scene.fake), hired.person.display_name) == (1, "Maria G.")
    entry = AuditEntry.objects.get(action="read who was hired")
    assert (entry.actor_name, entry.install_id) == ("ana", scene.install.pk)
    assert entry.words == f"Read of OpenTrain for contract {scene.contract.opentrain_id}."
    assert "Maria" not in repr(hired)


@pytest.mark.parametrize(("number", "named"), [(0, "nobody"), (3, "3 people")])
def test_several_or_no_participants_name_nobody(scene: Scene, support: User, number: int, named: str) -> None:
    one = Participant("usr_0", "A", None, None, None)
    found = tuple(dataclasses.replace(one, opentrain_user_id=f"usr_{at}") for at in range(number))
    scene.fake.change_answer(lambda _answer: found, operation="list_participants")
    hired = people.read(actor=support, contract=contract_of(scene))
    assert hired.person is None
    assert hired.words.startswith(f"OpenTrain names {named}, and the event names exactly one person.")


def test_person_whose_id_was_cut_is_nobody(scene: Scene, support: User) -> None:
    cut = (Participant("usr_that_was_cut…", None, None, None, None),)
    scene.fake.change_answer(lambda _answer: cut, operation="list_participants")
    hired = people.read(actor=support, contract=contract_of(scene))
    assert (hired.person, "a person without a whole ID" in hired.words) == (None, True)


def test_token_that_lacks_the_scope_asks_nothing_and_says_which(scene: Scene, support: User) -> None:
    Install.objects.update(token_scopes=["webhooks:manage", "contracts:read"])
    for hired in (
        people.from_log(contract=contract_of(scene)),
        people.read(actor=support, contract=contract_of(scene)),
        people.of_opentrain(contract=contract_of(scene)),
    ):
        assert (hired.person, hired.may_be_read) == (None, False)
        assert "Not known, because this token lacks participants:read." in hired.words
    assert reads(scene.fake) == 0


def test_opentrain_that_does_not_answer_can_be_asked_again(scene: Scene, support: User) -> None:
    scene.fake.fail_next(Unavailable("OpenTrain did not answer.", reason=Reason.TIMEOUT), operation="list_participants")
    hired = people.read(actor=support, contract=contract_of(scene))
    assert (hired.person, hired.may_be_read) == (None, True)
    assert hired.words == "OpenTrain does not tell who was hired: OpenTrain did not answer."


def test_token_that_cannot_be_decrypted_is_said(scene: Scene, support: User) -> None:
    Install.objects.filter(pk=scene.install.pk).update(token=b"not encrypted with any key")
    contract = Contract.objects.select_related("install").defer("install__token").get(pk=scene.contract.pk)
    assert "cannot be read with the keys in FIELD_KEYS" in people.read(actor=support, contract=contract).words


def test_second_read_of_an_install_at_once_is_refused(scene: Scene, support: User) -> None:
    with people._waits.one(name=str(scene.install.pk), most=1, most_of_name=1):
        hired = people.read(actor=support, contract=contract_of(scene))
    assert (hired.words, hired.may_be_read, reads(scene.fake)) == (people.BUSY, True, 0)
