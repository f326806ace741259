"""A run whose worker is killed in the middle: real processes, and the real Partner API over HTTP."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from dashboard.actions import endpoints, installs, run_items, runs
from dashboard.launch import site
from dashboard.models import AuditEntry, Delivery, Endpoint, Run, RunItem, User
from dashboard.partner_api import events
from dashboard.partner_api.models import Delivery as Sent
from tests.contract.partner_api import PartnerApi, served
from tests.factories import make_failed_delivery, make_user

pytestmark = [
    pytest.mark.urls("dashboard.partner_api.urls"),
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("runs-killed"),
]
ROOT = Path(__file__).parents[2]
COUNT = 500
WITHIN_S = 60
Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture(autouse=True)
def _no_jobs(transactional_db: None) -> Iterator[None]:
    """Procrastinate's models are unmanaged: Django leaves their rows from one test to the next."""
    _truncate_jobs()
    yield
    _truncate_jobs()


def _truncate_jobs() -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")


@pytest.fixture
def endpoint(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """An endpoint at the Partner API with COUNT failed deliveries, each of which reached us."""
    monkeypatch.setattr(endpoints, "reverse", lambda _name, args: f"/hooks/{args[0]}/")  # the URL map is the other's
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
    with served() as settings.OPENTRAIN_BASE_URL:
        token, actor, now = PartnerApi().add_install(), make_user(username="ana"), timezone.now()
        _, install = installs.connect(actor=actor, token=token, name="Acme", now=now, operation=uuid.uuid4())
        _, made, _ = endpoints.register(
            actor=actor,
            install=install,
            url="",
            handler_url="",
            through_redeliver=True,
            event_types=["contract.started"],
            now=now,
            operation=uuid.uuid4(),
        )
        for number in range(COUNT):
            events.emit(
                install_id=install.opentrain_id,
                event_type="contract.started",
                resource_id=f"ctr_{number}",
                job_id=None,
                data={},
                now=datetime.now(UTC),
            )
        Sent.objects.update(status="FAILED", next_attempt_at=None)
        for opentrain_id in Sent.objects.values_list("id", flat=True):
            make_failed_delivery(endpoint=made, opentrain_id=opentrain_id)
        yield made


@pytest.fixture
def start_worker(postgres_server: Any, settings: Any, tmp_path: Path) -> Iterator[Start]:
    environment = os.environ | {
        "DATABASE_URL": postgres_server.url(connection.settings_dict["NAME"]),
        "FIELD_KEYS": ",".join(django_settings.FIELD_KEYS),
        "SECRET_KEY": "only-for-tests",
        "HTTPS": "0",
        "OPENTRAIN_RUN_INTERVAL_S": "2",
    }
    environment.pop("DJANGO_SETTINGS_MODULE")
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        with (tmp_path / f"worker-{len(started)}.log").open("wb") as log:
            one = subprocess.Popen(
                site.worker(),
                cwd=ROOT,
                env=environment | {"OPENTRAIN_BASE_URL": settings.OPENTRAIN_BASE_URL},
                stdout=log,
                stderr=log,
            )
        started.append(one)
        return one

    yield start
    for one in started:
        one.kill()
        one.wait()
    for log in tmp_path.glob("worker-*.log"):
        print(log.read_text()[-2000:])  # noqa: T201 - pytest shows it with a failure


def wait_until(condition: Callable[[], bool], *, deadline: float) -> None:
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def test_killed_worker_leaves_one_in_doubt_at_most_and_the_next_goes_on(
    endpoint: Endpoint, start_worker: Start
) -> None:
    deadline = time.monotonic() + WITHIN_S
    run = runs.start_bulk(
        actor=User.objects.get(),
        endpoint=endpoint,
        deliveries=endpoint.deliveries.all(),
        filter_text="all failed",
        note="",
        now=timezone.now(),
        operation=uuid.uuid4(),
    )
    Run.objects.update(pace_ms=0)
    asked = run.items.exclude(state="waiting")
    first = start_worker()
    wait_until(lambda: asked.count() >= 100, deadline=deadline)
    wait_until(lambda: asked.filter(state="asking").exists(), deadline=deadline)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert run.items.filter(state="waiting").count() > 100
    in_flight = list(run.items.filter(state="asking").values_list("opentrain_id", flat=True))

    start_worker()
    wait_until(lambda: not run.items.filter(state__in=["waiting", "asking"]).exists(), deadline=deadline)
    doubtful = list(run.items.filter(state=RunItem.State.UNKNOWN).values_list("opentrain_id", "words"))
    requested = Delivery.objects.filter(requested_at__isnull=False)
    requested.update(requested_at=None, last_ok=True, last_cause="", last_attempt_at=timezone.now())
    wait_until(lambda: Run.objects.get().state == "done", deadline=deadline)

    tally = run_items.count(run=run)
    assert (tally.total, tally.delivered + tally.unknown, tally.settled) == (COUNT, COUNT, COUNT)
    assert len(in_flight) <= 1
    assert doubtful == [(one, run_items.INTERRUPTED) for one in in_flight]
    # OpenTrain counts the requeues of each: one, and for the one in flight one or none.
    assert set(Sent.objects.exclude(pk__in=in_flight).values_list("round", flat=True)) == {2}
    assert Sent.objects.filter(round__gt=2).count() == 0
    calls = AuditEntry.objects.filter(action=endpoints.IN_A_RUN, phase="requested")
    assert calls.count() == calls.values("delivery_id").distinct().count() == COUNT
