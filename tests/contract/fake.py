"""OpenTrain in memory, for tests of the console: the client's operations, with the same results and exceptions.

`test_contract.py` keeps it faithful: it runs the same tests against the fake and a real server.

    def test_x(fake_opentrain):                       # see fixtures.py
        token = fake_opentrain.add_install()
        made = fake_opentrain.create_endpoint(token=token, url="https://a.example.com/", event_types=["contract.ended"])
        fake_opentrain.add_deliveries(made.endpoint.id, failed=3)
        fake_opentrain.disable(made.endpoint.id, "10 failures in a row")
        fake_opentrain.fail_next(opentrain.OutcomeUnknown("…"))
    link = fake_opentrain.add_link(token, job_id="job_1")
    contract = fake_opentrain.hire(token, job_id="job_1")
    fake_opentrain.end(contract.id)
"""

import dataclasses
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from dashboard.services.opentrain import (
    Budget,
    Contract,
    CreatedEndpoint,
    DeletedEndpoint,
    Install,
    Participant,
    PartnerApp,
    ProjectLink,
    Redelivery,
    TokenInfo,
    WebhookEndpoint,
)
from dashboard.services.opentrain.errors import OpenTrainError, Refusal, failed
from dashboard.vault import Secret

SCOPES = (
    "project-links:read",
    "project-links:write",
    "contracts:read",
    "participants:read",
    "participants:email",
    "usage:write",
    "webhooks:manage",
)
EVENT_TYPES = (
    "contract.started",
    "contract.ended",
    "project_link.created",
    "project_link.removed",
    "install.revoked",
    "milestone.funded",
    "milestone.budget_low",
    "milestone.budget_depleted",
)
ATTEMPTED_SOON = "Requeued deliveries will be attempted on the next delivery run (within ~5 minutes)."
NOT_ATTEMPTED = (
    "Nothing is attempted while the endpoint is DISABLED. "
    "Re-enable it first (PATCH with status ACTIVE), then redeliver."
)

READS = {
    "get_install",
    "list_endpoints",
    "get_endpoint",
    "list_project_links",
    "list_contracts",
    "list_participants",
    "get_budget",
}
MARIA = Participant(
    opentrain_user_id="usr_maria",
    display_name="Maria G.",
    country="Spain",
    profile_url="https://app.opentrain.ai/profile/maria-g",
    work_email="maria.g@opentrain.work",
)

_CODES = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND"}


@dataclass(frozen=True, slots=True)
class Call:
    """One recorded call, without its token."""

    operation: str
    arguments: Mapping[str, Any]


class _Refused(Exception):
    """The operation is refused, with this status and these words."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.said = said


@dataclass(slots=True)
class _Row:
    """An endpoint, its install's ID, and the states of its deliveries by ID."""

    install_id: str
    endpoint: WebhookEndpoint
    deliveries: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Hire:
    """A contract, who was hired with it, and what is funded and consumed, in hours."""

    contract: Contract
    participants: tuple[Participant, ...]
    funded: float = 0
    consumed: float = 0


