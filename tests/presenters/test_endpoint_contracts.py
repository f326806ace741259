"""What is missing at an endpoint, and what is said if nothing is known to be."""

from datetime import timedelta
from typing import Any

import pytest

from dashboard.db.statement_timeout import TooSlow
from dashboard.models import Endpoint, Install, Reconciliation, User
from dashboard.presenters import endpoint_contracts
from dashboard.presenters.endpoint_contracts import MissingHere, missing_here
from dashboard.rules.reads import Read
from tests.factories import NOON, make_contract, make_endpoint, make_evidence, make_finding, make_install
from tests.presenters.rows import SUPPORT, VIEWER

pytestmark = pytest.mark.django_db
SCOPES = ["webhooks:manage", Read.CONTRACTS.value, Read.LINKS.value]
BOTH = ["contract.started", "contract.ended"]
NONE_KNOWN = "No contract's event is known to be missing here."


@pytest.fixture
def install() -> Install:
    """An install whose links and contracts were read at noon, and compared with the log."""
    install = make_install(token_scopes=SCOPES)
    Reconciliation.objects.create(install=install, contracts_read_at=NOON, links_read_at=NOON, judged_at=NOON)
    return install


@pytest.fixture
def endpoint(install: Install) -> Endpoint:
    return make_endpoint(install=install, event_types=BOTH)


def found(endpoint: Endpoint, *, user: User = SUPPORT) -> MissingHere:
    rows = Endpoint.objects.select_related("install__reconciliation")
    here = missing_here(rows.get(pk=endpoint.pk), user=user, now=NOON)
    assert here is not None
    return here


def test_findings_are_counted_and_the_worst_are_named(install: Install, endpoint: Endpoint) -> None:
    for number in range(7):
        contract = make_contract(install=install, title=f"Cats {number}", status="ended")
        consequence = "access" if number == 0 else ""
        make_finding(contract=contract, endpoint=endpoint, consequence=consequence, reason="unproven")
        make_evidence(contract=contract, endpoint=endpoint, event_type="contract.started")
    make_finding(contract=make_contract(install=install), endpoint=make_endpoint(install=install))
    here = found(endpoint)
    assert [(one.number, one.words) for one in here.numbers] == [
        ("1", "person may still have access"),
        ("7", "missing"),
    ]
    assert [row.title for row in here.rows][:2] == ["Cats 0", "Cats 6"]
    assert here.rows[0].words.sentence == (
        "The contract ended just now, and no contract.ended arrived: OpenTrain did not send it, or it was lost on the "
        "way. It is not known which."
    )
    assert here.rows[0].words.meaning == "A person may still have access."
    assert len(here.rows) == endpoint_contracts.SHOWN
    assert here.numbers[1].url == f"/installs/{install.pk}/contracts/?finding=missing&endpoint={endpoint.pk}"
    assert here.remarks == ("Of 1 contract, it is not known whether every event reached this endpoint.",)


def test_partner_admins_read_of_their_handler(install: Install, endpoint: Endpoint) -> None:
    contract = make_contract(install=install, title="", status="ended")
    make_finding(contract=contract, endpoint=endpoint, kind="failed")
    make_finding(contract=contract, endpoint=endpoint, kind="refused", event_type="contract.started", refused_at=NOON)
    rows = found(endpoint, user=VIEWER).rows
    assert [row.title for row in rows] == ["Untitled"] * 2
    refused, failed = (row.words.sentence for row in rows)
    assert refused.startswith("No contract.started was accepted. The receiver refused a contract.started request just ")
    assert failed.startswith("Your handler did not take contract.ended: ")


def test_what_is_from_before_the_endpoint_is_said(install: Install, endpoint: Endpoint) -> None:
    for _ in range(2):
        contract = make_contract(install=install)
        make_finding(contract=contract, endpoint=endpoint, event_type="contract.started", reason="registered_after")
    words = "Events of 2 contracts are from before this endpoint was registered. OpenTrain sends a new endpoint no"
    assert found(endpoint).remarks == (f"{words} older events.",)


