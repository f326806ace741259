"""What is stored of links, contracts and budgets, and the changes between two readings."""

import dataclasses
from datetime import datetime, timedelta

import pytest

from dashboard.actions.installs.rounds import Done
from dashboard.actions.reconciliation import reads, rows, sweep
from dashboard.models import Contract, ContractChange, ProjectLink
from dashboard.rules.durations import exactly
from dashboard.rules.installs import UnreadEntry
from dashboard.services import opentrain
from tests.actions.reconciliation.sweeping import MINUTE, TEN, Judged, changes, go, make_read, state
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint

pytestmark = pytest.mark.django_db


def test_links_and_contracts_are_stored_as_they_were_first_seen(fake_opentrain: FakeOpenTrain) -> None:
    install, judge = make_read(fake_opentrain), Judged()
    link = fake_opentrain.add_link(install.token, job_id="job_1")
    active, ended = fake_opentrain.hire("job_1"), fake_opentrain.hire("job_1")
    fake_opentrain.end(ended)
    assert go(judge=judge) == Done(installs=1)
    row = ProjectLink.objects.get()
    assert (row.opentrain_id, row.job_id, row.external_project_id) == (link.id, "job_1", link.external_project_id)
    assert (row.created_at, row.first_seen_at, row.last_seen_at, row.gone_at) == (link.created_at, NOON, NOON, None)
    seen = Contract.objects.order_by("pk").values_list(
        "opentrain_id", "status", "job_id", "title", "link_ids", "first_seen_at", "active_seen_at", "ended_seen_at"
    )
    assert set(map(repr, seen)) == {
        repr((active, "active", "job_1", "Traffic signs", [link.id], NOON, NOON, None)),
        repr((ended, "ended", "job_1", "Traffic signs", [link.id], NOON, None, NOON)),
    }
    known = state(install)
    assert (known.links_read_at, known.contracts_read_at, known.due_at) == (NOON, NOON, NOON + TEN)
    assert (known.error, known.out_of_reach, known.failures) == ("", "", 0)
    assert changes() == []
    assert judge.installs == [(install.pk, NOON)]


