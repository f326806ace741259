"""The contract's second driver: the Partner API over HTTP, called by the real client."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import ModuleType

from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

from dashboard.partner_api import auth, contracts, events, installs, links, models
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.models import Delivery, Endpoint, Install, Job, Token
from dashboard.services import opentrain
from dashboard.services.opentrain import Participant, ProjectLink
from dashboard.vault import Secret
from tests.contract.fake import MARIA, SCOPES

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

    def add_job(self, token: Secret) -> str:
        install = Install.objects.get(pk=self._ids[token])
        return contracts.post_job(install=install, title="Traffic signs", now=datetime.now(UTC)).pk

    def add_link(self, token: Secret, *, job_id: str | None) -> ProjectLink:
        new = links.NewLink(external_project_id=str(models.ProjectLink.objects.count()), job_id=job_id)
        made = links.create(install_id=self._ids[token], new=new, announcer=Announcer(), now=datetime.now(UTC))
        return ProjectLink(
            id=made.pk,
            job_id=made.job_id,
            external_project_id=made.external_project_id,
            external_project_name=None,
            external_project_url=None,
            provisioning_mode=made.provisioning_mode,
            created_at=as_sent(made.created_at),
        )

    def remove_link(self, link_id: str) -> None:
        models.ProjectLink.objects.filter(pk=link_id).delete()

    def hire(self, job_id: str, *, participants: Sequence[Participant] = (MARIA,)) -> str:
        contract = contracts.hire(
            job=Job.objects.get(pk=job_id),
            title="Traffic signs",
            payment_type="PAY_PER_HOUR",
            trainers=[contracts.Trainer(**dataclasses.asdict(one)) for one in participants],
            announcer=Announcer(),
            now=datetime.now(UTC),
        )
        return contract.pk

    def end(self, contract_id: str) -> None:
        contracts.end(contract_id=contract_id, announcer=Announcer(), now=datetime.now(UTC))

    def fund(self, contract_id: str, *, hours: float) -> None:
        contracts.fund(
            contract_id=contract_id,
            name="Week 1",
            amount_usd=Decimal(hours) * 14,
            volume=Decimal(hours),
            announcer=Announcer(),
            now=datetime.now(UTC),
        )

    def work(self, contract_id: str, *, hours: float) -> None:
        now = datetime.now(UTC)
        entry = contracts.Entry(work_date=now.date(), total_seconds=round(hours * 3600))
        contracts.report(contract_id=contract_id, entries=[entry], announcer=Announcer(), now=now)

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


def as_sent(moment: datetime) -> datetime:
    """Return the time as the API sends it, in milliseconds."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


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
