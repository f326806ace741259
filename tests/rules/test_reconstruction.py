"""The event that is built: the contract's shape, what is not known, its IDs, and the person in a logged event."""

import json
from datetime import timedelta
from typing import Any

import pytest

from dashboard.partner_api.models import event_wire_id
from dashboard.rules.masking import REDACTED
from dashboard.rules.reconciliation import Event
from dashboard.rules.reconstruction import (
    LOGGED_BYTES,
    TEXT_CHARS,
    Built,
    ContractFields,
    LinkFields,
    Person,
    build,
    delivery_id,
    is_reconstructed,
    person_in,
    same_person,
)
from tests.factories import NOON

CONTRACT = ContractFields(
    id="ctr_1",
    status="ended",
    job_id="job_1",
    title="Traffic signs",
    start_date=NOON,
    end_date=NOON + timedelta(hours=5, milliseconds=7),
    created_at=NOON - timedelta(hours=1),
)
LINK = LinkFields(
    id="plk_1",
    job_id="job_1",
    external_project_id="42",
    external_project_name="Signs",
    external_project_url="https://platform.example.com/42",
    provisioning_mode="PARTNER_WEBHOOK",
    created_at=NOON - timedelta(days=1),
)
MARIA = Person("usr_1", "Maria G.", "Spain", "https://app.opentrain.ai/profile/maria")
TOLD = {"opentrainUserId": "usr_1", "displayName": "Maria G.", "country": "Spain", "profileUrl": "https://m.example/"}


def built(**given: Any) -> Built:
    columns: dict[str, Any] = {
        "event": Event.ENDED,
        "contract": CONTRACT,
        "link": LINK,
        "freelancer": MARIA,
        "install_id": "ins_1",
        "endpoint_id": "whe_1",
    }
    return build(**columns | given)


def said(**given: Any) -> dict[str, Any]:
    return json.loads(built(**given).body)


def logged(freelancer: object, **given: object) -> bytes:
    return json.dumps({"resourceId": "ctr_1", "data": {"freelancer": freelancer}} | given).encode()


def test_event_has_the_contracts_shape_and_says_that_it_is_reconstructed() -> None:
    event = said()
    assert event.pop("id").startswith("redeliver-event-")
    assert event == {
        "type": "contract.ended",
        "apiVersion": "v1",
        "reconstructed": True,
        "createdAt": "2026-06-12T17:00:00.007Z",
        "resourceId": "ctr_1",
        "jobId": "job_1",
        "data": {
            "contract": {
                "id": "ctr_1",
                "status": "ended",
                "title": "Traffic signs",
                "startDate": "2026-06-12T12:00:00.000Z",
                "endDate": "2026-06-12T17:00:00.007Z",
            },
            "freelancer": {
                "opentrainUserId": "usr_1",
                "displayName": "Maria G.",
                "country": "Spain",
                "profileUrl": "https://app.opentrain.ai/profile/maria",
            },
            "projectLink": {
                "id": "plk_1",
                "jobId": "job_1",
                "externalProjectId": "42",
                "externalProjectName": "Signs",
                "externalProjectUrl": "https://platform.example.com/42",
                "provisioningMode": "PARTNER_WEBHOOK",
                "createdAt": "2026-06-11T12:00:00.000Z",
            },
        },
    }


def test_start_happened_when_the_contract_was_created() -> None:
    assert said(event=Event.STARTED)["createdAt"] == "2026-06-12T11:00:00.000Z"


def test_what_is_not_known_is_null_also_what_was_cut_or_masked() -> None:
    contract = ContractFields("ctr_1", "ended", "", "A title that was cut…", None, None, None)
    link = LinkFields("plk_1", external_project_url=f"https://p.example/?token={REDACTED}")
    event = said(contract=contract, link=link, freelancer=Person("usr_1", country="Spa…"))
    assert (event["createdAt"], event["jobId"]) == (None, None)
    told = {"id": "ctr_1", "status": "ended", "title": None, "startDate": None, "endDate": None}
    assert event["data"]["contract"] == told
    assert event["data"]["freelancer"] == {
        "opentrainUserId": "usr_1", "displayName": None, "country": None, "profileUrl": None
    }  # fmt: skip
    assert {key for key, value in event["data"]["projectLink"].items() if value is not None} == {"id"}