def test_endpoint_that_took_everything_has_nothing_missing(install: Install, endpoint: Endpoint) -> None:
    active, ended = make_contract(install=install), make_contract(install=install, status="ended")
    for contract, event in ((active, BOTH[0]), (ended, BOTH[0]), (ended, BOTH[1])):
        make_evidence(contract=contract, endpoint=endpoint, event_type=event)
    make_contract(install=install, gone_at=NOON)
    here = found(endpoint)
    assert (here.numbers, here.rows, here.remarks, here.can_route) == ((), (), (NONE_KNOWN,), False)


@pytest.mark.parametrize("seen", [[], ["contract.started"], ["contract.ended"]])
def test_event_of_which_nothing_is_known_is_not_called_fine(
    install: Install, endpoint: Endpoint, seen: list[str]
) -> None:
    contract = make_contract(install=install, status="ended")
    for event in seen:
        make_evidence(contract=contract, endpoint=endpoint, event_type=event)
        make_evidence(contract=contract, endpoint=make_endpoint(install=install), event_type=event)
    words = "Of 1 contract, it is not known whether every event reached this endpoint."
    assert found(endpoint).remarks == (NONE_KNOWN, words)


@pytest.mark.parametrize(
    ("columns", "read", "scopes", "words"),
    [
        ({"receiver_key": None}, {}, SCOPES, "Not known: OpenTrain delivers this endpoint's events directly"),
        ({"receiver_key": None, "observation_key_sha256": "0"}, {}, SCOPES, "Not known in full: the handler reports"),
        ({"event_types": ["milestone.funded"]}, {}, SCOPES, "This endpoint does not subscribe to contract.started or "),
        ({}, {"contracts_read_at": None}, SCOPES, "Not known yet: Redeliver has not read this install's contracts."),
        ({}, {"judged_at": None}, SCOPES, "Not known yet: contracts were not compared with"),
        ({}, {}, ["webhooks:manage"], "Not known, because this token lacks contracts:read and project-links:read."),
    ],
)
def test_nothing_is_said_to_be_fine_that_is_not_known(
    install: Install, columns: dict[str, Any], read: dict[str, Any], scopes: list[str], words: str
) -> None:
    endpoint = make_endpoint(install=install, **{"event_types": BOTH} | columns)
    Reconciliation.objects.filter(install=install).update(**read)
    Install.objects.filter(pk=install.pk).update(token_scopes=scopes)
    here = found(endpoint)
    assert (here.numbers, here.rows, len(here.remarks)) == ((), (), 1)
    assert here.remarks[0].startswith(words)
    assert here.can_route == (words.startswith("Not known: OpenTrain"))


@pytest.mark.parametrize(
    ("read", "scopes", "words"),
    [
        (
            {"error": "OpenTrain did not answer."},
            SCOPES,
            "The last read of contracts failed: OpenTrain did",
        ),
        ({"out_of_reach": "More than 200 have ended."}, SCOPES, "More than 200 have ended."),
        ({}, SCOPES[:2], "Not known, because this token lacks project-links:read."),
    ],
)
def test_what_the_last_read_could_not_tell_is_said(
    install: Install, endpoint: Endpoint, read: dict[str, str], scopes: list[str], words: str
) -> None:
    Reconciliation.objects.filter(install=install).update(**read)
    Install.objects.filter(pk=install.pk).update(token_scopes=scopes)
    remarks = found(endpoint).remarks
    assert remarks[0] == NONE_KNOWN
    assert remarks[1].startswith(words)


def test_findings_from_before_an_endpoint_became_direct_are_shown(install: Install) -> None:
    endpoint = make_endpoint(install=install, receiver_key=None, event_types=BOTH)
    make_finding(contract=make_contract(install=install), endpoint=endpoint)
    here = found(endpoint)
    assert (len(here.rows), here.can_route) == (1, True)
    assert here.remarks[0].startswith("Not known: OpenTrain delivers")


def test_endpoint_that_is_not_at_opentrain_has_no_section(install: Install) -> None:
    for columns in ({"deleted_at": NOON + timedelta(hours=1)}, {"opentrain_id": None}):
        assert missing_here(make_endpoint(install=install, **columns), user=SUPPORT, now=NOON) is None


def test_what_takes_too_long_is_not_called_fine(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_slow(**_asked: Any) -> None:
        raise TooSlow

    monkeypatch.setattr(endpoint_contracts.contract_lists, "finding_counts", too_slow)
    assert found(endpoint).remarks == ("Not counted: that takes longer than 0.3 s.",)
