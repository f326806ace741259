"""The contract's second driver: the Partner API over HTTP, called by the real client."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from types import ModuleType

from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from dashboard.partner_api import auth, events, installs
from dashboard.partner_api.models import Delivery, Endpoint, Install, Token
from dashboard.services import opentrain
from dashboard.vault import Secret
from tests.contract.fake import SCOPES

PATH = "/api/partner/v1"


class PartnerApi:
    """Arranges test data in the Partner API's tables; calls go over HTTP."""

    def __init__(self) -> None:
        self._ids: dict[Secret, str] = {}

    @property
    def opentrain(self) -> ModuleType:
        return opentrain

    def add_install(self, *, scopes: Sequence[str] = SCOPES, status: str = "ACTIVE") -> Secret:
        organization = f"Customer {len(self._ids) + 1}"
        granted = installs.create(
            organization=organization, app_name="Label Studio Cloud", scopes=scopes, now=datetime.now(UTC)
        )
        token = Secret(granted.token)
        self._ids[token] = granted.install_id
        self.set_status(token, status)
        return token

    def set_status(self, token: Secret, status: str) -> None:
        Install.objects.filter(pk=self._ids[token]).update(status=status)

    def revoke(self, token: Secret) -> None:
        auth.revoke(token_id=Token.objects.get(install_id=self._ids[token]).pk, now=datetime.now(UTC))

    def add_deliveries(self, endpoint_id: str, *, failed: int = 0, delivered: int = 0, pending: int = 0) -> list[str]:
        states = ["FAILED"] * failed + ["DELIVERED"] * delivered + ["PENDING"] * pending
        return [self._add_delivery(Endpoint.objects.get(pk=endpoint_id), state) for state in states]

    def disable(self, endpoint_id: str, reason: str) -> None:
        Endpoint.objects.filter(pk=endpoint_id).update(
            status="DISABLED", disabled_at=datetime.now(UTC), disabled_reason=reason, consecutive_failures=10
        )
        Delivery.objects.filter(endpoint_id=endpoint_id, status="PENDING").update(status="FAILED", next_attempt_at=None)

    def set_streak(self, endpoint_id: str, failures: int) -> None:
        Endpoint.objects.filter(pk=endpoint_id).update(consecutive_failures=failures)

    def states(self, endpoint_id: str) -> dict[str, str]:
        return dict(Delivery.objects.filter(endpoint_id=endpoint_id).values_list("id", "status"))

    def _add_delivery(self, endpoint: Endpoint, state: str) -> str:
        known = set(self.states(endpoint.pk))
        events.emit(
            install_id=endpoint.install_id,
            event_type=endpoint.event_types[0],
            resource_id="ctr_1",
            job_id=None,
            data={},
            now=datetime.now(UTC),
        )
        [made] = set(self.states(endpoint.pk)) - known
        due = datetime.now(UTC) if state == "PENDING" else None
        Delivery.objects.filter(pk=made).update(status=state, next_attempt_at=due)
        return made


@contextlib.contextmanager
def served() -> Iterator[str]:
    """Serve Django with its current settings on a free port, and yield the API's base URL.

    pytest-django's live_server does not fit: it lasts for the session, with the middleware of the first test to use it.
    """
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.daemon_threads = False  # makes server_close() wait for them and their database connections
    server.set_app(WSGIHandler())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}{PATH}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
