"""The inbox: its headline and totals, and the primary control of each row."""

import uuid
from dataclasses import dataclass

from django.urls import reverse

from dashboard.actions.installs.freshness import NO_WORKER
from dashboard.auth.permissions import Permission, may
from dashboard.models import Endpoint, Install, Run, User
from dashboard.presenters import controls
from dashboard.presenters.controls import MAIN, Control, Link
from dashboard.presenters.rows import RECOVERED, health_of
from dashboard.presenters.runs import RunRow
from dashboard.rules.endpoints import HealthKind

_STOPPED = {HealthKind.DISABLED, HealthKind.PAUSED}


@dataclass(frozen=True, slots=True)
class Sums:
    """Numbers of all endpoints, of healthy ones, and of ones with unknown status."""

    endpoints: int
    fine: int
    unknown: int
    is_known: bool
    """Whether any install was polled; otherwise `fine` means nothing."""

    @property
    def words(self) -> str:
        """Return "1,200 endpoints healthy · 3 unknown"."""
        fine = f"{self.fine:,} endpoint{_s(self.fine)} healthy" if self.is_known else "— endpoints healthy"
        return f"{fine} · {self.unknown:,} unknown" if self.unknown else fine


@dataclass(frozen=True, slots=True)
class AllClear:
    """The inbox while no endpoint and no install needs attention. `begins` is emphasized; `goes_on` follows it."""

    icon: str
    tone: str
    begins: str
    goes_on: str
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class Concerned:
    """The endpoints that an install's problem affects, and their last known state."""

    endpoints: str
    were: str


@dataclass(frozen=True, slots=True)
class Followed:
    """A run in progress, and the link to its page."""

    row: RunRow
    control: Link


def headline(*, endpoints: int, installs: int, alerts: int = 0, is_known: bool) -> str:
    """Return "2 endpoints and 1 install need attention", or that all is clear.

    `alerts` are open alerts. `is_known`: the state of everything was read lately.
    """
    if not endpoints + installs:
        if alerts:
            return f"{alerts:,} open alert{_s(alerts)}"
        return "All clear" if is_known else "All clear, as far as is known"
    counted = [(endpoints, "endpoint"), (installs, "install")]
    what = " and ".join(f"{count:,} {name}{_s(count)}" for count, name in counted if count)
    need = "needs" if endpoints + installs == 1 else "need"
    return f"{what} {need} attention"


def all_clear(sums: Sums, *, alerts: int, is_watched: bool, user: User) -> AllClear:
    """Say how the endpoints are while none needs attention, without reassuring where nothing proves it.

    `alerts` are open alerts. `is_watched`: a worker reads from OpenTrain and looks for problems.
    """
    if alerts:
        begins = "1 alert is still open." if alerts == 1 else f"{alerts:,} alerts are still open."
        control = Link("View alerts", reverse("alert-list"), look=MAIN)
        return AllClear("alert-triangle", "tone-warn", begins, "", control)
    if not is_watched:
        return AllClear("help-circle", "tone-idle", "", NO_WORKER)
    if not sums.endpoints:
        return _none_registered(user)
    if sums.unknown:
        begins = f"{sums.fine:,} endpoint{' is' if sums.fine == 1 else 's are'} healthy." if sums.fine else ""
        others = f"{'other' if sums.fine else 'endpoint'}{_s(sums.unknown)}"
        goes_on = f" The status of {sums.unknown:,} {others} is unknown."
        return AllClear("help-circle", "tone-idle", begins, goes_on)
    if sums.fine == sums.endpoints:
        begins = "The endpoint is healthy." if sums.fine == 1 else f"All {sums.fine:,} endpoints are healthy."
        return AllClear("circle-check", "", begins, "")
    paused = sums.endpoints - sums.fine
    begins = f"{sums.fine:,} of {sums.endpoints:,} endpoints {'is' if sums.fine == 1 else 'are'} healthy"
    goes_on = f"; {paused:,} {'was' if paused == 1 else 'were'} paused manually."
    return AllClear("circle-check", "", begins, goes_on)


def helps_endpoint(
    endpoint: Endpoint,
    *,
    failed: int,
    run: RunRow | None,
    is_install_in_need: bool,
    enable: uuid.UUID,
    redeliver: uuid.UUID,
    user: User,
) -> Control | None:
    """Return the primary control of an endpoint; None if this user can do nothing.

    `enable` and `redeliver` are the IDs of the buttons' operations.
    """
    needs_token = is_install_in_need and endpoint.install.new_token_helps
    if needs_token and may(user, Permission.MANAGE_INSTALLS):
        return controls.replace_token(endpoint.install_id)
    if run is not None:
        return follow(run, is_first=True)
    if is_install_in_need or not may(user, Permission.OPERATE):
        return None
    return _repairs(endpoint, failed=failed, enable=enable, redeliver=redeliver)


def _repairs(endpoint: Endpoint, *, failed: int, enable: uuid.UUID, redeliver: uuid.UUID) -> Control | None:
    kind = health_of(endpoint).kind
    if failed and kind in RECOVERED:
        return controls.recover(endpoint.pk)
    if kind in _STOPPED:
        return controls.enable(endpoint.pk, enable).first()
    if kind is HealthKind.ACTIVE and failed:
        return controls.redeliver_failed(endpoint.pk, redeliver).first()
    return None


def helps_install(install: Install, *, user: User) -> Control | None:
    """Return the primary control of an install that needs attention; None if this user can do nothing."""
    if install.new_token_helps and may(user, Permission.MANAGE_INSTALLS):
        return controls.replace_token(install.pk)
    return None


def concerned(install: Install) -> Concerned | None:
    """Return the endpoints that the problem affects; None if the install has no known endpoint."""
    count, needing = install.endpoint_count, install.needing_count
    if not count:
        return None
    if count == 1:
        return Concerned("1 endpoint", "it needed attention" if needing else "it was not disabled or failing")
    if not needing:
        return Concerned(f"{count:,} endpoints", "none of them was disabled or failing")
    return Concerned(f"{count:,} endpoints", f"{needing:,} of them needed attention")


def followed(row: RunRow) -> Followed:
    """Return a run with the link to its page. The link of a paused run is primary, because it waits for a person."""
    return Followed(row, follow(row, is_first=row.run.state == Run.State.PAUSED))


def follow(row: RunRow, *, is_first: bool) -> Link:
    """Return the link to the page of a run."""
    url = reverse("run-detail", args=[row.run.pk])
    return Link("Follow it", url, icon="refresh", look=MAIN if is_first else "")


def fleet_label(*, installs: int, has_more: bool, is_search: bool) -> str:
    """Return the label of the link to the list of installs, of which the inbox shows the first."""
    if is_search:
        return "View all matches"
    return f"View all {installs:,} installs" if has_more else "View all installs"


def _none_registered(user: User) -> AllClear:
    goes_on, control = ", as far as OpenTrain has reported.", None
    if may(user, Permission.MANAGE_ENDPOINTS):
        goes_on += " Register one on its install's page."
        control = Link("Choose an install", reverse("install-list"), look=MAIN)
    return AllClear("info-circle", "tone-idle", "No endpoint is registered yet", goes_on, control)


def _s(count: int) -> str:
    return "" if count == 1 else "s"
