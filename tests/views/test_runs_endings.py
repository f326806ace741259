"""Runs are called done only together with what is missing after them."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import Endpoint, EndpointSnapshot, Run
from tests.factories import (
    make_contract,
    make_delivery,
    make_endpoint,
    make_finding,
    make_install,
    make_reconciliation,
    make_run,
)
from tests.views.conftest import A_TIME, Browser

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SCOPES = ["webhooks:manage", "contracts:read", "project-links:read"]


@pytest.fixture
def endpoint(db: None) -> Endpoint:
    """An endpoint that was disabled for an hour, until an hour ago, and whose contracts were read a minute ago."""
    now = timezone.now()
    install = make_install(token_scopes=SCOPES, checked_at=now)
    at = now - MINUTE
    make_reconciliation(install=install, contracts_read_at=at, links_read_at=at, judged_at=at, due_at=now + HOUR)
    endpoint = make_endpoint(install=install, event_types=["contract.ended"])
    for ago, status in ((3 * HOUR, "ACTIVE"), (2 * HOUR, "DISABLED"), (HOUR, "ACTIVE")):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=now - ago, status=status)
    return endpoint


def lose(endpoint: Endpoint) -> None:
    """End a contract while nothing was sent."""
    ended_at = timezone.now() - HOUR * 1.5
    contract = make_contract(
        install=endpoint.install,
        status="ended",
        created_at=ended_at - 10 * HOUR,
        first_seen_at=ended_at - 10 * HOUR,
        end_date=ended_at,
        active_seen_at=ended_at,
        ended_seen_at=ended_at,
    )
    make_finding(contract=contract, endpoint=endpoint)


def ran(endpoint: Endpoint, *, ago: timedelta = HOUR / 2) -> Run:
    now = timezone.now()
    run = make_run(endpoint=endpoint, created_at=now - HOUR, ended_at=now - ago, why="6 of 6 delivered in 9 s.")
    run.steps.create(name="watch", began_at=now - HOUR, ended_at=now - ago, words=run.why)
    return run


def text(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize("is_lost", [True, False])
def test_run_page_ends_with_what_is_missing(is_lost: bool, ana: Browser, endpoint: Endpoint) -> None:
    run = ran(endpoint)
    if is_lost:
        lose(endpoint)
    for path in (reverse("run-detail", args=[run.pk]), reverse("run-live", args=[run.pk])):
        page = ana.read(path)
        [step] = re.findall(r'<li id="step-ending".*?</li>', page, re.DOTALL)
        if is_lost:
            words = "1 missing: the handler never took contract.ended of 1 contract. Open contract"
            assert re.fullmatch(
                rf"Check what is missing 1 contract ended between {A_TIME}, when deliveries stopped, "
                rf"and the end of the run, as far as the times are known\. {re.escape(words)}",
                text(step),
            )
            assert f'href="/installs/{endpoint.install_id}/contracts/?lost=run-{run.pk}"' in step
            assert "Done 1 missing started" in text(page)
        else:
            assert "Nothing missing: no event of a contract that started or ended from " in text(step)
            assert "Done Nothing missing started" in text(page)


def test_run_page_says_what_no_contract_tells_with_what_other_endpoints_received(
    ana: Browser, endpoint: Endpoint
) -> None:
    Endpoint.objects.update(event_types=["contract.ended", "milestone.funded"])
    sibling = make_endpoint(install=endpoint.install)
    make_delivery(endpoint=sibling, event_type="milestone.funded", first_received_at=timezone.now() - 1.5 * HOUR)
    page = ana.read(reverse("run-detail", args=[ran(endpoint).pk]))
    [step] = re.findall(r'<li id="step-ending".*?</div>', page, re.DOTALL)
    assert "Check what is missing Events other than contract.started and contract.ended between" in unescape(text(step))
    assert "may be missing here. It was paused then." in text(step)
    assert "1 milestone.funded It is not in this endpoint's log." in unescape(text(step))
    assert "No contract event is missing: no event of a contract that started or ended" in text(step)
    assert "Done No contract event is missing started" in text(page)


def test_list_of_runs_says_of_each_what_is_missing(ana: Browser, endpoint: Endpoint) -> None:
    first, second = ran(endpoint), ran(endpoint, ago=timedelta())
    make_run(endpoint=make_endpoint(), created_at=timezone.now(), ended_at=timezone.now())
    going_on = make_run(state="running", created_at=timezone.now(), ended_at=None)
    lose(endpoint)
    page = ana.read(reverse("run-list"))
    rows = {int(pk): text(row) for pk, row in re.findall(r'<tr id="run-(\d+)"(.*?)</tr>', page, re.DOTALL)}
    for run in (first, second):
        assert "1 missing 6 of 6 delivered in 9 s." in rows[run.pk]
    assert "missing" not in rows[going_on.pk]
    assert page.count("Not known") == 1


def test_endpoint_page_says_after_its_run_what_is_missing(ana: Browser, endpoint: Endpoint) -> None:
    ran(endpoint)
    page = text(ana.read(reverse("endpoint-detail", args=[endpoint.pk])))
    assert "6 of 6 delivered in 9 s. Nothing missing." in page


def test_run_that_was_just_done_says_when_it_is_checked_again(ana: Browser, endpoint: Endpoint) -> None:
    run = ran(endpoint, ago=timedelta())
    page = text(ana.read(reverse("run-detail", args=[run.pk])))
    assert "Done Will be checked again at " in page
    assert ": contracts are read then." in page


def test_list_of_runs_asks_the_database_no_more_for_more(
    ana: Browser, endpoint: Endpoint, django_assert_max_num_queries
) -> None:
    for _ in range(10):
        ran(endpoint)
    lose(endpoint)
    with django_assert_max_num_queries(8):  # two of them load the session and the user
        ana.read(reverse("run-list"))


def test_before_a_recovery_it_is_said_what_happened_while_nothing_was_sent(ana: Browser, endpoint: Endpoint) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(status="DISABLED", consecutive_failures=10)
    EndpointSnapshot.objects.filter(endpoint=endpoint).order_by("-at").first().delete()
    lose(endpoint)
    for name in ("endpoint-recover", "endpoint-detail"):
        page = text(ana.read(reverse(name, args=[endpoint.pk])))
        assert "1 contract ended while nothing was sent (from " in page
        assert "The handler never took contract.ended of 1 contract. Open contract" in page
    assert "once the run has ended, its page says whether anything is missing" in text(
        ana.read(reverse("endpoint-recover", args=[endpoint.pk]))
    )


def test_before_a_pause_it_is_said_whom_it_concerns(ana: Browser, endpoint: Endpoint) -> None:
    make_contract(install=endpoint.install)
    page = text(ana.read(reverse("endpoint-pause", args=[endpoint.pk])))
    assert (
        "Events during the pause may never be delivered. If the active contract ends meanwhile, the handler may never "
        "learn of it, and the person may keep access. Redeliver goes on reading contracts and shows what is missing."
    ) in page


def test_active_endpoint_says_nothing_of_a_lost_time(ana: Browser, endpoint: Endpoint) -> None:
    assert "nothing was sent" not in ana.read(reverse("endpoint-detail", args=[endpoint.pk]))


def test_link_of_what_is_missing_lists_just_that(ana: Browser, endpoint: Endpoint) -> None:
    run = ran(endpoint)
    lose(endpoint)
    old = make_contract(install=endpoint.install, title="From long ago", created_at=timezone.now() - 9 * HOUR)
    make_finding(contract=old, endpoint=endpoint)
    path = reverse("install-contracts", args=[endpoint.install_id])
    page = text(ana.read(f"{path}?lost=run-{run.pk}"))
    assert "Missing: after run" in page
    assert "From long ago" not in page
    assert "From long ago" in ana.read(path)
    assert "From long ago" not in ana.read(f"{path}?lost=run-{run.pk + 1}")
