"""The timeline of a contract, from rows."""

from datetime import timedelta

import pytest

from dashboard.models import Contract, Endpoint, Handover, Install, InstallSnapshot
from dashboard.presenters.contract_timeline import place_of, timeline_of
from dashboard.queries.contract_story import story
from dashboard.rules.contract_timeline import Moment
from tests.factories import (
    NOON,
    make_attempt,
    make_contract,
    make_delivery,
    make_endpoint,
    make_evidence,
    make_handover,
    make_link,
)

HOUR = timedelta(hours=1)
NOW = NOON + 48 * HOUR


@pytest.fixture
def hook(acme: Install) -> Endpoint:
    return make_endpoint(
        install=acme,
        created_at=NOON - 24 * HOUR,
        event_types=["contract.started", "contract.ended"],
        handler_url="https://acme.example/hook",
    )


@pytest.fixture
def contract(acme: Install) -> Contract:
    return make_contract(
        install=acme, opentrain_id="con_1", status="ended", start_date=NOON - 9 * HOUR, created_at=NOON - 9 * HOUR
    )


def told(contract: Contract) -> list[tuple[float, str]]:
    return [((one.at - NOON) / HOUR, one.words) for one in moments(contract)]


def moments(contract: Contract) -> tuple[Moment, ...]:
    return timeline_of(story(contract, now=NOW)).moments


def test_rows_of_every_kind_are_told_in_order_of_time(acme: Install, hook: Endpoint, contract: Contract) -> None:
    make_link(install=acme, opentrain_id="lnk_1", external_project_name="Cats", created_at=NOON - 10 * HOUR)
    types = ["contract.started", "contract.ended"]
    for hours, status in ((-2, "ACTIVE"), (-0.5, "DISABLED"), (3, "ACTIVE")):
        hook.history.create(
            at=NOON + hours * HOUR, not_before=NOON + hours * HOUR - HOUR / 4, status=status, event_types=types,
            consecutive_failures=10 if status == "DISABLED" else 0, is_received=True,
        )  # fmt: skip
    InstallSnapshot.objects.create(install=acme, at=NOON + 4 * HOUR, status="REVOKED")
    delivery = make_delivery(
        endpoint=hook, opentrain_id="dlv_1", resource_id="con_1", first_received_at=NOON - 8 * HOUR,
        last_attempt_at=NOON - 8 * HOUR,
    )  # fmt: skip
    make_attempt(delivery=delivery, received_at=NOON - 8 * HOUR)
    make_evidence(
        contract=contract, endpoint=hook, event_type="contract.started", opentrain_id="dlv_1",
        first_received_at=NOON - 8 * HOUR, taken_at=NOON - 8 * HOUR, last_attempt_at=NOON - 8 * HOUR,
    )  # fmt: skip
    Handover.objects.create(
        install=acme, contract=contract, endpoint=hook, contract_opentrain_id="con_1", event_type="contract.ended",
        delivery_id="rdl_1", body=b"{}", actor_name="ana", asked_at=NOON + 5 * HOUR, ended_at=NOON + 6 * HOUR,
        status=503, cause="status",
    )  # fmt: skip
    assert told(contract) == [
        (-24, "The endpoint was registered."),
        (-10, "The project link lnk_1 to Cats was created."),
        (-9, "OpenTrain created the contract."),
        (-8, "contract.started (delivery dlv_1), attempt 1: delivered (200)."),
        (-0.5, "It was disabled."),
        (0, "The contract's end date."),
        (0, "OpenTrain listed it for the first time, already as ended."),
        (0, "OpenTrain listed the project link lnk_1 for the first time."),
        (3, "It was active again."),
        (4, "OpenTrain said that the install is not active."),
        (5, "ana handed over a contract.ended that Redeliver built (rdl_1)."),
        (6, "A contract.ended that Redeliver built (rdl_1): handler returned 503."),
    ]


def test_delivery_in_the_log_is_told_once_and_links_to_its_page(hook: Endpoint, contract: Contract) -> None:
    delivery = make_delivery(endpoint=hook, opentrain_id="dlv_1", event_type="contract.ended", resource_id="con_1")
    make_attempt(delivery=delivery)
    make_evidence(contract=contract, endpoint=hook, opentrain_id="dlv_1")
    make_evidence(contract=contract, endpoint=hook, opentrain_id="dlv_gone", event_type="contract.started")
    found = [(one.words, one.delivery) for one in moments(contract) if "delivery" in one.words]
    assert found == [
        ("contract.ended (delivery dlv_1), attempt 1: delivered (200).", delivery.pk),
        ("contract.started (delivery dlv_gone): the handler took it.", None),
    ]


def test_hand_over_is_told_as_that_and_its_evidence_only_once_it_is_gone(hook: Endpoint, contract: Contract) -> None:
    row = make_handover(contract=contract, endpoint=hook, delivery_id="redeliver-delivery-1")
    make_evidence(contract=contract, endpoint=hook, opentrain_id="redeliver-delivery-1")
    assert {one.words for one in moments(contract) if "redeliver-delivery-1" in one.words} == {
        "paul handed over a contract.ended that Redeliver built (redeliver-delivery-1).",
        "A contract.ended that Redeliver built (redeliver-delivery-1): delivered (200).",
    }
    row.delete()
    assert "contract.ended (delivery redeliver-delivery-1): the handler took it." in {
        one.words for one in moments(contract)
    }


def test_endpoint_is_named_without_secrets_and_cut(acme: Install) -> None:
    endpoint = make_endpoint(install=acme, handler_url=f"https://u:pass@acme.example/{'x' * 100}?token=abc")
    assert len(place_of(endpoint)) == 40
    assert "pass" not in place_of(endpoint)
