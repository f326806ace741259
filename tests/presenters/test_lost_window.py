"""What pages say of contracts while an endpoint is sent nothing, and before it is paused."""

from datetime import timedelta
from typing import Any

import pytest

from dashboard.models import Contract, Endpoint, EndpointSnapshot, Install
from dashboard.presenters.controls import Link
from dashboard.presenters.lost_window import if_paused, lost_while_stopped
from tests.factories import NOON, make_contract, make_endpoint, make_finding, make_install, make_reconciliation

HOUR = timedelta(hours=1)
NOW = NOON + 3 * HOUR
SCOPES = ["webhooks:manage", "contracts:read", "project-links:read"]
SENT = "while nothing was sent (from 12:00 UTC)"


@pytest.fixture
def install(db: None) -> Install:
    install = make_install(token_scopes=SCOPES)
    make_reconciliation(install=install, contracts_read_at=NOW, links_read_at=NOW, judged_at=NOW)
    return install


def disabled(install: Install, **columns: Any) -> Endpoint:
    """An endpoint that was seen active at noon, and then disabled."""
    endpoint = make_endpoint(install=install, **{"status": "DISABLED", "event_types": ["contract.ended"]} | columns)
    for at, status in ((NOON, "ACTIVE"), (NOON + HOUR / 60, "DISABLED")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, status=status)
    return Endpoint.objects.get(pk=endpoint.pk)


def ended(install: Install) -> Contract:
    return make_contract(
        install=install,
        status="ended",
        created_at=NOON - 24 * HOUR,
        first_seen_at=NOON - 24 * HOUR,
        end_date=NOON + HOUR,
        active_seen_at=NOON + HOUR,
        ended_seen_at=NOON + HOUR,
    )


def test_stopped_endpoint_says_what_ended_and_leads_to_it(install: Install) -> None:
    endpoint = disabled(install)
    make_finding(contract=ended(install), endpoint=endpoint)
    found = lost_while_stopped(endpoint, now=NOW)
    assert found is not None
    assert found.sentences == (
        f"1 contract ended {SENT}, as far as the times are known.",
        "The handler never took contract.ended of 1 contract.",
    )
    assert isinstance(found.control, Link)
    assert found.control.url == f"/installs/{install.pk}/contracts/?lost=endpoint-{endpoint.pk}"


def test_stopped_endpoint_without_findings_leads_nowhere(install: Install) -> None:
    found = lost_while_stopped(disabled(install), now=NOW)
    assert found is not None
    assert found.sentences == (f"No contract is known to have started or ended {SENT}.",)
    assert found.control is None


@pytest.mark.parametrize("columns", [{"status": "ACTIVE"}, {"event_types": ["milestone.funded"]}])
def test_endpoint_that_is_sent_what_it_wants_says_nothing(columns: dict[str, Any], install: Install) -> None:
    assert lost_while_stopped(disabled(install, **columns), now=NOW) is None


def test_stop_of_unknown_beginning_says_nothing(install: Install) -> None:
    assert lost_while_stopped(make_endpoint(install=install, status="DISABLED"), now=NOW) is None


def test_pause_counts_the_contracts_that_it_concerns(install: Install) -> None:
    make_contract(install=install)
    assert if_paused(make_endpoint(install=install)).startswith("If the active contract ends meanwhile, ")
    assert if_paused(make_endpoint(install=install, event_types=["milestone.funded"])) == ""
    assert "not known, because this token lacks" in if_paused(make_endpoint())
