"""Findings open, change and close with the log and with what was read; order and repetition make no difference."""

from dataclasses import fields

import pytest

from dashboard.actions.reconciliation import judge as module
from dashboard.actions.reconciliation.judge import judge
from dashboard.models import Contract, Endpoint, Evidence, Finding, Handover, Install, ReceiverReport
from dashboard.rules.reconciliation import ContractFacts, Event, Kind, Reason
from tests.actions.reconciliation.worlds import (
    DAY,
    HOUR,
    MINUTE,
    SPAN,
    deliver,
    end,
    hand_over,
    judged,
    make_received,
    make_running,
    only,
    tell_history,
    verdict_of,
)
from tests.factories import NOON

pytestmark = pytest.mark.django_db
READ = NOON + 10 * MINUTE


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_received(install=acme)


@pytest.fixture
def contract(acme: Install, endpoint: Endpoint) -> Contract:
    """A contract whose start the handler took."""
    contract = make_running(install=acme)
    deliver(contract, endpoint)
    return contract


def test_nothing_is_found_where_the_handler_took_all(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    assert judged(acme, now=NOON) == {}
    end(contract)
    deliver(contract, endpoint, event=Event.ENDED)
    assert judged(acme, now=READ) == {}
    assert not Finding.objects.exists()
    assert verdict_of(contract, endpoint, Event.ENDED, now=READ).kind is Kind.TAKEN


def test_a_lost_end_is_not_seen_yet_and_then_missing(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    judged(acme, now=NOON)
    end(contract)
    found = only(judged(acme, now=READ))
    assert (found.kind, found.consequence, found.until) == (Kind.NOT_SEEN_YET, "access", READ + SPAN)
    assert (found.found_at, found.changed_at, found.happened_at) == (READ, READ, contract.end_date)
    assert only(judged(acme, now=READ + SPAN)).kind == Kind.NOT_SEEN_YET
    later = READ + SPAN + MINUTE
    found = only(judged(acme, now=later))
    assert (found.kind, found.reason, found.until) == (Kind.MISSING, Reason.UNPROVEN, None)
    assert (found.found_at, found.changed_at, found.closed_at) == (READ, later, None)


def test_a_finding_closes_when_the_event_comes_after_all(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    end(contract)
    judged(acme, now=READ + SPAN + MINUTE)
    deliver(contract, endpoint, event=Event.ENDED, at=READ + SPAN + HOUR)
    assert judged(acme, now=READ + SPAN + 2 * HOUR) == {}
    closed = Finding.objects.get()
    assert closed.closed_at == READ + SPAN + 2 * HOUR
    assert closed.closed_words == f"The handler took it at {READ + SPAN + HOUR:%Y-%m-%d %H:%M:%S} UTC."


def test_a_finding_closes_when_it_is_handed_over(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    end(contract)
    late = READ + SPAN + HOUR
    judged(acme, now=late)
    hand_over(contract, endpoint, event=Event.ENDED, at=late + MINUTE, ok=False)
    assert only(judged(acme, now=late + 2 * MINUTE)).kind == Kind.MISSING
    hand_over(contract, endpoint, event=Event.ENDED, at=late + 3 * MINUTE)
    assert judged(acme, now=late + 4 * MINUTE) == {}
    assert Finding.objects.get().closed_words.startswith("Handed over: the handler took it from Redeliver at 2026-")
    found = verdict_of(contract, endpoint, Event.ENDED, now=late + 4 * MINUTE)
    assert (found.kind, found.handed_over, found.at) == (Kind.TAKEN, True, late + 3 * MINUTE)
    assert not verdict_of(contract, endpoint, Event.STARTED, now=late + 4 * MINUTE).handed_over
    Handover.objects.all().delete()  # retention removes its rows
    assert verdict_of(contract, endpoint, Event.ENDED, now=late + 5 * MINUTE) == found


def test_an_end_that_is_handed_over_after_a_late_start_puts_the_order_right(acme: Install, endpoint: Endpoint) -> None:
    contract = make_running(install=acme)
    end(contract)
    deliver(contract, endpoint, event=Event.ENDED)
    deliver(contract, endpoint, at=READ + HOUR)
    assert only(judged(acme, now=READ + 2 * HOUR)).kind == Kind.OUT_OF_ORDER
    hand_over(contract, endpoint, event=Event.ENDED, at=READ + 3 * HOUR)
    assert judged(acme, now=READ + 4 * HOUR) == {}


def test_a_finding_follows_its_delivery(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    end(contract)
    waiting = {"last_ok": False, "last_status": 503, "last_cause": "status"}
    delivery = deliver(contract, endpoint, event=Event.ENDED, **waiting)
    found = only(judged(acme, now=READ))
    assert (found.kind, found.until) == (Kind.RETRYING, delivery.due_by)
    failed = {"attempt_count": 5, "attempts_in_round": 5, "standing": 3, "due_by": None, "last_attempt_at": READ + HOUR}
    type(delivery).objects.filter(pk=delivery.pk).update(**failed)
    found = only(judged(acme, now=READ + HOUR))
    assert (found.kind, found.until, found.changed_at) == (Kind.FAILED, None, READ + HOUR)


def test_a_closed_finding_opens_again(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    end(contract)
    judged(acme, now=READ)
    Endpoint.objects.filter(pk=endpoint.pk).update(deleted_at=READ + MINUTE)
    assert judged(acme, now=READ + 2 * MINUTE) == {}
    assert Finding.objects.get().closed_words == "OpenTrain deleted the endpoint, so nothing comes to it any more."
    Endpoint.objects.filter(pk=endpoint.pk).update(deleted_at=None)
    found = only(judged(acme, now=READ + 3 * MINUTE))
    assert (found.found_at, found.closed_at, found.closed_words) == (READ + 3 * MINUTE, None, "")


def test_repetition_writes_nothing(
    acme: Install, contract: Contract, endpoint: Endpoint, django_assert_max_num_queries
) -> None:
    end(contract)
    judged(acme, now=READ)
    before = list(Finding.objects.values()), list(Evidence.objects.values()), list(Contract.objects.values())
    with django_assert_max_num_queries(11) as queries:
        judge(install_id=acme.pk, now=READ + MINUTE)
    assert before == (
        list(Finding.objects.values()),
        list(Evidence.objects.values()),
        list(Contract.objects.values()),
    )
    written = [one["sql"] for one in queries.captured_queries if one["sql"].startswith("UPDATE")]
    assert len(written) == 1
    assert "judged_at" in written[0]


def test_nothing_is_missing_while_a_receiver_holds_attempts(
    acme: Install, contract: Contract, endpoint: Endpoint
) -> None:
    end(contract)
    late = READ + SPAN + HOUR
    ReceiverReport.objects.create(name="a", held=1, heard_at=late)
    found = only(judged(acme, now=late))
    assert (found.kind, found.reason) == (Kind.NOT_SEEN_YET, Reason.NOT_IN_LOG_YET)
    ReceiverReport.objects.all().delete()
    assert verdict_of(contract, endpoint, Event.ENDED, now=late).kind is Kind.NOT_SEEN_YET  # not looked at yet
    assert only(judged(acme, now=late + MINUTE)).kind == Kind.MISSING
    assert verdict_of(contract, endpoint, Event.ENDED, now=late + MINUTE).kind is Kind.MISSING


def test_a_page_says_nothing_that_was_not_looked_at(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    """The end came, and the log has it, but the page is opened before the install is judged again."""
    end(contract)
    judged(acme, now=READ)
    deliver(contract, endpoint, event=Event.ENDED)
    late = READ + SPAN + HOUR
    assert verdict_of(contract, endpoint, Event.ENDED, now=late).kind is Kind.NOT_SEEN_YET
    judged(acme, now=late)
    assert verdict_of(contract, endpoint, Event.ENDED, now=late).kind is Kind.TAKEN


def test_an_endpoint_of_another_install_is_left_out(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    other = make_received()
    end(contract)
    deliver(contract, other, event=Event.ENDED)
    assert only(judged(acme, now=READ)).endpoint_id == endpoint.pk
    assert not Evidence.objects.filter(endpoint=other).exists()


def test_history_tells_why_it_is_missing(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    tell_history(endpoint, at=NOON - MINUTE, not_before=NOON - HOUR, event_types=["contract.started"])
    tell_history(endpoint, at=READ + HOUR, not_before=READ + HOUR - MINUTE)
    end(contract)
    assert only(judged(acme, now=READ + SPAN + MINUTE)).reason == Reason.NOT_SUBSCRIBED


def test_what_was_proven_stays_when_the_history_is_gone(acme: Install, contract: Contract, endpoint: Endpoint) -> None:
    end(contract)
    late = READ + SPAN + HOUR
    judged(acme, now=late)
    endpoint.history.all().delete()
    Contract.objects.update(judged_as="")
    assert only(judged(acme, now=late + 90 * DAY)).kind == Kind.MISSING
    assert verdict_of(contract, endpoint, Event.ENDED, now=late + 90 * DAY).kind is Kind.MISSING


CHANGES = {
    "status": "ended",
    "created_at": NOON - DAY,
    "end_date": NOON,
    "first_seen_at": NOON - DAY,
    "ended_seen_at": NOON,
    "gone_at": NOON,
    "job_id": "job_2",
    "link_ids": ["lnk_2"],
}
NOT_COMPARED = {
    "active_seen_at": "each read of an active contract changes it, and says only that nothing has changed",
    "known_from": "the judge writes it",
}


def test_all_that_verdicts_rest_on_is_compared() -> None:
    told = {one.name for one in fields(ContractFacts)} - CHANGES.keys() - NOT_COMPARED.keys()
    assert told == set(), "add them to _DUE in judge.py, and to CHANGES"


@pytest.mark.parametrize("column", CHANGES)
def test_a_contract_is_judged_again_when_it_has_changed(
    acme: Install, contract: Contract, column: str, monkeypatch
) -> None:
    other = make_running(install=acme)
    judged(acme, now=NOON)
    again = judged_in(monkeypatch)
    Contract.objects.filter(pk=contract.pk).update(**{column: CHANGES[column]})
    judged(acme, now=READ)
    judged(acme, now=READ)
    assert again == [[contract.pk]]
    assert other.pk not in again[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda acme: acme.endpoints.update(status="DISABLED"),
        lambda acme: acme.endpoints.update(event_types=["contract.ended"]),
        lambda acme: acme.endpoints.update(url="https://acme.example.com/hook"),
        lambda acme: acme.endpoints.update(deleted_at=NOON),
        lambda acme: acme.endpoints.update(auto_disabled_at=NOON),
        lambda acme: acme.project_links.update(gone_at=NOON),
        lambda acme: acme.project_links.update(job_id="job_2"),
        lambda acme: Install.objects.filter(pk=acme.pk).update(status="SUSPENDED"),
    ],
)
def test_all_contracts_are_judged_again_when_an_endpoint_a_link_or_the_install_has_changed(
    acme: Install, contract: Contract, change, monkeypatch
) -> None:
    make_running(install=acme)
    judged(acme, now=NOON)
    again = judged_in(monkeypatch)
    change(acme)
    judged(acme, now=READ)
    judged(acme, now=READ)
    assert [len(contracts) for contracts in again] == [2]


def test_a_read_that_shows_nothing_new_judges_nothing_again(acme: Install, contract: Contract, monkeypatch) -> None:
    judged(acme, now=NOON)
    again = judged_in(monkeypatch)
    Contract.objects.update(last_seen_at=READ, active_seen_at=READ, title="Renamed")
    acme.project_links.update(last_seen_at=READ)
    acme.endpoints.update(snapshot_at=READ, consecutive_failures=3)
    judged(acme, now=READ)
    assert again == []


def judged_in(monkeypatch, *, most: int | None = None) -> list[list[int]]:
    """Return a list that gets the contracts of each judgement from now on, of which `most` succeed."""
    real, seen = module.judge_all, []

    def judge_all(*, contracts, **given):
        seen.append(sorted(one.pk for one in contracts))
        if most is not None and len(seen) >= most:
            raise ZeroDivisionError
        return real(contracts=contracts, **given)

    monkeypatch.setattr(module, "judge_all", judge_all)
    return seen


@pytest.mark.parametrize("dies", [False, True])
def test_many_contracts_are_judged_in_portions_and_what_is_left_is_due(
    acme: Install, endpoint: Endpoint, monkeypatch, dies: bool
) -> None:
    make_received(install=acme)
    contracts = [make_running(install=acme) for _ in range(5)]
    judged(acme, now=NOON)
    for contract in contracts:
        deliver(contract, endpoint)  # only its evidence is new
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 4)
    if dies:
        with monkeypatch.context() as patch:
            judged_in(patch, most=2)
            with pytest.raises(ZeroDivisionError):
                judge(install_id=acme.pk, now=READ)
    again = judged_in(monkeypatch)
    judge(install_id=acme.pk, now=READ)
    pks = [one.pk for one in contracts]
    assert again == ([[*pks[2:4]], pks[4:]] if dies else [pks[:2], pks[2:4], pks[4:]])
    again.clear()
    judge(install_id=acme.pk, now=READ)
    assert again == []
    assert {row.endpoint_id for row in Finding.objects.open()} != {endpoint.pk}
    assert not Finding.objects.open().filter(endpoint=endpoint).exists()
