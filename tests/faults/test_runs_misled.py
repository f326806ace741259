"""Runs while OpenTrain misbehaves, over real HTTP: they slow down, pause or stop, and say why."""

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from dashboard.actions.installs import sync
from dashboard.actions.runs import obstacles, steps
from dashboard.models import Endpoint, Install, Run, User
from dashboard.partner_api import endpoints as remote_endpoints
from dashboard.partner_api.models import Endpoint as Remote
from dashboard.services.opentrain import call
from tests.actions.runs.by_bits import go, recover, redeliver, states
from tests.contract.partner_api import PartnerApi
from tests.factories import make_endpoint, make_failed_delivery
from tests.faults.failed import failed_deliveries
from tests.services.misbehaving import Behaviour, Server, answer, misbehaving, silent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("faults")]
COUNT = 8
MIDDLEWARE = list(django_settings.MIDDLEWARE)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.RUN_PACE_MS = 1
    monkeypatch.setattr(call, "LIMITS", dataclasses.replace(call.LIMITS, pause_s=0.01))


@pytest.fixture
def run(support: User) -> Run:
    endpoint = make_endpoint()
    for _ in range(COUNT):
        make_failed_delivery(endpoint=endpoint)
    return redeliver(endpoint, support)


def requeued(run: Run, count: int = 1, *, status: str = "ACTIVE") -> Behaviour:
    """Answer a redelivery as OpenTrain does, with this number and the endpoint's status."""
    endpoint = run.endpoint
    described = {
        "id": endpoint.opentrain_id,
        "url": endpoint.url,
        "eventTypes": endpoint.event_types,
        "status": status,
        "createdAt": "2026-06-12T10:00:00.000Z",
        "consecutiveFailures": 0,
        "disabledAt": None,
        "disabledReason": None,
    }
    body = {"webhookEndpoint": described, "requeued": count, "message": "Soon."}
    return answer(200, json.dumps(body).encode())


def refusal(status: int, code: str, *headers: str) -> Behaviour:
    body = {"error": "No.", "code": code, "requestId": "9d1f2a77-52c3-4a0e-9c55-0c3b5a1f0d11", "details": {}}
    return answer(status, json.dumps(body).encode(), headers=headers)


def redeliveries(server: Server) -> int:
    return sum(request.method == "POST" for request in server.requests)


@pytest.fixture
def answering(run: Run, settings: Any) -> Iterator[Callable[..., Server]]:
    """Serve OpenTrain: two redeliveries succeed, then it behaves like this."""
    with contextlib.ExitStack() as opened:

        def serve(*behaviours: Behaviour) -> Server:
            server = opened.enter_context(misbehaving(requeued(run), requeued(run), *behaviours))
            settings.OPENTRAIN_BASE_URL = server.url
            return server

        yield serve


def test_429_is_waited_for_as_long_as_it_says_and_slows_the_run_down(
    run: Run, answering: Callable[..., Server]
) -> None:
    server = answering(refusal(429, "RATE_LIMITED", "Retry-After: 30"), requeued(run))
    run = go(run)
    assert (run.state, states(run), redeliveries(server)) == ("running", {"requested": 2, "waiting": 6}, 3)
    assert (run.pace_ms, run.waiting_for.endswith("asked to wait 30 s.")) == (2, True)
    for _ in range(5):  # views meanwhile send no requests
        steps.advance(run_id=run.pk, clock=timezone.now)
    assert redeliveries(server) == 3
    Run.objects.update(not_before=timezone.now())
    assert states(go(run)) == {"requested": COUNT}


def test_429_that_asks_for_hours_pauses_the_run(run: Run, answering: Callable[..., Server]) -> None:
    server = answering(refusal(429, "RATE_LIMITED", "Retry-After: 7200"))
    run = go(run)
    assert (run.state, redeliveries(server)) == ("paused", 3)
    assert run.why == "OpenTrain asked to wait 2 h. Resume the run after that."


@pytest.mark.parametrize(
    ("behaviour", "said", "left"),
    [
        (refusal(500, "INTERNAL_ERROR"), "500", {"requested": 2, "unknown": 3, "waiting": 3}),
        (silent, "did not answer", {"requested": 2, "unknown": 3, "waiting": 3}),
        (
            answer(502, b"<html><h1>Bad Gateway</h1>", content_type="text/html"),
            "502",
            {"requested": 2, "unknown": 3, "waiting": 3},
        ),
        (
            answer(404, b"<html><h1>Not here</h1>", content_type="text/html"),
            "404",
            {"requested": 2, "waiting": 6},
        ),
    ],
    ids=["500", "time-out", "HTML 502", "HTML 404"],
)
def test_run_pauses_after_three_calls_without_a_usable_answer_and_asks_no_more(
    run: Run,
    answering: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    behaviour: Behaviour,
    said: str,
    left: dict[str, int],
) -> None:
    if behaviour is silent:
        limits = dataclasses.replace(call.LIMITS, read_s=1, total_s=3)
        monkeypatch.setattr(call, "LIMITS", limits)
    server = answering(behaviour)
    for _ in range(6):
        run = go(run)
        Run.objects.update(not_before=None)
    assert (run.state, states(run), redeliveries(server)) == ("paused", left, 5)
    assert run.why.startswith("3 consecutive calls got no usable response. The last: ")
    assert said in run.why


