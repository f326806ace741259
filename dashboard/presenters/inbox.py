"""What the inbox says at its top, and the one thing that helps first beside each row."""

import uuid
from dataclasses import dataclass

from django.urls import reverse

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
    """How many endpoints there are, how many do well, and of how many that is not known now."""

    endpoints: int
    fine: int
    unknown: int
    is_known: bool
    """Whether any install was looked at, so that `fine` says something."""

    @property
    def words(self) -> str:
        """Return "1,200 endpoints fine · 3 not known now"."""
        fine = f"{self.fine:,} endpoint{_s(self.fine)} fine" if self.is_known else "— endpoints fine"
        return f"{fine} · {self.unknown:,} not known now" if self.unknown else fine


@dataclass(frozen=True, slots=True)
class AllClear:
    """What stands there while nothing needs anybody: `begins` is said strongly, and `goes_on` follows it.

    `is_quiet` says that no problem is on record at all.
    """

    icon: str
    tone: str
    begins: str
    goes_on: str
    is_quiet: bool
    control: Control | None = None


@dataclass(frozen=True, slots=True)
class Concerned:
    """Which endpoints an install's trouble concerns, and how they were when they were seen last."""

    endpoints: str
    were: str


@dataclass(frozen=True, slots=True)
class Followed:
    """A run that is under way, and the link to follow it."""

    row: RunRow
    control: Link


def headline(*, endpoints: int, installs: int, unknown: int, user: User) -> str:
    """Say how much needs somebody: "2 endpoints and 1 install need you"."""
    operates = may(user, Permission.OPERATE)
    if not endpoints + installs:
        nothing = "Nothing needs you" if operates else "Nothing needs anybody"
        return f"{nothing}, as far as is known" if unknown else nothing
    counted = [(endpoints, "endpoint"), (installs, "install")]
    what = " and ".join(f"{count:,} {name}{_s(count)}" for count, name in counted if count)
    need = "needs" if endpoints + installs == 1 else "need"
    return f"{what} {need} {'you' if operates else 'somebody'}"


def all_clear(sums: Sums, *, is_repaired: bool, user: User) -> AllClear:
    """Say how endpoints do while none is in need. `is_repaired` says that a last problem is known."""
    if not sums.endpoints:
        return _none_registered(user)
    is_quiet = not is_repaired and not sums.unknown
    if sums.unknown:
        begins = f"{sums.fine:,} endpoint{' is' if sums.fine == 1 else 's are'} healthy." if sums.fine else ""
        others = f"{'other' if sums.fine else 'endpoint'}{_s(sums.unknown)}"
        goes_on = f" How {sums.unknown:,} {others} {'is' if sums.unknown == 1 else 'are'} doing is not known now."
        return AllClear("help-circle", "tone-idle", begins, goes_on, is_quiet)
    if sums.fine == sums.endpoints:
        begins = "The one endpoint is healthy." if sums.fine == 1 else f"All {sums.fine:,} endpoints are healthy."
        return AllClear("circle-check", "", begins, "", is_quiet)
    begins = f"{sums.fine:,} of {sums.endpoints:,} endpoints are healthy"
    return AllClear("circle-check", "", begins, ", and the others were paused by somebody.", is_quiet)


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
    """Return the one thing that helps first; None where there is nothing that this person may do.

    `enable` and `redeliver` are the names of what the buttons do.
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
    """Return what helps an install that itself needs a person; None where it is not for this person to do."""
    if install.new_token_helps and may(user, Permission.MANAGE_INSTALLS):
        return controls.replace_token(install.pk)
    return None


def concerned(install: Install) -> Concerned | None:
    """Say which endpoints the trouble concerns; None where none is known."""
    count, needing = install.endpoint_count, install.needing_count
    if not count:
        return None
    if count == 1:
        return Concerned("1 endpoint", "it needed somebody" if needing else "it was well")
    return Concerned(f"{count:,} endpoints", f"{needing or 'none'} of them needed somebody")


def followed(row: RunRow) -> Followed:
    """Return a run with the link to its page; one that is paused waits for somebody."""
    return Followed(row, follow(row, is_first=row.run.state == Run.State.PAUSED))


def follow(row: RunRow, *, is_first: bool) -> Link:
    """Return the link to the page of a run."""
    url = reverse("run-detail", args=[row.run.pk])
    return Link("Follow it", url, icon="refresh", look=MAIN if is_first else "")


def fleet_label(*, installs: int, has_more: bool, is_search: bool) -> str:
    """Name the link to the table of all installs, beside the first of them."""
    if not has_more:
        return f"See {'it' if installs == 1 else 'them'} in detail"
    return "All that fit" if is_search else f"All {installs:,} installs"


def _none_registered(user: User) -> AllClear:
    goes_on, control = ", as far as OpenTrain has said.", None
    if may(user, Permission.MANAGE_ENDPOINTS):
        goes_on += " An endpoint is registered on its install's page."
        control = Link("Choose an install", reverse("install-list"), look=MAIN)
    return AllClear(
        "info-circle", "tone-idle", "No endpoint is registered yet", goes_on, is_quiet=False, control=control
    )


def _s(count: int) -> str:
    return "" if count == 1 else "s"
