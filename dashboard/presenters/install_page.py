"""Controls of an install's page: at its top, and beside each endpoint."""

from dataclasses import dataclass, replace

from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.models import Install, User
from dashboard.presenters import controls
from dashboard.presenters.controls import MAIN, Control, Link
from dashboard.presenters.rows import EndpointRow

BESIDE = "next [data-answer]"
"""Where a row shows the result of its button."""


@dataclass(frozen=True, slots=True)
class HelpedRow:
    """An endpoint of the install, its primary control, and the path of its deliveries in words."""

    row: EndpointRow
    control: Control
    path: str
    failed: str
    """Number of known failed deliveries, in words; empty if Redeliver does not see the endpoint's deliveries."""


def actions(install: Install, *, user: User) -> tuple[Control, ...]:
    """Return the controls of the install; replacing the token comes first if that solves its problem."""
    found: list[Control] = []
    replaces = may(user, Permission.MANAGE_INSTALLS)
    if replaces and install.new_token_helps:
        found.append(controls.replace_token(install.pk))
    if may(user, Permission.MANAGE_ENDPOINTS) and install.can_manage:
        found.append(register(install, is_first=not install.needs_person))
    if replaces and not install.new_token_helps:
        found.append(controls.replace_token(install.pk, look=""))
    if may(user, Permission.MANAGE_CHANNELS):
        url = f"{reverse('alert-channel-create')}?install={install.pk}"
        found.append(Link("Send its alerts…", url, icon="alert-circle"))
    found.append(Link("Activity", f"{reverse('activity')}?install={install.pk}", icon="clock"))
    return tuple(found)


def register(install: Install, *, is_first: bool = True) -> Link:
    url = reverse("endpoint-create", args=[install.pk])
    return Link("Register an endpoint", url, icon="plus", look=MAIN if is_first else "")


def helped(row: EndpointRow, *, install: Install, user: User) -> HelpedRow:
    return HelpedRow(row, _helps(row, install, user), _path(row), _failed(row))


def _helps(row: EndpointRow, install: Install, user: User) -> Control:
    pk = row.endpoint.pk
    if install.new_token_helps or not may(user, Permission.OPERATE):
        return controls.open_endpoint(pk)
    if row.recoverable:
        return controls.recover(pk)
    if row.stopped:
        return replace(controls.enable(pk, row.enable_operation, target=BESIDE), look=MAIN)
    if row.failed:
        return replace(controls.redeliver_failed(pk, row.redeliver_operation, target=BESIDE), look=MAIN)
    return controls.open_endpoint(pk)


def _path(row: EndpointRow) -> str:
    if row.endpoint.is_received:
        return "received through Redeliver"
    return "reported by its handler" if row.endpoint.is_observed else "directly to its own URL"


def _failed(row: EndpointRow) -> str:
    if not row.endpoint.is_logged:
        return ""
    return str(row.failed) if row.failed else "none"
