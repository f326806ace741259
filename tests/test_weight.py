"""Bytes over the wire for the first view of each page: the page and all that it links to, compressed, not cached.

And that no page grows with the endpoints of an install.
"""

import gzip
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, reverse
from django.utils import timezone

from dashboard.models import Alert, AuditEntry, Endpoint, EndpointSnapshot, Install
from dashboard.urls import console
from dashboard.vault import Secret
from dashboard.views import delivery_lists
from tests.factories import (
    NOON,
    SECRET,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_endpoints,
    make_failed_delivery,
    make_grant,
    make_refused_attempt,
    make_user,
)
from tests.factories import make_run as make_finished_run

MOST = 150_000
HEADERS = 600
"""Bytes of an answer's headers, which are not compressed: more than any of our answers has."""
PAGE = re.compile(r"<!doctype html>", re.IGNORECASE)
LINKED = re.compile(r'(?:href|src)="/static/([^"#?]+)')


@pytest.fixture
def full(acme: Install) -> Endpoint:
    """An endpoint whose pages show everything that they can."""
    now = timezone.now()
    endpoint = make_endpoint(install=acme, consecutive_failures=8, handler_url="https://acme.example/hooks")
    for number in range(60):
        at = now - timedelta(minutes=10 * number)
        delivery = make_failed_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at)
        for attempt in range(1, 6):
            make_attempt(delivery=delivery, number=attempt, ok=False, cause="status", answered_status=503)
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, status="ACTIVE", consecutive_failures=number % 10)
        make_refused_attempt(endpoint=endpoint, received_at=at)
    for _ in range(60):
        make_endpoint(consecutive_failures=9)
    Install.objects.update(checked_at=now)  # otherwise each page would queue a refresh
    return endpoint


def pages(endpoint: Endpoint) -> list[str]:
    """Return every console URL that needs no ID but an install's, endpoint's, delivery's or run's."""
    delivery = endpoint.deliveries.order_by("pk").last() or make_delivery(endpoint=endpoint)
    run = make_finished_run(endpoint=endpoint)
    owners = {"installs": endpoint.install_id, "endpoints": endpoint.pk, "deliveries": delivery.pk, "runs": run.pk}
    begins = re.compile(rf"^({'|'.join(owners)})/<int:\w+>")
    routes = [str(one.pattern) for one in console if isinstance(one, URLPattern)]
    paths = [begins.sub(lambda match: f"{match[1]}/{owners[match[1]]}", route) for route in routes]
    return [f"/{path}" for path in paths if "<" not in path]


def weight(client: Client, path: str) -> int | None:
    """Return the bytes of a page's first view; None if the URL does not return a page."""
    response = client.get(path, headers={"Accept-Encoding": "gzip"})
    sent = b"".join(response) if response.streaming else response.content
    text = gzip.decompress(sent) if response.headers.get("Content-Encoding") == "gzip" else sent
    if not PAGE.search(text.decode(errors="replace")):
        return None
    assert response.status_code == 200
    linked = set(LINKED.findall(text.decode()))
    return len(sent) + HEADERS + sum(HEADERS + packed(name) for name in linked)


def packed(name: str) -> int:
    """Return the bytes that WhiteNoise sends for a file."""
    found = finders.find(name)
    assert found is not None, name
    return len(gzip.compress(Path(found).read_bytes(), 9))


def test_first_view_of_every_page_is_light(full: Endpoint, client: Client) -> None:
    found = {"sign-in": weight(client, "/accounts/login/")}
    of_partners = reverse("handover-allow", args=[full.pk])
    client.force_login(make_user(role="support_lead"))  # a role that may open every other page
    found |= {path: weight(client, path) for path in pages(full) if path != of_partners}
    admin = make_user(role="partner_admin")
    make_grant(user=admin, install=full.install)
    client.force_login(admin)
    found[of_partners] = weight(client, of_partners)
    assert found[of_partners] is not None
    measured = {path: bytes_sent for path, bytes_sent in found.items() if bytes_sent is not None}
    assert len(measured) > 15
    assert {path: bytes_sent for path, bytes_sent in measured.items() if bytes_sent > MOST} == {}


def add_endpoints(install: Install, *, count: int) -> None:
    """Add failing endpoints, each with an open alert, an audit entry, a failed delivery and a refused request."""
    made = make_endpoints(install=install, count=count, consecutive_failures=8, secret=Secret(SECRET))
    names = {"install": install, "install_name": install.name}
    Alert.objects.bulk_create(
        Alert(kind="at_risk", endpoint=one, endpoint_name=one.url, words="Failing.", opened_at=NOON, **names)
        for one in made
    )
    AuditEntry.objects.bulk_create(
        AuditEntry(phase="done", action="pause endpoint", actor_name="ana", at=NOON, endpoint=one, **names)
        for one in made
    )
    delivery, refused = make_failed_delivery(endpoint=made[0]), make_refused_attempt(endpoint=made[0])
    copy(delivery, [{"endpoint_id": one.pk, "opentrain_id": f"dlv_of_{one.pk}"} for one in made[1:]])
    copy(refused, [{"endpoint_id": one.pk} for one in made[1:]])


def copy(row: Model, changes: list[dict[str, Any]]) -> None:
    """Copy a row with changes, in one statement."""
    plain = [one for one in row._meta.concrete_fields if not one.generated and not one.primary_key]
    columns = {one.attname: getattr(row, one.attname) for one in plain}
    type(row)._default_manager.bulk_create(type(row)(**columns | change) for change in changes)


def costs(client: Client, paths: list[str]) -> dict[str, tuple[int, int]]:
    """Return the queries and the bytes of each page and of each polled part."""
    found = {}
    for path in paths:
        with CaptureQueriesContext(connection) as asked:
            response = client.get(path)
            if not response.streaming:  # an export has a row for each delivery
                found[path] = len(asked), len(response.content)
    return found


def test_no_page_grows_with_the_endpoints_of_an_install_beyond_a_page(
    full: Endpoint, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_lists, "COUNT_MS", 60_000)  # on a busy machine a list would give up counting
    client.force_login(make_user(role="support_lead"))
    paths = pages(full)
    in_an_hour = timezone.now() + timedelta(hours=1)
    Install.objects.update(last_error="Not asked in this test.", last_error_at=in_an_hour)  # no page asks for a refresh
    add_endpoints(full.install, count=150)  # more than any page shows
    costs(client, paths)  # what is cached by the first request
    few = costs(client, paths)
    add_endpoints(full.install, count=850)
    many = costs(client, paths)
    grown = {
        path: (few[path], many[path])
        for path in few
        if many[path][0] > few[path][0] or many[path][1] > few[path][1] * 1.05 + 100
    }
    assert grown == {}
    assert len(few) > 40
