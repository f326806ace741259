"""What is requested of OpenTrain for an install, what is out of reach, and scopes that are missing."""

import dataclasses

import pytest
from cryptography.fernet import Fernet

from dashboard.actions.installs.rounds import Done
from dashboard.actions.reconciliation import reads
from dashboard.models import Contract, Install, ProjectLink, Reconciliation
from dashboard.rules.installs import UnreadEntry
from tests.actions.reconciliation.sweeping import TEN, calls, changes, go, make_read, state
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint

pytestmark = pytest.mark.django_db


def test_contract_whose_status_is_neither_active_nor_ended_is_not_gone(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    contract = fake_opentrain.hire("job_1")
    go()
    hire = fake_opentrain._hires[contract]
    hire.contract = dataclasses.replace(hire.contract, status="on_hold")
    go(NOON + TEN)
    row = Contract.objects.get()
    assert (row.status, row.gone_at, row.active_seen_at) == ("on_hold", None, NOON)
    assert changes() == [("status", "active", "on_hold")]


@pytest.mark.parametrize("status", ["active", "ended"])
def test_201_contracts_are_read_by_job(fake_opentrain: FakeOpenTrain, status: str) -> None:
    install = make_read(fake_opentrain)
    for job in ("job_1", "job_2"):
        fake_opentrain.add_link(install.token, job_id=job)
    hired = [fake_opentrain.hire("job_1" if number < 150 else "job_2") for number in range(201)]
    if status == "ended":
        for contract in hired:
            fake_opentrain.end(contract)
    go()
    assert (Contract.objects.count(), state(install).out_of_reach) == (201, "")
    assert calls(fake_opentrain) == ["list_project_links"] + ["list_contracts"] * 4
    assert set(ProjectLink.objects.values_list("contracts_read_at", flat=True)) == {NOON}
    del fake_opentrain._hires[hired[0]]
    go(NOON + TEN)
    assert Contract.objects.get(opentrain_id=hired[0]).gone_at == NOON + TEN
    assert Contract.objects.filter(gone_at=None).count() == 200


def test_what_is_out_of_reach_now_stays_and_is_said(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    oldest = fake_opentrain.hire("job_1")
    go()
    for _ in range(200):
        fake_opentrain.hire("job_1")
    go(NOON + TEN)
    row = Contract.objects.get(opentrain_id=oldest)
    assert (row.gone_at, row.last_seen_at, Contract.objects.count()) == (None, NOON, 201)
    assert "Older active contracts of job job_1 are out of reach" in state(install).out_of_reach


def test_jobs_that_do_not_fit_into_one_sweep_are_read_in_the_next(fake_opentrain: FakeOpenTrain, monkeypatch) -> None:
    monkeypatch.setattr(reads, "LIST_CALLS", 5)
    install = make_read(fake_opentrain)
    for number in range(4):
        fake_opentrain.add_link(install.token, job_id=f"job_{number}")
    for number in range(201):
        fake_opentrain.hire(f"job_{number % 4}")
    asked = []
    for number in range(3):
        fake_opentrain.calls.clear()
        go(NOON + number * TEN)
        asked.append([call.arguments["project_link_id"] for call in fake_opentrain.calls[3:]])
        if number == 0:
            assert "2 of 4 linked jobs are left" in state(install).out_of_reach
    assert [len(links) for links in asked] == [2, 2, 2]
    assert set(asked[0]) | set(asked[1]) == set(ProjectLink.objects.values_list("opentrain_id", flat=True))
    assert set(asked[2]) == set(asked[0])
    assert Contract.objects.count() == 201


def test_link_that_is_removed_in_the_middle_does_not_keep_others_from_being_read(
    fake_opentrain: FakeOpenTrain,
) -> None:
    install = make_read(fake_opentrain)
    links = [fake_opentrain.add_link(install.token, job_id=f"job_{number}") for number in range(3)]
    for number in range(201):
        fake_opentrain.hire(f"job_{number % 3}")
    fake_opentrain.before("list_contracts", lambda: fake_opentrain.remove_link(links[1].id), at=3)
    assert go() == Done(installs=1)
    assert "1 of 3 linked jobs is left" in state(install).out_of_reach
    read = ProjectLink.objects.exclude(contracts_read_at=None).values_list("opentrain_id", flat=True)
    assert set(read) == {links[0].id, links[2].id}


def test_reading_that_takes_too_long_begins_no_other_call(fake_opentrain: FakeOpenTrain, monkeypatch) -> None:
    """The lease of the install would end before the reading does."""
    monkeypatch.setattr(reads, "LONGEST_S", -1)
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    for _ in range(201):
        fake_opentrain.hire("job_1")
    make_endpoint(install=install, event_types=["milestone.budget_low"])
    for number in range(2):
        fake_opentrain.calls.clear()
        assert go(NOON + number * TEN) == Done(installs=1)
        assert calls(fake_opentrain) == ["list_project_links", "list_contracts", "list_contracts"]
    assert "1 of 1 linked job is left" in state(install).out_of_reach


def test_doubled_entries_do_not_make_a_full_list_look_complete(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    oldest = fake_opentrain.hire("job_1")
    go()
    for _ in range(199):
        fake_opentrain.hire("job_1")

    def doubled(found: tuple) -> tuple:
        return (*found[:199], UnreadEntry(200, found[0].id, "it is listed twice"))

    for _ in range(2):  # of all links, and of the only one
        fake_opentrain.change_answer(doubled, operation="list_contracts")
        fake_opentrain.change_answer(lambda found: found, operation="list_contracts")
    go(NOON + TEN)
    assert Contract.objects.get(opentrain_id=oldest).gone_at is None
    assert "it is listed twice" in state(install).out_of_reach


def test_entry_that_cannot_be_read_keeps_what_it_may_be_about(fake_opentrain: FakeOpenTrain) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    for _ in range(3):
        fake_opentrain.hire("job_1")
    go()
    [first, second, third] = Contract.objects.order_by("pk")
    named = UnreadEntry(1, first.opentrain_id, "its field endDate is not a text")
    only = [one for one in fake_opentrain.list_contracts(token=install.token) if one.id == third.opentrain_id]
    for unread, gone in ((UnreadEntry(1, None, "it is not an object"), []), (named, [second.pk])):
        at = state(install).due_at
        fake_opentrain.change_answer(lambda _all, unread=unread: (*only, unread), operation="list_contracts")
        fake_opentrain.change_answer(lambda _all: (), operation="list_contracts")
        fake_opentrain.change_answer(lambda _all, unread=unread: (*only, unread), operation="list_contracts")
        if unread.id is None:
            fake_opentrain._changes.pop()
        go(at)
        assert list(Contract.objects.exclude(gone_at=None).values_list("pk", flat=True)) == gone
        assert unread.words in state(install).out_of_reach


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (("webhooks:manage",), []),
        (("project-links:write",), ["list_project_links"]),
        (("contracts:read",), ["list_contracts", "list_contracts"]),
    ],
    ids=["neither", "links", "contracts"],
)
def test_scope_that_is_missing_is_no_error_and_is_not_asked_for(
    fake_opentrain: FakeOpenTrain, scopes, expected
) -> None:
    install = make_read(fake_opentrain, scopes=scopes)
    assert go() == Done(installs=1)
    assert calls(fake_opentrain) == expected
    known = state(install)
    assert (known.error, known.failures, known.due_at) == ("", 0, NOON + TEN)
    assert (known.links_read_at is not None) == ("project-links:write" in scopes)
    assert (known.contracts_read_at is not None) == ("contracts:read" in scopes)


@pytest.mark.parametrize("at", [1, 2])
def test_scope_that_goes_away_in_the_middle_is_no_error(fake_opentrain: FakeOpenTrain, at: int) -> None:
    install = make_read(fake_opentrain)
    fake_opentrain.add_link(install.token, job_id="job_1")
    fake_opentrain.hire("job_1")
    go()

    def take_away() -> None:
        about = fake_opentrain._installs[install.token]
        poorer = dataclasses.replace(about.token, scopes=("project-links:read", "webhooks:manage"))
        fake_opentrain._installs[install.token] = dataclasses.replace(about, token=poorer)

    fake_opentrain.before("list_contracts", take_away, at=at)
    assert go(NOON + TEN) == Done(installs=1)
    known = state(install)
    assert (known.error, known.links_read_at, known.contracts_read_at) == ("", NOON + TEN, NOON)
    assert Contract.objects.get().gone_at is None
    install = Install.objects.get(pk=install.pk)
    assert install.token_scopes == ["project-links:read", "webhooks:manage"]
    fake_opentrain.calls.clear()
    go(NOON + 2 * TEN)
    assert calls(fake_opentrain) == ["list_project_links"]


def test_token_that_cannot_be_read_asks_nobody(fake_opentrain: FakeOpenTrain, settings) -> None:
    install = make_read(fake_opentrain)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert go() == Done(installs=1, failed=1)
    assert calls(fake_opentrain) == []
    assert "cannot be read with the keys in FIELD_KEYS" in Reconciliation.objects.get(install_id=install.pk).error
