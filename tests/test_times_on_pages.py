"""No page has a bare time: each is in the reader's zone and has its UTC for the pointer, a tap and the keyboard."""

import re
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.models import AlertNews, ContractChange, Endpoint, EndpointSnapshot, Install, RunStep
from dashboard.rules.durations import clock, exactly
from tests.attacks.walking import addresses
from tests.factories import (
    make_alert,
    make_attempt,
    make_channel,
    make_contract,
    make_delivery,
    make_endpoint,
    make_entry,
    make_failed_delivery,
    make_finding,
    make_grant,
    make_link,
    make_reconciliation,
    make_refused_attempt,
    make_run,
    make_user,
)

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

ZONE = "Asia/Kolkata"
_TIME = re.compile(r"\b[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})? (?:UTC|[A-Z]{3,4})\b\S*")
_QUOTES = {"pre", "code", "textarea", "q", "script", "style", "title", "option"}
"""Elements whose words are of others, or that can hold no element."""
_EMPTY = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr", "use"}


class _Bare(HTMLParser):
    """Collects the times that stand outside an element which has their UTC."""

    def __init__(self) -> None:
        super().__init__()
        self._open: list[tuple[str, bool]] = []
        self.found: list[str] = []
        self.elements = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _EMPTY:
            return
        about = dict(attrs)
        is_time = bool(about.get("title")) and (tag == "time" or "data-utc" in about)
        self.elements += is_time
        is_hidden = "visually-hidden" in (about.get("class") or "")
        self._open.append((tag, is_time or is_hidden or tag in _QUOTES))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(is_fine for _tag, is_fine in self._open):
            self.found += [" ".join(data.split()) for _one in _TIME.finditer(data)]


def bare_times(page: str) -> tuple[list[str], int]:
    """Return the texts of a page with a bare time, and the number of times that have their UTC."""
    reader = _Bare()
    reader.feed(page)
    return reader.found, reader.elements


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("<p>since 11:22 UTC</p>", ["since 11:22 UTC"]),
        ("<p>at 2026-06-12 11:22:01 UTC+05:30.</p>", ["at 2026-06-12 11:22:01 UTC+05:30."]),
        ('<p>since <time title="05:52 UTC">11:22 UTC+05:30</time></p>', []),
        ('<p>since <span title="05:52 UTC" data-utc>11:22 CET</span><br>and 11:23 CET</p>', ["and 11:23 CET"]),
        ("<pre>11:22 UTC</pre><q>11:22 UTC</q>", []),
        ("<time>11:22 UTC+05:30</time>", ["11:22 UTC+05:30"]),
    ],
)
def test_bare_times_are_found(page: str, found: list[str]) -> None:
    assert bare_times(page)[0] == found


def furnish(acme: Install, *, now: datetime) -> Endpoint:
    """Return an endpoint of which all pages tell times: an outage, alerts, a run, a finding, and stored sentences."""
    ago = [now - timedelta(hours=hours) for hours in range(80)]
    endpoint = make_endpoint(
        install=acme, status="DISABLED", disabled_at=ago[5], consecutive_failures=10, name="At work",
        handler_url="https://acme.example/hooks", snapshot_at=now, created_at=ago[70],
    )  # fmt: skip
    sibling = make_endpoint(install=acme, created_at=ago[70])
    for hours, status, failures in ((60, "ACTIVE", 0), (40, "DISABLED", 10), (38, "ACTIVE", 0), (5, "DISABLED", 10)):
        EndpointSnapshot.objects.create(endpoint=endpoint, at=ago[hours], status=status, consecutive_failures=failures)
    for hours in range(4, 9):
        failed = make_failed_delivery(endpoint=endpoint, first_received_at=ago[hours], last_attempt_at=ago[hours])
        make_attempt(delivery=failed, ok=False, cause="status", answered_status=503, received_at=ago[hours])
        make_delivery(endpoint=sibling, first_received_at=ago[hours], last_attempt_at=ago[hours])
    make_refused_attempt(endpoint=endpoint, received_at=ago[6])
    words = f"Since {clock(then=ago[30], now=ago[5])}, last at {clock(then=ago[5], now=ago[5])}."
    make_alert(endpoint=endpoint, words=words, opened_at=ago[5])
    over = make_alert(
        endpoint=endpoint, kind="overdue", words=words, opened_at=ago[20], cleared_at=ago[5], cleared_words=words
    )
    channel = make_channel(install=acme, quiet_start="00:00", quiet_end="23:59", time_zone=ZONE)
    AlertNews.objects.create(alert=over, channel=channel, event="cleared", held=True)
    make_entry(endpoint=endpoint, at=ago[5], words=words)
    run = make_run(
        endpoint=endpoint, created_at=ago[4], ended_at=ago[3], state="stopped", why="The handler returned 503.",
        chosen=f"From: {exactly(ago[30])} (as of {exactly(ago[4])})",
    )  # fmt: skip
    RunStep.objects.create(run=run, name="watch", began_at=ago[4], ended_at=ago[3], words="Stopped.")
    reads = {"links_read_at": ago[1], "contracts_read_at": ago[1], "judged_at": ago[1], "due_at": ago[0]}
    make_reconciliation(install=acme, **reads)
    make_link(install=acme, created_at=ago[70])
    contract = make_contract(install=acme, start_date=ago[50], created_at=ago[50])
    make_finding(contract=contract, endpoint=endpoint, happened_at=ago[50], kind="missing")
    ContractChange.objects.create(
        install=acme, contract=contract, what="end_date", before="", after=exactly(ago[9]),
        not_before=ago[9], seen_at=ago[8],
    )  # fmt: skip
    Install.objects.update(checked_at=now)  # otherwise each page asks for a refresh
    return endpoint


@pytest.mark.parametrize("role", ["support_lead", "partner_admin"])
def test_no_page_has_a_time_without_its_utc(role: str, acme: Install, client: Client, settings: Any) -> None:
    settings.ACCOUNT_RATE_LIMITS = False  # real users never request everything within seconds
    now = timezone.now()
    endpoint = furnish(acme, now=now)
    user = make_user(role=role, time_zone=ZONE)
    make_grant(user=user, install=acme)
    client.force_login(user)
    paths = {one.path for one in addresses(endpoint=endpoint) if one.name not in {"account_logout", "session-end"}}
    contract, run = acme.contracts.earliest("pk"), endpoint.runs.earliest("pk")
    paths |= {f"/contracts/{contract.pk}/", f"/why/?q={contract.opentrain_id}", f"/why/?q={endpoint.opentrain_id}"}
    paths |= {f"/runs/{run.pk}/", f"/runs/{run.pk}/report/", f"/why/?q={endpoint.deliveries.first().event_id}"}
    paths |= {f"/deliveries/{one.pk}/" for one in endpoint.deliveries.all()}
    paths |= {f"/deliveries/?from={since}&to=23:59Z" for since in ("2026-01-02T03:04Z", "junk")}
    paths |= {f"/activity/{one.pk}/" for one in endpoint.audit.all()}
    bare, elements = {}, 0
    for path in sorted(paths):
        response = client.get(path, follow=True)
        if response.streaming or not response.headers.get("Content-Type", "").startswith("text/html"):
            continue
        found, known = bare_times(response.content.decode())
        elements += known
        if found:
            bare[path] = found
    assert bare == {}
    assert elements > 300
