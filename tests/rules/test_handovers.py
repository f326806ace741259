"""What may be handed over: each refusal in words, and that no start is built of a contract that has ended."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dashboard.rules.handovers import (
    ENDED_ALREADY,
    EVENTS,
    NOT_ALLOWED,
    SLUGS,
    ContractState,
    HandlerState,
    Result,
    why_not_built,
    why_not_sent,
)
from dashboard.rules.reconciliation import Event, Kind, Reason, Verdict
from tests.factories import NOON

MISSING = Verdict(Kind.MISSING, Reason.UNPROVEN)
ENDED = ContractState(
    status="ended", end_date=NOON, is_gone=False, has_ended_event=False, ids_are_whole=True, has_link=True
)
ACTIVE = replace(ENDED, status="active", end_date=None)
READY = HandlerState(
    is_deleted=False,
    is_active=True,
    event_types=frozenset(event.value for event in Event),
    has_secret=True,
    has_url=True,
    leads_back=False,
    hands_over=True,
)


def built(event: Event = Event.ENDED, contract: ContractState = ENDED, verdict: Verdict = MISSING) -> str:
    return why_not_built(event=event, verdict=verdict, contract=contract, now=NOON)


def sent(verdict: Verdict = MISSING, contract: ContractState = ENDED, **changes: Any) -> str:
    endpoint = replace(READY, **changes)
    return why_not_sent(event=Event.ENDED, verdict=verdict, endpoint=endpoint, contract=contract, now=NOON)


def test_events_have_short_names_in_addresses() -> None:
    assert SLUGS == {Event.STARTED: "started", Event.ENDED: "ended"}
    assert {slug: SLUGS[event] for slug, event in EVENTS.items()} == {"started": "started", "ended": "ended"}


def test_missing_event_is_built_and_sent() -> None:
    assert (built(), built(Event.STARTED, ACTIVE), sent()) == ("", "", "")


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_every_kind_of_verdict_has_an_answer(kind: Kind) -> None:
    verdict = Verdict(kind)
    said = built(verdict=verdict) or sent(verdict)
    assert (said == "") is (kind in {Kind.MISSING, Kind.REFUSED, Kind.OUT_OF_ORDER})


def test_an_end_that_is_not_due_says_whether_it_has_not_happened_or_came_too_late() -> None:
    assert built(contract=ACTIVE, verdict=Verdict(Kind.NOT_DUE)).startswith("The contract has not ended")
    assert built(verdict=Verdict(Kind.NOT_DUE)).startswith("OpenTrain deleted the endpoint before")


def test_what_failed_is_in_the_log_and_redelivered_instead() -> None:
    assert "Redeliver that one instead" in built(verdict=Verdict(Kind.FAILED))


def test_end_that_was_taken_before_the_start_is_sent_again_and_never_the_start() -> None:
    verdict = Verdict(Kind.OUT_OF_ORDER)
    assert (built(verdict=verdict), sent(verdict)) == ("", "")
    assert built(Event.STARTED, ENDED, verdict) == ENDED_ALREADY


@pytest.mark.parametrize("kind", [Kind.NOT_KNOWN, Kind.NOT_SEEN_YET, Kind.TAKEN_IN_PART])
def test_what_is_not_known_to_be_missing_is_built_and_not_sent(kind: Kind) -> None:
    assert built(verdict=Verdict(kind)) == ""
    assert sent(Verdict(kind)) != ""


def test_what_may_still_come_is_waited_for_until_then() -> None:
    words = sent(Verdict(Kind.NOT_SEEN_YET, until=NOON + timedelta(hours=3)))
    assert words == "OpenTrain's own delivery may still come until 15:00 UTC. Wait for it before you send the event."


def test_what_may_be_held_by_a_receiver_is_waited_for() -> None:
    verdict = Verdict(Kind.MISSING, Reason.UNPROVEN, is_log_behind=True)
    assert built(verdict=verdict) == ""
    assert "A receiver holds attempts that are not in the log yet" in sent(verdict)


@pytest.mark.parametrize(
    "contract",
    [
        ENDED,
        replace(ACTIVE, has_ended_event=True),
        replace(ACTIVE, end_date=NOON),
        replace(ACTIVE, end_date=NOON - timedelta(days=1)),
    ],
)
def test_start_of_a_contract_that_has_or_may_have_ended_is_never_built(contract: ContractState) -> None:
    assert built(Event.STARTED, contract) == ENDED_ALREADY


def test_start_of_a_contract_that_will_end_is_built() -> None:
    assert built(Event.STARTED, replace(ACTIVE, end_date=NOON + timedelta(seconds=1))) == ""


def test_end_of_a_contract_that_is_active_is_not_built() -> None:
    assert built(Event.ENDED, ACTIVE) == "The contract has not ended, so there is no such event."


@pytest.mark.parametrize("event", list(Event), ids=str)
def test_nothing_is_built_for_a_status_that_is_not_known(event: Event) -> None:
    assert "a status of this contract that Redeliver does not know" in built(event, replace(ACTIVE, status="paused"))
    assert "a status of this contract that Redeliver does not know" in built(event, replace(ACTIVE, status=""))


def test_nothing_is_built_without_a_link_or_with_an_id_that_was_cut() -> None:
    assert "No project link is known" in built(contract=replace(ENDED, has_link=False))
    assert "too long" in built(contract=replace(ENDED, ids_are_whole=False))


NO_SECRET = "Redeliver does not have this endpoint's signing secret, so it cannot sign the event."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"is_deleted": True}, "OpenTrain no longer has this endpoint."),
        ({"event_types": frozenset({"contract.started"})}, "This endpoint does not subscribe to contract.ended."),
        ({"is_active": False}, "The endpoint is paused or disabled. Re-enable it first."),
        ({"has_url": False}, "Redeliver does not know the handler's URL."),
        ({"leads_back": True}, "The handler's URL is an address of Redeliver's receiver: the event would come back."),
        ({"has_secret": False}, NO_SECRET),
        ({"hands_over": False}, NOT_ALLOWED),
        ({"hands_over": False, "has_secret": False}, NO_SECRET),
    ],
)
def test_endpoint_that_keeps_an_event_from_being_sent_says_why(changes: dict[str, Any], words: str) -> None:
    assert sent(**changes) == words


def test_contract_that_is_gone_cannot_be_checked_so_nothing_is_sent() -> None:
    assert "no longer lists this contract" in sent(contract=replace(ENDED, is_gone=True))


def test_every_result_has_its_label() -> None:
    assert [result.label for result in Result] == ["Sending", "Handed over", "Failed", "Not known", "Not sent"]