def test_answer_that_requeues_nothing_is_refused_and_the_run_goes_on(
    run: Run, answering: Callable[..., Server]
) -> None:
    answering(requeued(run, 0), requeued(run, 2), requeued(run, 0), requeued(run))
    run = go(run)
    assert (run.state, states(run)) == ("running", {"requested": 6, "refused": 2})
    assert run.steps.get(name="rest").words == "6 requested again, 2 refused."
    assert run.endpoint.deliveries.failed().count() == 2


def test_answer_that_does_not_say_active_pauses_the_run(run: Run, answering: Callable[..., Server]) -> None:
    server = answering(requeued(run, status="HIBERNATING"))
    run = go(run)
    assert (run.state, states(run), redeliveries(server)) == ("paused", {"requested": 3, "waiting": 5}, 3)
    assert run.why.startswith("OpenTrain gives its status as HIBERNATING, which Redeliver does not know.")


@pytest.mark.parametrize(
    ("count", "left", "failed"),
    [
        (0, {"refused": COUNT}, COUNT),
        (1, {"unknown": COUNT}, COUNT),
        (COUNT - 1, {"unknown": COUNT}, COUNT),
        (COUNT, {"requested": COUNT}, 0),
        (COUNT + 2, {"requested": COUNT}, 0),
    ],
)
def test_one_call_claims_no_more_than_its_answer_says(
    support: User, settings: Any, count: int, left: dict[str, int], failed: int
) -> None:
    endpoint = make_endpoint()
    for _ in range(COUNT):
        make_failed_delivery(endpoint=endpoint)
    run = redeliver(endpoint, support, one_call=True)
    with misbehaving(requeued(run, count)) as server:
        settings.OPENTRAIN_BASE_URL = server.url
        run = go(run)
    assert (run.others, states(run), endpoint.deliveries.failed().count()) == (count, left, failed)


# --- Against the real Partner API -------------------------------------------------------------------------------------


@pytest.fixture
def endpoint(settings: Any) -> Iterator[Endpoint]:
    settings.ROOT_URLCONF = "dashboard.partner_api.urls"
    with failed_deliveries(count=COUNT, settings=settings) as endpoint:
        yield endpoint


def begin(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Start a run and let it request three deliveries, each of which takes a third of its slice by this clock."""
    run = redeliver(endpoint, User.objects.get())
    looks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(looks) * steps.SLICE_S / 8, sleep=lambda _seconds: None)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "time", clock)
        steps.advance(run_id=run.pk, clock=timezone.now)
    assert states(run) == {"requested": 3, "waiting": COUNT - 3}
    return run


def test_token_revoked_in_the_middle_stops_the_run_and_the_inbox_says_so(
    endpoint: Endpoint, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(endpoint, monkeypatch)
    api = PartnerApi()
    api._ids[endpoint.install.token] = endpoint.install.opentrain_id
    api.revoke(endpoint.install.token)
    run = go(run)
    waiting = states(run)["waiting"]
    assert (run.state, states(run)) == ("stopped", {"requested": COUNT - waiting, "waiting": waiting})
    assert run.why.startswith("OpenTrain refused")
    assert run.why.endswith(f"{waiting} not requested.")
    assert Install.objects.get().last_error_code == "token_refused"
    settings.ROOT_URLCONF, settings.MIDDLEWARE = "dashboard.urls", MIDDLEWARE
    client = Client()
    client.force_login(User.objects.get())
    inbox = client.get("/").content.decode()
    assert "Token refused" in inbox
    assert "Acme" in inbox


def test_endpoint_deleted_elsewhere_in_the_middle_is_said_plainly(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(endpoint, monkeypatch)
    Remote.objects.all().delete()
    run = go(run)
    waiting = states(run)["waiting"]
    assert (run.state, run.why) == ("stopped", f"{obstacles.DELETED} {waiting} not requested.")
    endpoint.refresh_from_db()
    assert endpoint.deleted_at is not None


def test_recovery_waits_for_a_list_that_lags_behind_its_re_enabling_and_stops_at_another_disable(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTrain's clock is five minutes behind ours, and its list shows the endpoint as it was before the change."""

    def disable(at: datetime) -> None:
        reason = "10 consecutive failures"
        Remote.objects.update(status="DISABLED", consecutive_failures=10, disabled_at=at, disabled_reason=reason)

    def read() -> str:
        assert sync.refresh(install=endpoint.install, now=timezone.now()) is None
        endpoint.refresh_from_db()
        return endpoint.status

    behind = timezone.now() - timedelta(minutes=5)
    disable(behind)
    assert read() == "DISABLED"
    real, before = remote_endpoints.newest_first, list(Remote.objects.all())
    monkeypatch.setattr(remote_endpoints, "newest_first", lambda **_asked: before)
    run = go(recover(endpoint, User.objects.get()))
    assert (Remote.objects.get().status, read(), go(run).state) == ("ACTIVE", "ACTIVE", "running")
    disable(behind + timedelta(seconds=1))
    assert (read(), go(run).state) == ("ACTIVE", "running")
    monkeypatch.setattr(remote_endpoints, "newest_first", real)
    assert read() == "DISABLED"
    run = go(run)
    assert run.state == "stopped"
    assert run.why.startswith("OpenTrain disabled the endpoint again.")
