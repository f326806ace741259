"""When contracts were read, and what the reads could not tell."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dashboard.models import Install, Reconciliation
from dashboard.presenters.contract_reads import contract_reads
from dashboard.rules.reads import Read
from tests.factories import NOON, make_install

SCOPES = ["webhooks:manage", Read.CONTRACTS.value, Read.LINKS.value]


@pytest.fixture
def install(db: None) -> Install:
    return make_install(token_scopes=SCOPES)


def test_install_that_was_never_read_has_no_times_and_is_due(install: Install) -> None:
    reads = contract_reads(install, now=NOON)
    assert (reads.contracts_read_at, reads.read_at, reads.next_at, reads.lacks, reads.is_whole) == (
        None, None, None, "", False,
    )  # fmt: skip
    assert not Reconciliation.objects.exists()


def test_last_reads_are_said_with_the_next_one(install: Install) -> None:
    Reconciliation.objects.create(
        install=install,
        due_at=NOON + timedelta(minutes=7),
        contracts_read_at=NOON - timedelta(minutes=3),
        links_read_at=NOON - timedelta(minutes=4),
    )
    reads = contract_reads(install, now=NOON)
    assert (reads.read_at, reads.next_at) == (NOON - timedelta(minutes=4), NOON + timedelta(minutes=7))
    assert (reads.is_whole, reads.is_judged) == (True, False)
    for early in (timedelta(), timedelta(milliseconds=999)):
        assert contract_reads(install, now=NOON + timedelta(minutes=7) - early).next_at is None


@pytest.mark.parametrize("what", [{"error": "OpenTrain did not answer."}, {"out_of_reach": "12 are not listed."}])
def test_read_that_failed_or_did_not_reach_everything_is_not_whole(install: Install, what: dict[str, str]) -> None:
    Reconciliation.objects.create(install=install, contracts_read_at=NOON, links_read_at=NOON, **what)
    reads = contract_reads(install, now=NOON)
    assert ({"error": reads.error, "out_of_reach": reads.out_of_reach} | what, reads.is_whole) == (
        {"error": reads.error, "out_of_reach": reads.out_of_reach}, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scopes", "about", "lacks_contracts"),
    [
        (["webhooks:manage"], "Contracts and external projects", True),
        ([Read.LINKS.value], "Contracts", True),
        (["project-links:write"], "Contracts", True),
        ([Read.CONTRACTS.value], "External projects", False),
        (SCOPES, "", False),
    ],
)
@pytest.mark.django_db
def test_missing_scope_says_what_is_not_known(scopes: list[str], about: str, lacks_contracts: bool) -> None:
    reads = contract_reads(make_install(token_scopes=scopes), now=NOON)
    assert (reads.about, reads.lacks_contracts, bool(reads.lacks)) == (about, lacks_contracts, bool(about))
    assert replace(reads, judged_at=NOON).is_judged == (not lacks_contracts)
    assert reads.lacks.startswith("Not known, because this token lacks") or not about
