"""Where OpenTrain delivers an endpoint to, what is wrong about it, and what to do."""

from dataclasses import dataclass, replace

from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.models import Endpoint, User
from dashboard.models.endpoints import receiver_url
from dashboard.presenters import controls
from dashboard.presenters.controls import MAIN, Control, Link
from dashboard.presenters.operations import operation_id
from dashboard.presenters.routes import route_link
from dashboard.rules.receiver_urls import Source

_INTENDED = frozenset({Source.WAITING, Source.UNVERIFIED, Source.ROUTING, Source.BYPASSED})
"""Where deliveries go because someone in Redeliver decided it."""
_RECEIVED = {
    Endpoint.Proof.PROVEN: "received through Redeliver",
    Endpoint.Proof.WAITING: "received through Redeliver: no delivery has proven its signing secret yet",
    Endpoint.Proof.NONE: "received through Redeliver, unverified: its signing secret is missing",
}
_ROTATES = "A rotation creates a new endpoint with an address of its own, and then deletes this one."


@dataclass(frozen=True, slots=True)
class Notice:
    """What is wrong about an endpoint's address, with the controls that repair it.

    `asks`: this user has none of them, so the page says whom to ask.
    """

    words: str
    tone: str
    controls: tuple[Control, ...] = ()
    asks: bool = False


@dataclass(frozen=True, slots=True)
class DeliverySource:
    """Where deliveries go. `no_log` says why there is no log, `remark` what else to know of it; empty if nothing."""

    source: Source
    no_log: str
    remark: str
    notice: Notice | None = None

    @property
    def is_explained_above(self) -> bool:
        """Whether the notice at the top of the page says why there is no log."""
        return bool(self.no_log) and self.notice is not None


def source_of(endpoint: Endpoint, *, owner: Endpoint | None, lacks_secret: bool) -> Source:
    """Return where the endpoint's deliveries go.

    `owner` is the endpoint of the install whose receiver address it uses, if it is not its own.
    """
    if endpoint.receiver_key is not None and not endpoint.is_received:
        return _left(endpoint)
    if endpoint.is_received:
        return _received(endpoint, lacks_secret=lacks_secret and endpoint.opentrain_id is not None)
    if endpoint.claimed_key:
        if owner is None:
            return Source.STRANGE
        return Source.REMADE if owner.deleted_at is not None else Source.TAKEN
    return Source.OBSERVED if endpoint.is_observed else Source.DIRECT


def _left(endpoint: Endpoint) -> Source:
    """Return where deliveries go of an endpoint that has a receiver key and is not received."""
    if endpoint.is_routing:
        return Source.ROUTING
    return Source.BYPASSED if endpoint.is_bypassed else Source.MOVED


def _received(endpoint: Endpoint, *, lacks_secret: bool) -> Source:
    if lacks_secret:
        return Source.UNVERIFIED if endpoint.proof == Endpoint.Proof.NONE else Source.NO_SECRET
    return Source.WAITING if endpoint.proof == Endpoint.Proof.WAITING else Source.RECEIVER


def delivery_source(
    endpoint: Endpoint, *, owner: Endpoint | None, lacks_secret: bool, never_verified: bool, user: User
) -> DeliverySource:
    """Return where the endpoint's deliveries go, for its page. `never_verified`: the receiver only refused requests."""
    source = source_of(endpoint, owner=owner, lacks_secret=lacks_secret)
    # An endpoint without a receiver key that has a secret has handed its key over, after it was deleted.
    kept = endpoint.deleted_at is not None and source is Source.DIRECT and not lacks_secret
    no_log = "kept from before the endpoint was deleted" if kept else _no_log(source)
    found = DeliverySource(source, no_log, _remark(endpoint, source))
    if endpoint.deleted_at is not None or endpoint.opentrain_id is None:
        return found
    if source is Source.RECEIVER and never_verified:
        return replace(found, notice=_never_verified(endpoint, user))
    if source in {Source.DIRECT, Source.OBSERVED} and endpoint.url_changed_at is not None:
        keep = _keep(endpoint, user)
        return replace(found, notice=Notice(_changed_words(endpoint), "tone-warn", keep, asks=not keep))
    words = _words(endpoint, source, owner)
    if not words:
        return found
    is_intended = source is Source.MOVED and not endpoint.reaches_receiver  # it may be
    is_intended = is_intended or source in _INTENDED
    tone = "tone-info" if source is Source.BYPASSED else "tone-warn" if is_intended else "tone-bad"
    asks = tone != "tone-info" and not may(user, Permission.MANAGE_ENDPOINTS)
    keep = _keep(endpoint, user) if source is Source.MOVED and is_intended else ()
    controls = (*_controls(endpoint, source, owner, user), *keep)
    return replace(found, notice=Notice(words, tone, controls, asks))


