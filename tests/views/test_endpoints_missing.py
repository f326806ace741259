"""What an endpoint's page says of contracts' events that are missing there."""

from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, EndpointSnapshot, Install, Reconciliation
from dashboard.rules.reads import Read
from dashboard.views import endpoints
from tests.factories import NOON, make_contract, make_delivery, make_endpoint, make_evidence, make_finding
from tests.views import test_endpoints
from tests.views.conftest import Browser, stop_clock

HOSTILE = "<img src=x onerror=alert(1)>\"'"


@pytest.fixture
def judged(acme: Install) -> Endpoint:
    """An endpoint whose install was read and judged at noon."""
    scopes = ["webhooks:manage", Read.CONTRACTS.value, Read.LINKS.value]
    Install.objects.filter(pk=acme.pk).update(token_scopes=scopes)
    Reconciliation.objects.create(install=acme, contracts_read_at=NOON, links_read_at=NOON, judged_at=NOON)
    return make_endpoint(install=acme, event_types=["contract.started", "contract.ended"])


def words_of(page: str) -> str:
    return unescape(test_endpoints.words_of(page))


def page_of(endpoint: Endpoint, *, live: bool = False) -> str:
    return reverse("endpoint-live" if live else "endpoint-detail", args=[endpoint.pk])


def test_findings_are_on_the_page_and_on_its_polled_part(ana: Browser, acme: Install, judged: Endpoint) -> None:
    contract = make_contract(install=acme, title=HOSTILE, opentrain_id="con_1234567890", status="ended")
    make_finding(contract=contract, endpoint=judged, consequence="access")
    for page in (ana.read(page_of(judged)), ana.read(page_of(judged, live=True))):
        assert "1 person may still have access , 1 missing" in words_of(page)
        assert "<img" not in page
        assert f'href="{reverse("contract-detail", args=[contract.pk])}"' in page
        assert 'title="con_1234567890"' in page
        query = f"?finding=access&amp;endpoint={judged.pk}"
        assert f'href="{reverse("install-contracts", args=[acme.pk])}{query}"' in page
        assert "A person may still have access." in words_of(page)


def test_nothing_missing_is_said_as_far_as_it_is_known(ana: Browser, acme: Install, judged: Endpoint) -> None:
    contract = make_contract(install=acme)
    make_evidence(contract=contract, endpoint=judged, event_type="contract.started")
    assert "All contracts No contract's event is known to be missing here." in words_of(ana.read(page_of(judged)))


def test_direct_endpoint_offers_to_be_routed(ana: Browser, acme: Install, judged: Endpoint) -> None:
    direct = make_endpoint(install=acme, receiver_key=None, event_types=["contract.ended"])
    page = ana.read(page_of(direct))
    assert "Not known: OpenTrain delivers this endpoint's events directly to the handler" in words_of(page)
    assert "Route its deliveries through Redeliver" in words_of(page)
    assert "Route its deliveries through Redeliver" not in words_of(ana.read(page_of(judged)))


def test_older_pages_and_deleted_endpoints_have_no_section(ana: Browser, judged: Endpoint) -> None:
    assert "Missing here" in ana.read(page_of(judged))
    assert "Missing here" not in ana.read(f"{page_of(judged)}?before=1")
    Endpoint.objects.filter(pk=judged.pk).update(deleted_at=NOON)
    assert "Missing here" not in ana.read(page_of(judged))


def was_disabled(endpoint: Endpoint, *, at: datetime) -> None:
    """Have the endpoint disabled for 110 s."""
    for seconds, status in ((-60, "ACTIVE"), (0, "DISABLED"), (110, "ACTIVE")):
        moment = at + timedelta(seconds=seconds)
        failures = 10 * (status == "DISABLED")
        EndpointSnapshot.objects.create(
            endpoint=endpoint, at=moment, not_before=moment, status=status, consecutive_failures=failures
        )
    Endpoint.objects.filter(pk=endpoint.pk).update(stopped_seen_at=at + timedelta(seconds=110))


@pytest.mark.parametrize(
    ("at", "between"),
    [
        (datetime(2026, 12, 31, 22, 57, tzinfo=UTC), "between 22:57 UTC and 22:58 UTC"),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "between 23:59 UTC on 31 December 2026 and 00:00 UTC"),
    ],
)
def test_time_in_which_nothing_was_sent_stays_until_it_is_proven(
    ana: Browser, acme: Install, judged: Endpoint, monkeypatch: pytest.MonkeyPatch, at: datetime, between: str
) -> None:
    now = at + timedelta(hours=1)
    stop_clock(monkeypatch, endpoints, at=now)
    sibling = make_endpoint(install=acme, handler_url=f"https://acme.example.com/{HOSTILE}")
    for number in range(2):
        make_delivery(endpoint=sibling, event_id=f"evt_{number}", event_type="contract.ended", first_received_at=at)
    was_disabled(judged, at=at)
    for live in (False, True):
        page = ana.read(page_of(judged, live=live))
        assert f"Events {between} may be missing here. It was disabled then." in words_of(page)
        assert "2 contract.ended" in words_of(page)
        assert "None of them is in this endpoint's log." in words_of(page)
        assert f'href="{reverse("endpoint-deliveries", args=[sibling.pk])}?event=contract.ended&amp;from=' in page
        assert "<img" not in page
    Reconciliation.objects.update(contracts_read_at=now, links_read_at=now, judged_at=now)
    assert "may be missing here" not in words_of(ana.read(page_of(judged)))
    Endpoint.objects.filter(pk=judged.pk).update(event_types=["contract.started", "contract.ended", "milestone.funded"])
    page = words_of(ana.read(page_of(judged)))
    assert "Events other than contract.started and contract.ended between" in page
    assert "No contract event is missing" in page


def test_reason_why_contracts_are_not_known_is_said_once(ana: Browser, acme: Install, judged: Endpoint) -> None:
    Install.objects.filter(pk=acme.pk).update(token_scopes=["webhooks:manage"])
    was_disabled(judged, at=timezone.now() - timedelta(hours=1))
    page = words_of(ana.read(page_of(judged)))
    assert "may be missing here" in page
    assert page.count("lacks contracts:read") == 1


def test_page_asks_the_database_no_more_for_more_findings(ana: Browser, acme: Install, judged: Endpoint) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            ana.read(page_of(judged, live=True))
        return len(captured)

    make_finding(contract=make_contract(install=acme), endpoint=judged)
    queries()  # the first one also requests a refresh
    few = queries()
    for _ in range(12):
        make_finding(contract=make_contract(install=acme), endpoint=judged)
    assert queries() == few