def _operation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Record the call, and raise the next planned failure for it, if any."""

    @wraps(function)
    def recorded(self: "FakeOpenTrain", **arguments: Any) -> Any:
        self.calls.append(Call(function.__name__, {name: arguments[name] for name in arguments if name != "token"}))
        if function.__name__ in self._held:
            self._held[function.__name__].wait(60)
        number = len([one for one in self.calls if one.operation == function.__name__])
        for planned in [one for one in self._before if one[:2] == (function.__name__, number)]:
            self._before.remove(planned)
            planned[2]()
        mine = [one for one in self._failures if one[0] in {"", function.__name__}]
        if mine:
            self._failures.remove(mine[0])
            raise mine[0][1]
        changed = next((one for one in self._changes if one[0] == function.__name__), None)
        try:
            answer = function(self, **arguments)
        except _Refused as refused:
            raise _refusal(refused, is_read=function.__name__ in READS) from None
        if changed is None:
            return answer
        self._changes.remove(changed)
        return changed[1](answer)

    return recorded


class FakeOpenTrain:
    """An in-memory OpenTrain. Its clock advances by a second at each change, so that "newest first" is well defined."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._failures: list[tuple[str, OpenTrainError]] = []
        self._before: list[tuple[str, int, Callable[[], None]]] = []
        self._held: dict[str, threading.Event] = {}
        self._changes: list[tuple[str, Callable[[Any], Any]]] = []
        self._installs: dict[Secret, Install] = {}
        self._rows: dict[str, _Row] = {}
        self._links: dict[str, tuple[str, ProjectLink]] = {}
        self._hires: dict[str, _Hire] = {}
        self._again: str | None = None
        self._behind: list[tuple[str, WebhookEndpoint]] | None = None
        self._number = itertools.count(1)
        self._now = datetime(2026, 6, 12, 10, 0, tzinfo=UTC)

    @property
    def opentrain(self) -> "FakeOpenTrain":
        """The object with the operations, as in every driver of the contract."""
        return self

    # Methods for tests to arrange data

    def add_install(self, *, scopes: Sequence[str] = SCOPES, status: str = "ACTIVE") -> Secret:
        """Install the platform app for another customer; return the token."""
        number = next(self._number)
        token = Secret(f"ot_ptk_{number:043}")
        self._installs[token] = Install(
            id=f"ins_{number}",
            status=status,
            scopes=tuple(scopes),
            pii_consent="participants:email" in scopes,
            organization_id=f"org_{number}",
            created_at=self._tick(),
            partner_app=PartnerApp(id="app_1", slug="label-studio-cloud", name="Label Studio Cloud"),
            token=TokenInfo(id=f"tok_{number}", name="Consent screen", scopes=tuple(scopes)),
        )
        return token

    def set_status(self, token: Secret, status: str) -> None:
        """Set the install's own status: ACTIVE, SUSPENDED, REVOKED."""
        self._installs[token] = dataclasses.replace(self._installs[token], status=status)

    def revoke(self, token: Secret) -> None:
        """Revoke the token: from now on every call with it raises the error of a 401."""
        del self._installs[token]

    def replace_token(self, old: Secret, new: Secret) -> None:
        """Give the install another token, as a reconnect does: the old one is refused from now on."""
        install = self._installs.pop(old)
        self._installs[new] = dataclasses.replace(install, token=dataclasses.replace(install.token, id="tok_new"))

    def add_deliveries(self, endpoint_id: str, *, failed: int = 0, delivered: int = 0, pending: int = 0) -> list[str]:
        """Add deliveries in these states to the endpoint; return their IDs in this order."""
        states = ["FAILED"] * failed + ["DELIVERED"] * delivered + ["PENDING"] * pending
        made = {f"dlv_{next(self._number):032}": state for state in states}
        self._rows[endpoint_id].deliveries.update(made)
        return list(made)

    def disable(self, endpoint_id: str, reason: str) -> None:
        """Disable the endpoint as ten consecutive failures do, which also fails its waiting deliveries."""
        self._change(
            endpoint_id, status="DISABLED", disabled_at=self._tick(), disabled_reason=reason, consecutive_failures=10
        )
        row = self._rows[endpoint_id]
        row.deliveries = {key: "FAILED" if state == "PENDING" else state for key, state in row.deliveries.items()}

    def set_streak(self, endpoint_id: str, failures: int) -> None:
        """Set the number of consecutive failures."""
        self._change(endpoint_id, consecutive_failures=failures)

    def states(self, endpoint_id: str) -> dict[str, str]:
        """Return the states of the endpoint's deliveries by ID."""
        return dict(self._rows[endpoint_id].deliveries)

    def set_clock(self, now: datetime) -> None:
        self._now = now

    def fall_behind(self) -> None:
        """Let reads show the endpoints as they are now, whatever is changed until `catch_up`."""
        self._behind = [(row.install_id, row.endpoint) for row in self._rows.values()]

    def create_again(self, endpoint_id: str) -> None:
        """Answer the next creation with this endpoint, which exists, and a new secret."""
        self._again = endpoint_id

    def catch_up(self) -> None:
        self._behind = None

    def fail_next(self, error: OpenTrainError, *, operation: str = "") -> None:
        """Make one call (of `operation`, if given) raise this error and do nothing; planned failures apply in order."""
        self._failures.append((operation, error))

    def hold(self, operation: str, *, until: threading.Event) -> None:
        """Let every call of the operation wait for the event, at most a minute, before it does anything."""
        self._held[operation] = until

    def change_answer(self, change: Callable[[Any], Any], *, operation: str) -> None:
        """Change the answer of one call of `operation`, which still does its work; planned changes apply in order."""
        self._changes.append((operation, change))

    def before(self, operation: str, act: Callable[[], None], *, at: int = 1) -> None:
        """Do this when call number `at` of the operation has been sent, before it is processed."""
        self._before.append((operation, len([one for one in self.calls if one.operation == operation]) + at, act))

    def add_link(self, token: Secret, *, job_id: str | None) -> ProjectLink:
        """Link another project of the token's install to a job."""
        number = next(self._number)
        link = ProjectLink(
            id=f"plk_{number:032}",
            job_id=job_id,
            external_project_id=str(number),
            external_project_name=None,
            external_project_url=None,
            provisioning_mode="PARTNER_WEBHOOK",
            created_at=self._tick(),
        )
        self._links[link.id] = (self._installs[token].id, link)
        return link

    def remove_link(self, link_id: str) -> None:
        del self._links[link_id]

    def add_job(self, token: Secret) -> str:  # noqa: ARG002 - the other driver needs it
        """Return the ID of a new job of the employer."""
        return f"job_{next(self._number):032}"

    def hire(self, job_id: str, *, participants: Sequence[Participant] = (MARIA,)) -> str:
        """Start a contract on a job; return its ID. It is paid by the hour."""
        now, contract_id = self._tick(), f"ctr_{next(self._number):032}"
        contract = Contract(
            id=contract_id,
            status="active",
            job_id=job_id,
            title="Traffic signs",
            start_date=now,
            end_date=None,
            created_at=now,
            project_link_ids=(),
        )
        self._hires[contract_id] = _Hire(contract, tuple(participants))
        return contract_id

    def end(self, contract_id: str) -> None:
        """End a contract."""
        hire = self._hires[contract_id]
        hire.contract = dataclasses.replace(hire.contract, status="ended", end_date=self._tick())

    def fund(self, contract_id: str, *, hours: float) -> None:
        """Fund so many hours more, and complete what was funded before."""
        self._hires[contract_id].funded += hours

    def work(self, contract_id: str, *, hours: float) -> None:
        """Report so many hours in all, at most a day."""
        self._hires[contract_id].consumed = hours

    # The operations

    @_operation
    def get_install(self, *, token: Secret) -> Install:
        return self._authorized(token, None)

    @_operation
    def create_endpoint(self, *, token: Secret, url: str, event_types: Sequence[str]) -> CreatedEndpoint:
        install = self._authorized(token)
        _check(url=url, event_types=event_types)
        number = next(self._number)
        if self._again is not None:
            known, self._again = self._rows[self._again].endpoint, None
            return CreatedEndpoint(known, Secret(f"whsec_{number:043}"), "")
        endpoint = WebhookEndpoint(
            id=f"whe_{number:032}",
            url=url,
            event_types=tuple(event_types),
            status="ACTIVE",
            created_at=self._tick(),
            consecutive_failures=0,
            disabled_at=None,
            disabled_reason=None,
        )
        self._rows[endpoint.id] = _Row(install.id, endpoint)
        return CreatedEndpoint(endpoint, Secret(f"whsec_{number:043}"), "Store the secret now: it is shown only once.")

    @_operation
    def list_endpoints(self, *, token: Secret) -> tuple[WebhookEndpoint, ...]:
        install = self._authorized(token)
        rows = [(row.install_id, row.endpoint) for row in self._rows.values()] if self._behind is None else self._behind
        mine = (endpoint for install_id, endpoint in rows if install_id == install.id)
        return tuple(sorted(mine, key=lambda endpoint: endpoint.created_at, reverse=True))

    @_operation
    def get_endpoint(self, *, token: Secret, endpoint_id: str) -> WebhookEndpoint:
        return self._row(token, endpoint_id).endpoint

    @_operation
    def update_endpoint(
        self,
        *,
        token: Secret,
        endpoint_id: str,
        url: str | None = None,
        event_types: Sequence[str] | None = None,
        status: str | None = None,
    ) -> WebhookEndpoint:
        row = self._row(token, endpoint_id)
        _check(url=url, event_types=event_types, status=status)
        given = {"url": url, "event_types": event_types and tuple(event_types), "status": status}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if not changes:
            raise _Refused(400, "There is nothing to change. Send one or more of url, eventTypes and status.")
        if status == "ACTIVE":
            changes |= {"consecutive_failures": 0, "disabled_at": None, "disabled_reason": None}
        elif status == "DISABLED" and row.endpoint.status != "DISABLED":
            changes |= {"disabled_at": self._tick(), "disabled_reason": "Paused through the API."}
        return self._change(endpoint_id, **changes)

    @_operation
    def delete_endpoint(self, *, token: Secret, endpoint_id: str) -> DeletedEndpoint:
        endpoint = self._row(token, endpoint_id).endpoint
        del self._rows[endpoint_id]
        return DeletedEndpoint(endpoint)

    @_operation
    def redeliver(self, *, token: Secret, endpoint_id: str, delivery_id: str | None = None) -> Redelivery:
        row = self._row(token, endpoint_id)
        if delivery_id is not None and delivery_id not in row.deliveries:
            raise _Refused(404, "There is no such delivery on this endpoint.")
        chosen = [key for key, state in row.deliveries.items() if state == "FAILED"]
        chosen = chosen if delivery_id is None else [delivery_id]
        row.deliveries |= dict.fromkeys(chosen, "PENDING")
        message = ATTEMPTED_SOON if row.endpoint.status == "ACTIVE" else NOT_ATTEMPTED
        return Redelivery(row.endpoint, len(chosen), message)

    @_operation
    def list_project_links(self, *, token: Secret) -> tuple[ProjectLink, ...]:
        self._authorized(token, "project-links:read", "project-links:write")
        return tuple(reversed(self._links_of(token)))

    @_operation
    def list_contracts(
        self, *, token: Secret, project_link_id: str | None = None, status: str | None = None, limit: int = 200
    ) -> tuple[Contract, ...]:
        self._authorized(token, "contracts:read")
        if not 1 <= limit <= 200 or status not in {None, "active", "ended"}:
            raise _Refused(400, "status must be 'active' or 'ended', and limit from 1 to 200.")
        links = self._links_of(token)
        chosen = [link for link in links if project_link_id in {None, link.id}]
        if project_link_id is not None and not chosen:
            raise _Refused(404, "There is no such project link on this install.")
        jobs = {link.job_id for link in chosen} - {None}
        seen = [hire.contract for hire in self._hires.values() if hire.contract.job_id in jobs]
        found = [contract for contract in reversed(seen) if status in {None, contract.status}]
        return tuple(
            dataclasses.replace(one, project_link_ids=tuple(link.id for link in links if link.job_id == one.job_id))
            for one in found[:limit]
        )

    @_operation
    def list_participants(self, *, token: Secret, contract_id: str) -> tuple[Participant, ...]:
        install = self._authorized(token, "participants:read")
        with_email = install.pii_consent and "participants:email" in install.token.scopes
        hired = self._hire(token, contract_id).participants
        return hired if with_email else tuple(dataclasses.replace(one, work_email=None) for one in hired)

    @_operation
    def get_budget(self, *, token: Secret, contract_id: str) -> Budget:
        self._authorized(token, "contracts:read")
        hire = self._hire(token, contract_id)
        fraction = hire.consumed / hire.funded if hire.funded else 0
        return Budget(
            contract_id=contract_id,
            payment_type="PAY_PER_HOUR",
            state="DEPLETED" if fraction >= 1 else "LOW" if fraction >= 0.8 else "OK",
            funded_volume=hire.funded,
            funded_amount_usd=hire.funded * 14,
            consumed_volume=hire.consumed,
            remaining_volume=max(hire.funded - hire.consumed, 0),
            consumed_fraction=round(fraction, 4),
            active_milestone=None,
            last_usage_at=None,
        )

    def _links_of(self, token: Secret) -> list[ProjectLink]:
        return [link for install_id, link in self._links.values() if install_id == self._installs[token].id]

    def _hire(self, token: Secret, contract_id: str) -> _Hire:
        hire = self._hires.get(contract_id)
        if hire is None or hire.contract.job_id not in {link.job_id for link in self._links_of(token)}:
            raise _Refused(404, "There is no such contract on a linked job of this install.")
        return hire

    def _authorized(self, token: Secret, *scopes: str | None) -> Install:
        install = self._installs.get(token)
        if install is None:
            raise _Refused(401, "The token is not valid: it is malformed, unknown or revoked.")
        if install.status != "ACTIVE":
            raise _Refused(403, f"The install is {install.status}, not ACTIVE.")
        wanted = [scope for scope in scopes or ("webhooks:manage",) if scope]
        if wanted and not set(wanted) & set(install.token.scopes):
            raise _Refused(
                403, f"This token lacks the scope {wanted[0]}. Ask the customer to reconnect the app with it."
            )
        return install

    def _row(self, token: Secret, endpoint_id: str) -> _Row:
        install = self._authorized(token)
        row = self._rows.get(endpoint_id)
        if row is None or row.install_id != install.id:
            raise _Refused(404, "There is no such webhook endpoint on this install.")
        return row

    def _change(self, endpoint_id: str, **changes: Any) -> WebhookEndpoint:
        row = self._rows[endpoint_id]
        row.endpoint = dataclasses.replace(row.endpoint, **changes)
        return row.endpoint

    def _tick(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def _check(*, url: str | None = None, event_types: Sequence[str] | None = None, status: str | None = None) -> None:
    """Refuse input that OpenTrain refuses with a 400."""
    if url is not None and not _deliverable(url):
        raise _Refused(400, "url must be https; plain http is for localhost only.")
    if event_types is not None and (not event_types or not set(event_types) <= set(EVENT_TYPES)):
        raise _Refused(400, f"eventTypes must name at least one of {', '.join(EVENT_TYPES)}.")
    if status not in {None, "ACTIVE", "DISABLED"}:
        raise _Refused(400, "status must be ACTIVE or DISABLED.")


def _deliverable(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme, parts.hostname) == ("http", "localhost"))


def _refusal(refused: _Refused, *, is_read: bool) -> OpenTrainError:
    """Return the exception that the client raises for such a response."""
    status = refused.status
    request_id = f"00000000-0000-4000-8000-000000000{status}"
    refusal = Refusal(status, _CODES[status], refused.said, request_id)
    look = None if is_read else "Check the endpoint before you repeat the request."
    return failed(status, refusal, why="", look=look, request_id=request_id, retry_after_s=None)
