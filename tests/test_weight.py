"""Bytes over the wire for the first view of each page: the page and all that it links to, compressed, not cached."""

import gzip
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from dashboard.models import Endpoint, EndpointSnapshot, Install
from dashboard.urls import console
from tests.factories import (
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
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
    client.force_login(make_user(role="support_lead"))  # a role that may open every page
    found |= {path: weight(client, path) for path in pages(full)}
    measured = {path: bytes_sent for path, bytes_sent in found.items() if bytes_sent is not None}
    assert len(measured) > 15
    assert {path: bytes_sent for path, bytes_sent in measured.items() if bytes_sent > MOST} == {}
