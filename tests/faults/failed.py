"""An endpoint at the real Partner API with failed deliveries, for runs by real processes. Tests that use it need
`pytest.mark.urls("dashboard.partner_api.urls")`: this process serves the Partner API, and not the console.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import sync
from dashboard.models import Delivery, Endpoint, User
from dashboard.partner_api import events
from dashboard.partner_api.models import Delivery as Sent
from tests.contract.partner_api import PartnerApi, served
from tests.factories import make_failed_delivery, make_user

WITHIN_S = 180
"""Timeout for a busy machine; normally it takes seconds."""


@contextlib.contextmanager
def failed_deliveries(*, count: int, settings: Any) -> Iterator[Endpoint]:
    """Serve the Partner API, with an endpoint of Ana's install whose failed deliveries all reached Redeliver."""
    truncate_jobs()
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware"]
    with served() as settings.OPENTRAIN_BASE_URL:
        token, actor, now = PartnerApi().add_install(), make_user(username="ana"), timezone.now()
        _, install = sync.connect(actor=actor, token=token, name="Acme", now=now, operation=uuid.uuid4())
        _, endpoint, _ = endpoints.register(
            actor=actor,
            install=install,
            url="",
            handler_url="",
            through_redeliver=True,
            event_types=["contract.started"],
            clock=lambda: now,
            operation=uuid.uuid4(),
        )
        _fail(endpoint, count=count)
        yield endpoint
    truncate_jobs()


def _fail(endpoint: Endpoint, *, count: int) -> None:
    for number in range(count):
        events.emit(
            install_id=endpoint.install.opentrain_id,
            event_type="contract.started",
            resource_id=f"ctr_{number}",
            job_id=None,
            data={},
            now=datetime.now(UTC),
        )
    Sent.objects.update(status="FAILED", next_attempt_at=None)
    at = timezone.now() - timedelta(hours=1)
    for opentrain_id in Sent.objects.values_list("id", flat=True):
        make_failed_delivery(endpoint=endpoint, opentrain_id=opentrain_id, first_received_at=at, last_attempt_at=at)


def truncate_jobs() -> None:
    """Delete all jobs. Procrastinate's models are unmanaged, so Django keeps their rows between tests."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")


def deliver_requested() -> None:
    """Simulate a delivery run that delivers every requested delivery."""
    requested = Delivery.objects.filter(requested_at__isnull=False)
    requested.update(requested_at=None, last_ok=True, last_cause="", last_attempt_at=timezone.now())


def session_of(user: User) -> str:
    """Sign the user in; return the session cookie's value."""
    client = Client()
    client.force_login(user)
    return str(client.cookies["sessionid"].value)


def somebody_waits() -> bool:
    """Return whether a session waits for another session's lock; a test server has only the tests' sessions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def wait_until(condition: Callable[[], bool], *, within_s: float = WITHIN_S, every_s: float = 0.1) -> None:
    """Wait until the condition is true. Fails after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(every_s)
