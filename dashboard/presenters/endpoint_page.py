"""The top of an endpoint's page: its state in words, and its controls."""

from dataclasses import dataclass

from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.models import Endpoint, User
from dashboard.presenters import controls
from dashboard.presenters.controls import MAIN, Control, Link
from dashboard.presenters.rows import EndpointRow
from dashboard.presenters.runs import RunRow
from dashboard.rules.endpoints import HealthKind


@dataclass(frozen=True, slots=True)
class Head:
    """The top of the page.

    `primary` is the one button that is always shown; `more` are those at the top of the menu, and `help` stands below
    them. `asks`: the page says whom to ask for a repair.
    """

    going_on: str
    told: str
    """How many of OpenTrain's failures are missing from the log, in words; empty if none is."""
    primary: Control | None = None
    more: tuple[Control, ...] = ()
    has_menu: bool = False
    asks: bool = False
    help: str = ""
    gone: str = ""
    """Why it is not at OpenTrain; empty if it is, as far as is known."""


@dataclass(frozen=True, slots=True)
class Empty:
    """Why there is no delivery. `can_try`: the page suggests to test whether the receiver is reachable."""

    words: str
    can_try: bool


def head(
    *,
    row: EndpointRow,
    run: RunRow | None,
    silence_words: str,
    told: str,
    user: User,
    lags: bool = False,
    retries: bool = False,
) -> Head:
    """Decide what the top of the page shows to this user. `run` is the newest run if it is still shown.

    `retries`: the page counts deliveries that are retried. `lags`: OpenTrain's list does not show the last change yet.
    """
    endpoint = row.endpoint
    if endpoint.deleted_at:
        return Head("", "", None if may(user, Permission.OPERATE) else _doctor(endpoint), gone=_gone(endpoint))
    if endpoint.install.is_disconnected:
        return Head("", "", _reconnects(endpoint, user=user))
    going_on = _going_on(row, silence_words)
    if lags:
        going_on = f"{going_on} OpenTrain confirmed the last change, but its list does not show it yet.".strip()
    if not may(user, Permission.OPERATE):
        return Head(going_on, told, _doctor(endpoint), asks=row.ill)
    if not endpoint.opentrain_id:
        return Head(going_on, told)
    is_running = run is not None and run.run.is_active
    found = _controls(row, is_running=is_running, user=user)
    return Head(
        going_on,
        told,
        next((one for one in found if one.look == MAIN), None),
        tuple(one for one in found if one.look != MAIN),
        has_menu=True,
        help=_help(row, is_running=is_running, retries=retries),
    )


def path_words(endpoint: Endpoint) -> str:
    """Return how deliveries reach the handler, in a few words."""
    if endpoint.is_received:
        return "through Redeliver"
    return "direct, reported by the handler" if endpoint.is_observed else "direct"


def no_deliveries(row: EndpointRow, *, is_first_page: bool) -> Empty | None:
    """Return why a received endpoint shows no delivery; None for an endpoint that is not received."""
    if not row.endpoint.is_received:
        return None
    if not is_first_page:
        return Empty("No older deliveries.", can_try=False)
    if row.endpoint.deleted_at:
        return Empty("No delivery has arrived.", can_try=False)
    if row.stopped:
        return Empty("No delivery has arrived yet, and none will until the endpoint is re-enabled.", can_try=True)
    words = (
        "No deliveries yet. OpenTrain sends one when an event of the types above happens. There is no test "
        "event. Deliveries appear here within seconds."
    )
    return Empty(words, can_try=True)


def _going_on(row: EndpointRow, silence_words: str) -> str:
    """Return the state in one or two sentences. For a silent endpoint, "no failures" would be misleading."""
    if silence_words and row.health.kind is HealthKind.ACTIVE:
        return silence_words
    return f"{row.health.words} {silence_words}".strip()


def _gone(endpoint: Endpoint) -> str:
    if endpoint.opentrain_id is None:
        return "OpenTrain answered its registration with the ID of another endpoint, so its outcome is unknown"
    return "OpenTrain no longer has this endpoint: it was deleted"


def _controls(row: EndpointRow, *, is_running: bool, user: User) -> tuple[Control, ...]:
    """Return the buttons. The primary one, if any, is a new token, else a recovery, else Re-enable."""
    endpoint = row.endpoint
    needs_token = endpoint.install.new_token_helps
    found: list[Control] = []
    if needs_token and may(user, Permission.MANAGE_INSTALLS):
        found.append(controls.replace_token(endpoint.install_id))
    if row.ill and not is_running:
        found.append(controls.recover(endpoint.pk, look="" if needs_token else MAIN))
    if row.stopped:
        is_first = not row.ill and not needs_token
        found.append(controls.enable(endpoint.pk, row.enable_operation).first(is_first))
    found.append(controls.redeliver_failed(endpoint.pk, row.redeliver_operation, failed=row.failed))
    if row.failed and not is_running and not row.stopped:
        found.append(controls.preview_failed(endpoint.pk))
    return tuple(found)


def _reconnects(endpoint: Endpoint, *, user: User) -> Control | None:
    return controls.connect_again(endpoint.install_id) if may(user, Permission.MANAGE_INSTALLS) else None


def _doctor(endpoint: Endpoint) -> Link:
    return Link("Signature doctor", reverse("endpoint-doctor", args=[endpoint.pk]), icon="search")


def _help(row: EndpointRow, *, is_running: bool, retries: bool) -> str:
    if not row.failed:
        return _nothing_failed(row, retries=retries)
    if is_running or not row.stopped:
        return ""
    return "To repair it manually, re-enable, then redeliver: deliveries are stopped until then."


def _nothing_failed(row: EndpointRow, *, retries: bool) -> str:
    endpoint = row.endpoint
    if retries:
        waits = "waits until the endpoint is re-enabled" if row.stopped else "is retried automatically"
        return f"What has not been delivered {waits}. OpenTrain may have others that failed."
    if endpoint.is_logged:
        return "None failed here; OpenTrain may have others."
    if endpoint.reaches_receiver:
        return "Redeliver refuses this endpoint's deliveries; OpenTrain knows which failed."
    return "Redeliver does not see this endpoint's deliveries; OpenTrain knows which failed."