def test_change_is_kept_with_the_interval_in_which_it_happened(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract = fake_opentrain.hire("job_1")
    go()
    go(NOON + TEN)
    fake_opentrain.end(contract)
    go(NOON + 2 * TEN)
    row = Contract.objects.get()
    assert (row.status, row.first_seen_at, row.active_seen_at, row.ended_seen_at) == (
        "ended", NOON, NOON + TEN, NOON + 2 * TEN,
    )  # fmt: skip
    change = ContractChange.objects.get(what="status")
    assert (change.contract, change.before, change.after) == (row, "active", "ended")
    assert (change.not_before, change.seen_at) == (NOON + TEN, NOON + 2 * TEN)
    assert row.end_date is not None
    assert ContractChange.objects.get(what="end_date").after == exactly(row.end_date)
    go(NOON + 3 * TEN)
    assert (Contract.objects.get().ended_seen_at, ContractChange.objects.count()) == (NOON + 2 * TEN, 2)


def test_contract_that_ends_between_the_two_lists_was_active_when_the_first_was_requested(
    fake_opentrain: FakeOpenTrain,
) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract = fake_opentrain.hire("job_1")
    fake_opentrain.before("list_contracts", lambda: fake_opentrain.end(contract), at=2)
    ticks = iter(NOON + number * MINUTE for number in range(100))
    sweep.sweep(clock=lambda: next(ticks), budget=MINUTE, judge=Judged())
    row = Contract.objects.get()
    assert (row.status, row.first_seen_at) == ("ended", row.active_seen_at)
    assert row.ended_seen_at == row.active_seen_at + MINUTE
    assert row.last_seen_at == row.ended_seen_at


def test_end_between_the_two_lists_is_known_as_exactly_as_they_tell(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract = fake_opentrain.hire("job_1")
    go()
    fake_opentrain.before("list_contracts", lambda: fake_opentrain.end(contract), at=2)
    ticks = iter(NOON + TEN + number * MINUTE for number in range(100))
    sweep.sweep(clock=lambda: next(ticks), budget=MINUTE, judge=Judged())
    row, change = Contract.objects.get(), ContractChange.objects.get(what="status")
    assert (change.not_before, change.seen_at) == (row.active_seen_at, row.ended_seen_at)
    assert NOON + TEN < change.not_before == change.seen_at - MINUTE
    assert ContractChange.objects.get(what="end_date").not_before == NOON


def test_ended_contract_that_changes_keeps_when_it_was_first_listed_as_ended(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract = fake_opentrain.hire("job_1")
    fake_opentrain.end(contract)
    go()
    hire = fake_opentrain._hires[contract]
    hire.contract = dataclasses.replace(hire.contract, title="Renamed")
    go(NOON + TEN)
    row = Contract.objects.get()
    assert (row.title, row.ended_seen_at, row.last_seen_at) == ("Renamed", NOON, NOON + TEN)
    assert changes() == [("title", "Traffic signs", "Renamed")]


def test_link_that_is_removed_takes_its_contracts_along_and_both_can_come_back(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    link = fake_opentrain.add_link(install.token, job_id="job_1")
    fake_opentrain.hire("job_1")
    go()
    taken = fake_opentrain._links.pop(link.id)
    go(NOON + TEN)
    gone_at = NOON + TEN
    assert (Contract.objects.get().gone_at, ProjectLink.objects.get().gone_at) == (gone_at, gone_at)
    go(NOON + 2 * TEN)
    fake_opentrain._links[link.id] = taken
    go(NOON + 3 * TEN)
    assert (Contract.objects.get().gone_at, ProjectLink.objects.get().gone_at) == (None, None)
    kept = ContractChange.objects.order_by("pk").values_list("what", "not_before", "seen_at")
    assert [(what, (since - NOON) // TEN, (at - NOON) // TEN) for what, since, at in kept] == [
        ("gone", 0, 1), ("gone", 0, 1), ("back", 1, 3), ("back", 1, 3),
    ]  # fmt: skip


def test_link_that_moves_to_another_job_and_loses_it_is_a_change(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    link = fake_opentrain.add_link(install.token, job_id="job_1")
    go()
    for minutes, job_id in ((10, "job_2"), (20, None)):
        fake_opentrain._links[link.id] = (install.opentrain_id, dataclasses.replace(link, job_id=job_id))
        go(NOON + minutes * MINUTE)
    assert changes() == [("job_id", "job_1", "job_2"), ("job_id", "job_2", "")]
    assert ProjectLink.objects.get().job_id == ""


def test_url_of_a_project_is_kept_without_its_secrets_and_does_not_change_each_time(
    fake_opentrain: FakeOpenTrain,
) -> None:
    install = make_read(fake_opentrain)
    link = fake_opentrain.add_link(install.token, job_id=None)
    secret = dataclasses.replace(link, external_project_url="https://a.example.com/p?token=hush-hush-hush")
    for minutes in (0, 10):
        fake_opentrain._links[link.id] = (install.opentrain_id, secret)
        go(NOON + minutes * MINUTE)
    assert "hush" not in ProjectLink.objects.get().external_project_url
    assert changes() == []


def test_link_without_a_job_and_odd_contracts_are_stored(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id=None)
    nothing = opentrain.Contract("<b>con_1</b>", None, None, None, None, None, None, ())
    long = opentrain.Contract("c" * 200, "s" * 50, "j" * 200, "t" * 300, None, None, None, ("l" * 200,) * 1000)
    year = {name: datetime.fromisoformat(f"{year}-01-01T00:00:00Z") for name, year in (("past", 1970), ("far", 2999))}
    dated = opentrain.Contract("con_3", "on_hold", "job_1", "T", year["far"], year["past"], year["far"], ())
    fake_opentrain.change_answer(lambda _none: (nothing, long, dated), operation="list_contracts")
    go()
    kept = {row.opentrain_id: row for row in Contract.objects.all()}
    assert (kept["<b>con_1</b>"].status, kept["<b>con_1</b>"].created_at) == ("active", None)  # it was asked for
    assert (kept["c" * 200].title, len(kept["c" * 200].link_ids)) == ("t" * 300, 1000)
    assert (kept["con_3"].status, kept["con_3"].active_seen_at, kept["con_3"].ended_seen_at) == ("on_hold", None, None)
    assert (kept["con_3"].start_date, kept["con_3"].end_date) == (year["far"], year["past"])
    assert state(install).error == ""


def test_what_an_answer_does_not_say_stays_as_it_was(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    fake_opentrain.hire("job_1")
    go()
    before = Contract.objects.values_list(*rows.CONTRACT_FIELDS).get()
    fake_opentrain.change_answer(
        lambda found: tuple(opentrain.Contract(one.id, None, None, None, None, None, None, ()) for one in found),
        operation="list_contracts",
    )
    go(NOON + TEN)
    assert Contract.objects.values_list(*rows.CONTRACT_FIELDS).get() == before
    assert (Contract.objects.get().active_seen_at, changes()) == (NOON + TEN, [])


def test_contract_that_is_active_again_has_no_end_any_more(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract = fake_opentrain.hire("job_1")
    started = fake_opentrain._hires[contract].contract
    fake_opentrain.end(contract)
    go()
    fake_opentrain._hires[contract].contract = started
    go(NOON + TEN)
    row = Contract.objects.get()
    assert (row.status, row.end_date, row.active_seen_at, row.ended_seen_at) == ("active", None, NOON + TEN, None)


def test_link_entry_without_an_id_lets_no_link_go(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    go()
    unread = UnreadEntry(1, None, "it is not an object")
    fake_opentrain.change_answer(lambda _all: (unread,), operation="list_project_links")
    go(NOON + TEN)
    assert ProjectLink.objects.get().gone_at is None


def test_unchanged_contracts_cost_no_statement_each(fake_opentrain: FakeOpenTrain, django_assert_num_queries) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    for _ in range(50):
        fake_opentrain.hire("job_1")
    go(budget=timedelta(0))
    [subject] = sweep.take(now=NOON, failing=False, most=4)
    sweep.record(reads.read(subject, clock=lambda: NOON))
    again = reads.read(subject, clock=lambda: NOON + TEN)
    with django_assert_num_queries(11):
        sweep.record(again)
    assert set(Contract.objects.values_list("last_seen_at", "active_seen_at")) == {(NOON + TEN, NOON + TEN)}
    for contract in fake_opentrain._hires:
        fake_opentrain.end(contract)
    ended = reads.read(subject, clock=lambda: NOON + 2 * TEN)
    with django_assert_num_queries(12):
        sweep.record(ended)
    assert ContractChange.objects.filter(what="status").count() == 50


def test_budget_that_changes_is_a_change_and_one_that_cannot_be_read_stops_nothing(
    fake_opentrain: FakeOpenTrain,
) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    second, first = fake_opentrain.hire("job_1"), fake_opentrain.hire("job_1")
    make_endpoint(install=install, event_types=["milestone.budget_low"])
    fake_opentrain.fund(second, hours=10)
    go()
    fake_opentrain.fail_next(opentrain.BadResponse("It is HTML.", status=200), operation="get_budget")
    go(NOON + TEN)
    fake_opentrain.work(second, hours=9)
    assert go(NOON + 2 * TEN) == Done(installs=1)
    read = dict(Contract.objects.values_list("opentrain_id", "budget_state"))
    assert read == {first: "OK", second: "LOW"}
    assert Contract.objects.get(opentrain_id=second).budget_consumed == 0.9
    kept = ContractChange.objects.filter(what="budget_state", contract__opentrain_id=second)
    assert list(kept.values_list("before", "after", "not_before", "seen_at")) == [
        ("OK", "LOW", NOON + TEN, NOON + 2 * TEN)
    ]
