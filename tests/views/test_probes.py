"""/healthz, /readyz and /metrics: correct during failures, and without customer data."""

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django import app

from dashboard import metrics
from dashboard.models import Install, Reconciliation
from dashboard.queries import health_checks
from dashboard.views import probes
from tests.factories import make_delivery, make_endpoint, make_failed_delivery, make_install

TOKEN = "a-token-of-prometheus"


@pytest.fixture
def _worker(db: None) -> Iterator[None]:
    """A worker with a recent heartbeat; Django does not empty Procrastinate's tables."""
    beat(seconds_ago=2)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")


def beat(*, seconds_ago: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")
        at = timezone.now() - timedelta(seconds=seconds_ago)
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (%s)", [at])


def readiness(client: Client) -> tuple[int, dict[str, object]]:
    response = client.get("/readyz")
    return response.status_code, response.json()


def failing(client: Client) -> list[str]:
    status, said = readiness(client)
    assert status == (200 if said["ready"] else 503)
    return [name for name, check in said["checks"].items() if not check["ok"]]


def test_healthz_answers_without_a_database(client: Client, no_database: None) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"ok": True})


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OperationalError("connection to /run/secret-place failed: password of redeliver is wrong")

    monkeypatch.setattr(connection, "cursor", refuse)


@pytest.mark.usefixtures("_worker")
def test_readyz_with_everything_well_says_so_check_by_check(client: Client) -> None:
    make_install(name="Acme Labs", poll_after=timezone.now() + timedelta(seconds=30))
    status, said = readiness(client)
    assert (status, said["ready"], sorted(said["checks"])) == (
        200, True, ["database", "migrations", "poller", "sweep", "worker"],
    )  # fmt: skip
    assert said["checks"]["migrations"] == {"ok": True, "pending": 0}
    assert said["checks"]["poller"] == {"ok": True, "late_s": 0.0}
    assert 2 <= said["checks"]["worker"]["heartbeat_age_s"] < 60
    assert "Acme" not in json.dumps(said)


