"""Probes of the receiver's process, in which the database may be away."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.receiver.keeping import Keeping, Place
from tests.receiver.serving import Serving, receiving
from tests.receiver.test_front import split

TOKEN = "a-token-of-prometheus"


@pytest.fixture
def site() -> Iterator[Serving]:
    with receiving() as running:
        yield running


def asked(site: Serving, path: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    lines = [f"{method} {path} HTTP/1.1", "Host: 10.42.0.17", "Connection: close", *headers, "", ""]
    return split(site.say("\r\n".join(lines).encode()))


def test_healthz_needs_nothing_and_answers_to_any_host(site: Serving) -> None:
    status, headers, body = asked(site, "/healthz")
    assert (status, body, headers["cache-control"]) == (200, b'{"ok": true}', "no-store")
    assert asked(site, "/healthz", method="HEAD")[0] == 200
    status, headers, _ = asked(site, "/healthz", method="POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("kept", "status"),
    [
        (Keeping(Place.DATABASE, "Attempts are recorded in the database."), 200),
        (Keeping(Place.SPOOL, "The database records no attempts. 7 wait in the spool."), 200),
        (Keeping(Place.NOTHING, "The database records no attempts, and there is no spool."), 503),
    ],
)
def test_readyz_says_where_attempts_are_kept(kept: Keeping, status: int) -> None:
    with receiving(kept=kept) as site:
        answered, headers, body = asked(site, "/readyz")
    assert (answered, headers["cache-control"]) == (status, "no-store")
    assert json.loads(body) == {
        "ready": kept.ok,
        "checks": {
            "attempts": {"ok": kept.ok, "place": kept.place, "words": kept.words},
            "routes": {"ok": True, "words": "The routes of endpoints are in memory."},
        },
    }


def test_receiver_that_knows_no_endpoint_is_not_ready() -> None:
    """It answers each delivery 503, so a load balancer must ask another."""
    with receiving(has_routes=False) as site:
        status, _, body = asked(site, "/readyz")
    found = json.loads(body)
    assert (status, found["ready"], found["checks"]["attempts"]["ok"]) == (503, False, True)
    assert found["checks"]["routes"]["words"].endswith("no endpoint is known.")


def test_metrics_do_not_exist_without_a_token(site: Serving, settings: Any) -> None:
    settings.METRICS_TOKEN = ""
    assert asked(site, "/metrics")[0] == 404


@pytest.mark.parametrize("given", [[], ["Authorization: Bearer wrong"], [f"Authorization: Basic {TOKEN}"]])
def test_metrics_are_for_those_with_the_token(site: Serving, settings: Any, given: list[str]) -> None:
    settings.METRICS_TOKEN = TOKEN
    status, headers, _ = asked(site, "/metrics", *given)
    assert (status, headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.django_db(transaction=True)
def test_metrics_have_what_processes_counted_and_what_the_database_holds(site: Serving, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    asked(site, "/api/v1/observations")
    status, headers, body = asked(site, "/metrics", f"Authorization: Bearer {TOKEN}")
    assert (status, headers["content-type"].startswith("text/plain; version=0.0.4")) == (200, True)
    text = body.decode()
    assert 'redeliver_observation_calls_total{status="405"}' in text
    assert "redeliver_database_up 1.0" in text
    assert "redeliver_queue_depth" in text