def path_words(endpoint: Endpoint) -> str:
    """Return the path of an endpoint's deliveries, for a list."""
    if endpoint.is_received:
        return _RECEIVED[Endpoint.Proof(endpoint.proof)]
    if endpoint.is_routing:
        return "directly to its own URL; whether OpenTrain routes it through Redeliver is unknown"
    if endpoint.is_bypassed:
        return "directly to its handler: Redeliver was taken out of the path"
    if endpoint.is_moved:
        where = "to a wrong address of the receiver, which refuses its deliveries"
        return f"moved outside Redeliver: {where if endpoint.reaches_receiver else 'directly to its own URL'}"
    if endpoint.claimed_key:
        return "set up outside Redeliver at an address of the receiver, which refuses its deliveries"
    return "reported by its handler" if endpoint.is_observed else "directly to its own URL"


def outside_words(endpoint: Endpoint) -> str:
    """Say what a change outside Redeliver did to the endpoint's deliveries, for the inbox; empty if nothing."""
    if endpoint.is_moved:
        begins = f"Its URL was changed outside Redeliver: OpenTrain delivers to {endpoint.shown_url}"
        if endpoint.reaches_receiver:
            return f"{begins}, which is not its address of the receiver, so its deliveries are refused."
        return f"{begins}, and not to the receiver."
    if endpoint.claimed_key:
        return "It was set up outside Redeliver at an address of the receiver, which refuses its deliveries (401)."
    return ""


def _no_log(source: Source) -> str:
    if source is Source.MOVED:
        return "ended: OpenTrain delivers to another URL"
    if source is Source.BYPASSED:
        return "ended: OpenTrain delivers to the handler itself"
    if source is Source.ROUTING:
        return "not yet: whether OpenTrain routes it through Redeliver is unknown"
    if source in {Source.REMADE, Source.TAKEN, Source.STRANGE, Source.NO_SECRET}:
        return "unavailable: Redeliver refuses this endpoint's deliveries"
    return ""


def _remark(endpoint: Endpoint, source: Source) -> str:
    ours = receiver_url(receiver_key=str(endpoint.receiver_key)).rstrip("/")
    if source is Source.RECEIVER and endpoint.url.rstrip("/") != ours:
        return "The receiver has another address now. Deliveries arrive while the one above leads here."
    return ""


def _words(endpoint: Endpoint, source: Source, owner: Endpoint | None) -> str:
    if source is Source.MOVED or source in _INTENDED:
        return _path_words(endpoint, source)
    if source is Source.REMADE:
        return (
            "This endpoint was created outside Redeliver at the receiver address of an endpoint that was deleted. "
            "Redeliver does not know its signing secret, so it refuses the deliveries (401). Enter the secret that "
            f"OpenTrain showed when the endpoint was created. If the secret is lost, rotate it. {_ROTATES}"
        )
    if source is Source.TAKEN:
        name = owner.title if owner is not None else ""
        return (
            f"OpenTrain delivers this endpoint to the receiver address of another endpoint, {name}. Redeliver verifies "
            "what arrives there with the other endpoint's secret, so it refuses these deliveries (401). Edit the URL, "
            f"or rotate the secret. {_ROTATES}"
        )
    if source is Source.STRANGE:
        return (
            "OpenTrain delivers this endpoint to a receiver address that belongs to no endpoint of this install, so "
            f"Redeliver does not accept the deliveries. Edit the URL, or rotate the secret. {_ROTATES}"
        )
    if source is Source.NO_SECRET:
        return (
            "OpenTrain registered this endpoint, but its answer with the signing secret did not arrive. Redeliver "
            f"can't verify the deliveries, so it refuses them (503). Rotate the secret. {_ROTATES}"
        )
    return ""