@pytest.mark.django_db
def test_readyz_without_a_worker_fails(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_workers")
    assert failing(client) == ["worker"]


@pytest.mark.usefixtures("_worker")
@pytest.mark.parametrize(("seconds", "found"), [(30, []), (70, ["worker"])])
def test_readyz_fails_when_the_worker_is_silent(seconds: int, found: list[str], client: Client) -> None:
    beat(seconds_ago=seconds)
    assert failing(client) == found


@pytest.mark.usefixtures("_worker")
@pytest.mark.parametrize(("minutes", "found"), [(4, []), (6, ["poller"])])
def test_readyz_fails_when_an_install_is_long_due(minutes: int, found: list[str], client: Client) -> None:
    make_install(poll_after=timezone.now() - timedelta(minutes=minutes))
    make_install(poll_after=timezone.now() + timedelta(minutes=1))
    assert failing(client) == found


@pytest.mark.usefixtures("_worker")
def test_readyz_fails_when_a_new_install_is_never_asked(client: Client) -> None:
    make_install(poll_after=None)
    assert failing(client) == []
    Install.objects.update(connected_at=timezone.now() - timedelta(minutes=6))
    assert failing(client) == ["poller"]


@pytest.mark.usefixtures("_worker")
def test_readyz_fails_once_contracts_are_not_read(client: Client) -> None:
    due = Reconciliation.objects.create(install=make_install(poll_after=timezone.now()), due_at=timezone.now())
    assert failing(client) == []
    due.due_at -= timedelta(minutes=31)
    due.save()
    assert failing(client) == ["sweep"]


@pytest.mark.usefixtures("_worker")
def test_readyz_fails_until_migrations_are_applied(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk = health_checks._on_disk()
    monkeypatch.setattr(health_checks, "_on_disk", lambda: on_disk | {("dashboard", "9999_new")})
    assert failing(client) == ["migrations"]
    monkeypatch.setattr(health_checks, "_on_disk", lambda: frozenset(list(on_disk)[1:]))  # as older code sees it
    assert failing(client) == []


def test_readyz_without_a_database_is_503_and_tells_nothing_of_it(client: Client, no_database: None) -> None:
    status, said = readiness(client)
    why = {"ok": False, "why": "the database does not answer"}
    assert (status, said) == (
        503, {"ready": False, "checks": dict.fromkeys(["database", "migrations", "worker", "poller", "sweep"], why)},
    )  # fmt: skip


def test_readyz_asks_a_database_that_does_not_answer_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question waits for a connection for 5 s, and whoever probes has given up by then."""
    asked = []

    def refuse(*_: object) -> None:
        asked.append(1)
        raise OperationalError

    monkeypatch.setattr(connection, "cursor", refuse)
    assert (failing(client), asked) == (["database", "migrations", "worker", "poller", "sweep"], [1])


@pytest.mark.usefixtures("_worker")
def test_readyz_fails_while_nothing_can_be_written_and_writes_at_most_every_5_s(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, written, why = [100.0], [], ["the disk of the database is full"]

    def write() -> str:
        written.append(now[0])
        return why[0]

    monkeypatch.setattr(probes.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(health_checks, "why_no_write", write)
    probes._why_no_write.cache_clear()
    assert failing(client) == ["database"]
    assert readiness(client)[1]["checks"]["database"] == {"ok": False, "why": "the disk of the database is full"}
    why[0] = ""
    now[0] = 104.9
    assert failing(client) == ["database"]
    now[0] = 105.0
    assert failing(client) == []
    assert written == [100.0, 105.0]
    probes._why_no_write.cache_clear()


def scrape(client: Client, *, token: str = TOKEN) -> dict[str, float]:
    response = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert (response.status_code, response["Content-Type"].partition(";")[0]) == (200, "text/plain")
    lines = [line for line in response.content.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.django_db
def test_metrics_without_a_token_do_not_exist(client: Client, settings) -> None:
    settings.METRICS_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}é", "Bearer \x00"])
def test_metrics_with_another_token_are_refused(header: str, client: Client, settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    response = client.get("/metrics", headers={"Authorization": header})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert b"redeliver_" not in response.content


@pytest.mark.usefixtures("_worker")
def test_metrics_tell_what_the_database_knows(client: Client, settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    endpoint = make_endpoint(install=make_install(name="Acme Labs", poll_after=timezone.now() - timedelta(seconds=90)))
    Reconciliation.objects.create(install=endpoint.install, due_at=timezone.now() - timedelta(seconds=80))
    make_delivery(endpoint=endpoint)
    make_failed_delivery(endpoint=endpoint)
    with queued(due_seconds_ago=30), queued(due_seconds_ago=-3600):
        found = scrape(client)
    assert found['redeliver_deliveries{standing="failed"}'] == 1
    assert found['redeliver_deliveries{standing="retrying"}'] == 0
    assert found["redeliver_queue_depth"] == 1
    assert 30 <= found["redeliver_queue_oldest_seconds"] < 60
    assert 90 <= found["redeliver_poller_late_seconds"] < 120
    assert 80 <= found["redeliver_sweep_late_seconds"] < 110
    assert 2 <= found["redeliver_worker_heartbeat_age_seconds"] < 60
    assert found["redeliver_database_up"] == 1
    assert "Acme" not in json.dumps(found)


@contextlib.contextmanager
def queued(*, due_seconds_ago: float) -> Iterator[None]:
    at = timezone.now() - timedelta(seconds=due_seconds_ago)
    job = app.configure_task("some.task", queue="console", schedule_at=at).defer()
    yield
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs WHERE id = %s", [job])


def test_metrics_without_a_database_go_on_with_what_processes_counted(
    client: Client, settings, no_database: None
) -> None:
    settings.METRICS_TOKEN = TOKEN
    metrics.count_call(call="GET /installs/current", result="200", seconds=0.2)
    found = scrape(client)
    assert found["redeliver_database_up"] == 0
    assert found['redeliver_opentrain_calls_total{call="GET /installs/current",result="200"}'] >= 1
    assert "redeliver_queue_depth" not in found
