"""The demo's scenario: two customers and four endpoints, one of them with a handler that returns 503.

It writes nothing into the delivery log: it connects installs with their tokens and registers endpoints over HTTP, with
the same actions as the pages.
"""

import json
import secrets
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.alerts import channels
from dashboard.actions.handovers import opting
from dashboard.actions.installs import sync
from dashboard.actions.outcome import Outcome
from dashboard.launch.folder import read_private, write_private
from dashboard.launch.site import manage_partner_api
from dashboard.models import AlertChannel, Endpoint, Install, Role, User
from dashboard.models.endpoints import receiver_url
from dashboard.rules.alerts import KINDS
from dashboard.services import demo, opentrain
from dashboard.vault import Secret

USERNAME = "support"
CHANNEL = "The demo's own"


@dataclass(frozen=True, slots=True)
class Scene:
    """One endpoint of the scenario; `handler` is the name of its demo handler.

    `hands_over`: missing events may be sent to it. The demo has no partner admin who could allow that.
    """

    install: str
    handler: str
    event_types: tuple[str, ...]
    broken: bool = False
    hands_over: bool = False


SCENES = (
    Scene("Acme Labs", "acme-contracts", ("contract.started", "contract.ended", "install.revoked")),
    Scene(
        "Acme Labs",
        "acme-billing",
        ("milestone.funded", "contract.started", "contract.ended"),
        broken=True,
        hands_over=True,
    ),
    Scene("Beta Data", "beta-projects", ("project_link.created", "project_link.removed")),
    Scene("Beta Data", "beta-budgets", ("milestone.funded", "milestone.budget_low", "milestone.budget_depleted")),
)


def tell(*, folder: Path) -> None:
    """Create the scenario, or update its ports after a restart, and write the sign-in to demo.json.

    Raises: RuntimeError if the Partner API refuses a call.
    """
    stored = read_private(folder / "demo.json")
    told = stored or {"username": USERNAME, "password": secrets.token_urlsafe(12)}
    user = _user(password=str(told["password"]), is_new=stored is None)
    for scene in SCENES:
        install = _install(name=scene.install, user=user)
        there = Endpoint.objects.filter(install=install, handler_url__endswith=f"/{scene.handler}/webhooks")
        endpoints_of_scene = list(there.filter(deleted_at__isnull=True))  # two during a rotation
        if not endpoints_of_scene:
            _register(scene=scene, install=install, user=user)
        for endpoint in endpoints_of_scene:
            _move(endpoint=endpoint, handler=scene.handler)
    _tell_of_alerts(user=user)
    told["installs"] = list(Install.objects.order_by("id").values_list("opentrain_id", flat=True))
    write_private(folder / "demo.json", told)


def _user(*, password: str, is_new: bool) -> User:
    """Return the demo's user. A new password, also after demo.json was lost, becomes theirs."""
    user, made = User.objects.update_or_create(username=USERNAME, defaults={"role": Role.SUPPORT_LEAD})
    if made or is_new:
        user.set_password(password)
        user.save()
    return user


def _install(*, name: str, user: User) -> Install:
    known = Install.objects.filter(name=name).first()
    if known is not None:
        return known
    token = Secret(json.loads(_partner_api("create_install", "--organization", name))["token"])
    outcome, install = sync.connect(actor=user, token=token, name=name, now=timezone.now(), operation=uuid.uuid4())
    return install or _fail(outcome)


def _partner_api(*arguments: str) -> str:
    """Run a management command of the Partner API and return its output."""
    return subprocess.run(manage_partner_api(*arguments), check=True, capture_output=True, text=True).stdout


def _register(*, scene: Scene, install: Install, user: User) -> None:
    handler_url = _handler_url(scene.handler)
    outcome, endpoint, _secret = endpoints.register(
        actor=user,
        install=install,
        url="",
        handler_url=handler_url,
        through_redeliver=True,
        event_types=list(scene.event_types),
        clock=timezone.now,
        operation=uuid.uuid4(),
    )
    if endpoint is None:
        _fail(outcome)
    elif scene.hands_over:
        opting.allow(actor=user, endpoint=endpoint, operation=uuid.uuid4())
    demo.set_broken(handler_url=handler_url, broken=scene.broken)


def _move(*, endpoint: Endpoint, handler: str) -> None:
    """Update the endpoint to this start's ports: the receiver's, also at OpenTrain, and the handler's."""
    url = receiver_url(receiver_key=str(endpoint.receiver_key))
    if endpoint.url != url and endpoint.opentrain_id is not None:
        remote = opentrain.update_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id, url=url)
        endpoint.url = remote.url
    endpoint.handler_url = _handler_url(handler)
    endpoint.save(update_fields=["url", "handler_url"])


def _tell_of_alerts(*, user: User) -> None:
    """Send alerts to the demo's own server, which accepts and discards them."""
    url = Secret(_handler_url("alerts"))
    channel = AlertChannel.objects.filter(name=CHANNEL).first()
    if channel is not None:
        channel.url, channel.shown_as = url, channels.shown(url)
        channel.save()
        return
    kinds = tuple(kind.value for kind in KINDS)
    details = channels.ChannelDetails(
        name=CHANNEL, way=AlertChannel.Way.WEBHOOK, install=None, kinds=kinds, url=url, time_zone="UTC"
    )
    channels.create(actor=user, details=details, now=timezone.now(), operation=uuid.uuid4())


def _handler_url(name: str) -> str:
    return f"{settings.DEMO_HANDLER_URL}/{name}/webhooks"


def _fail(outcome: Outcome) -> Install:
    raise RuntimeError(f"The demo could not be set up: {outcome.words} {outcome.quoted}")