def _path_words(endpoint: Endpoint, source: Source) -> str:
    """Say how an endpoint stands that was routed, taken out of the path or moved; empty if another part says it."""
    if source is Source.MOVED:
        return _moved_words(endpoint)
    if source is Source.UNVERIFIED:
        return (
            "This endpoint was routed through Redeliver without its signing secret. Redeliver passes deliveries on "
            "unverified, and marks them so. Enter the secret, and the next delivery shows whether it is right."
        )
    if source is Source.ROUTING:
        return (
            "OpenTrain was asked to route this endpoint through Redeliver, and its answer was lost. It still shows the "
            f"URL of before, {endpoint.shown_url}. If it carries the request out, this page shows it. If it does not "
            "within a minute, route it again."
        )
    if source is Source.BYPASSED:
        return (
            f"Redeliver was taken out of this endpoint's path: OpenTrain delivers to {endpoint.shown_url} itself. "
            "Earlier deliveries stay in the log below."
        )
    return ""


def _changed_words(endpoint: Endpoint) -> str:
    return (
        f"This endpoint's URL was changed outside Redeliver: OpenTrain delivers to {endpoint.shown_url} now, and "
        f"delivered to {endpoint.url_before} before. The signing secret has stayed the same. {_INTENDED_WORDS} "
        "Otherwise, edit it, and find out who changed it."
    )


_INTENDED_WORDS = "If this is intended, keep the URL: that ends the alert."


def _moved_words(endpoint: Endpoint) -> str:
    handler = f" {endpoint.shown_handler_url} gets nothing through Redeliver." if endpoint.handler_url else ""
    where = endpoint.shown_url
    begins = f"This endpoint's URL was changed outside Redeliver. OpenTrain delivers to {where}, and Redeliver"
    if endpoint.reaches_receiver:
        return (
            f"{begins} refuses these deliveries: this address of the receiver is not this endpoint's.{handler} "
            "Have OpenTrain deliver to its own address again. The signing secret has stayed the same."
        )
    intended = _INTENDED_WORDS if endpoint.url_changed_at else "If this is intended, there is nothing to do."
    return (
        f"{begins} does not see these deliveries.{handler} {intended} "
        "Otherwise, have OpenTrain deliver to Redeliver's receiver again. The signing secret has stayed the same."
    )


def _never_verified(endpoint: Endpoint, user: User) -> Notice:
    words = (
        "Requests arrived, and none has passed the signature check yet. If someone entered the signing secret by hand, "
        "check it and enter it again."
    )
    if not may(user, Permission.MANAGE_ENDPOINTS):
        return Notice(words, "tone-warn", asks=True)
    return Notice(words, "tone-warn", (_enter(endpoint),))


def _controls(endpoint: Endpoint, source: Source, owner: Endpoint | None, user: User) -> tuple[Control, ...]:
    if not may(user, Permission.MANAGE_ENDPOINTS):
        return ()
    rotate = Link("Rotate secret…", reverse("rotation-detail", args=[endpoint.pk]), icon="key")
    edit = Link("Edit", reverse("endpoint-edit", args=[endpoint.pk]), icon="tool")
    if source in _INTENDED:
        return (_enter(endpoint) if source is Source.UNVERIFIED else route_link(endpoint, look=""),)
    if source is Source.MOVED:
        return controls.point_back(endpoint.pk), edit
    if source is Source.REMADE:
        return _enter(endpoint), rotate
    if source is Source.TAKEN and owner is not None:
        return controls.open_endpoint(owner.pk, label="Open the other endpoint"), edit, rotate
    return (edit, rotate) if source is Source.STRANGE else (rotate,)


def _keep(endpoint: Endpoint, user: User) -> tuple[Control, ...]:
    """Return the button that keeps a URL that was changed outside Redeliver, while nobody has done so."""
    at = endpoint.url_changed_at
    if at is None or not may(user, Permission.MANAGE_ENDPOINTS):
        return ()
    subject = f"{endpoint.pk}/{at.isoformat()}"
    operation = operation_id(user_id=user.pk, action="keep URL", subject=subject, last_answer=0)
    return (controls.keep_url(endpoint.pk, changed_at=at, operation=operation),)


def _enter(endpoint: Endpoint) -> Link:
    return Link("Enter signing secret…", reverse("endpoint-secret", args=[endpoint.pk]), icon="key", look=MAIN)