def test_email_address_is_there_only_if_it_was_given() -> None:
    assert "workEmail" not in said()["data"]["freelancer"]
    person = Person("usr_1", work_email="maria@opentrain.work")
    assert said(freelancer=person)["data"]["freelancer"]["workEmail"] == "maria@opentrain.work"
    assert "maria" not in repr(person)


def test_ids_are_the_same_each_time_and_none_of_opentrains() -> None:
    one, again = built(), built()
    assert (one.delivery_id, one.body) == (again.delivery_id, again.body)
    assert is_reconstructed(one.delivery_id)
    assert not is_reconstructed("dlv_00000000000000000000000000000001")
    assert not said()["id"].startswith(event_wire_id(1)[:4])


@pytest.mark.parametrize(
    "given",
    [
        {"event": Event.STARTED},
        {"contract_id": "ctr_2"},
        {"link_id": "plk_2"},
        {"install_id": "ins_2"},
        {"endpoint_id": "whe_2"},
    ],
)
def test_delivery_id_differs_with_each_thing_that_it_is_of(given: dict[str, Any]) -> None:
    first = {
        "event": Event.ENDED, "contract_id": "ctr_1", "link_id": "plk_1", "install_id": "ins_1", "endpoint_id": "whe_1"
    }  # fmt: skip
    assert delivery_id(**first | given) != delivery_id(**first)


def test_ids_of_parts_that_could_be_joined_alike_differ() -> None:
    same = {"event": Event.ENDED, "install_id": "ins_1", "endpoint_id": "whe_1"}
    assert delivery_id(contract_id="a", link_id="bc", **same) != delivery_id(contract_id="ab", link_id="c", **same)


def test_headers_are_opentrains_with_the_mark_and_an_agent_of_redelivers_own() -> None:
    one = built()
    assert one.headers(signature="t=1,v1=ab") == [
        ("Content-Type", "application/json"),
        ("User-Agent", "Redeliver-Handover/1.0"),
        ("X-OpenTrain-Event", "contract.ended"),
        ("X-OpenTrain-Delivery", one.delivery_id),
        ("X-OpenTrain-Signature", "t=1,v1=ab"),
        ("X-Redeliver-Reconstructed", "1"),
    ]


def test_person_of_a_logged_event_is_read_with_the_fields_that_are_known() -> None:
    body = logged(TOLD | {"workEmail": "m@opentrain.work", "unknown": [1]})
    assert person_in(body, contract_id="ctr_1") == Person(
        "usr_1", "Maria G.", "Spain", "https://m.example/", "m@opentrain.work"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[" * 100_000,
        b'{"resourceId":"ctr_1","data":' + b'{"freelancer":' * 250 + b"1" + b"}" * 251,
        b'"ctr_1"',
        b'{"resourceId":"ctr_1","data":null}',
        b'{"resourceId":"ctr_1","data":{"freelancer":["usr_1"]}}',
        logged(None),
        logged({}),
        logged(TOLD | {"opentrainUserId": 7}),
        logged(TOLD | {"opentrainUserId": " "}),
        logged(TOLD | {"opentrainUserId": "u" * 201}),
        logged(TOLD | {"opentrainUserId": "usr\u202e1"}),
        logged(TOLD, resourceId="ctr_2"),
        logged(TOLD, filler="x" * LOGGED_BYTES),
    ],
    ids=str,
)
def test_no_person_is_read_of_anything_else(body: bytes) -> None:
    assert person_in(body, contract_id="ctr_1") is None


@pytest.mark.parametrize("text", [7, None, [], {}, "", "x" * (TEXT_CHARS + 1), True], ids=str)
def test_field_of_a_person_that_is_no_text_is_not_known(text: object) -> None:
    person = person_in(logged(TOLD | {"displayName": text}), contract_id="ctr_1")
    assert person is not None
    assert person.display_name is None


def test_half_a_character_of_a_logged_event_is_built_into_an_event() -> None:
    person = person_in(b'{"resourceId":"ctr_1","data":{"freelancer":{"opentrainUserId":"u","country":"\\ud800"}}}',
                       contract_id="ctr_1")  # fmt: skip
    assert person is not None
    assert said(freelancer=person)["data"]["freelancer"]["country"] == "?"


def test_several_events_that_name_one_person_are_about_that_one() -> None:
    other = Person("usr_1", "Maria Garcia")
    assert same_person([MARIA, other]) is MARIA
    assert same_person([MARIA, Person("usr_2")]) is None
    assert same_person([]) is None
