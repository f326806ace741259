"""How an endpoint stands on its way behind the receiver, in steps, and the rows of an install's form."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.forms import BoundField
from django.urls import reverse

from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.auth.permissions import Permission, may
from dashboard.forms.routes import RouteInstallForm
from dashboard.models import Delivery, Endpoint, User
from dashboard.presenters.controls import MAIN, Link
from dashboard.signatures import Verdict

TOLD_FOR = timedelta(days=1)
"""How long after an endpoint was routed its page says that the first delivery has verified."""
_NOT_OURS = {Verdict.MISSING.value, Verdict.MALFORMED.value, Verdict.DOUBLED.value}


@dataclass(frozen=True, slots=True)
class Step:
    """A step on the way: its words, and whether it is done."""

    words: str
    done: bool


@dataclass(frozen=True, slots=True)
class Way:
    """The steps from the change of the URL to the first delivery that verified.

    `trouble` says what is wrong. `asks`: this user cannot repair it, so the page says whom to ask.
    """

    steps: tuple[Step, ...]
    trouble: str = ""
    controls: tuple[Link, ...] = ()
    asks: bool = False

    @property
    def is_done(self) -> bool:
        return all(step.done for step in self.steps)


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one endpoint of an install's form."""

    endpoint: Endpoint
    outcome: Outcome | None
    words: str

    @property
    def has_request_id(self) -> bool:
        """Whether to show OpenTrain's request ID below the words."""
        return self.outcome is not None and bool(self.outcome.request_id) and not self.outcome.says_request_id


def summary_words(lines: Sequence[Line]) -> str:
    """Say how many of the endpoints of an install's form are routed, and of how many it is unknown."""
    kinds = [line.outcome.kind for line in lines if line.outcome is not None]
    routed = sum(kind is OutcomeKind.DONE for kind in kinds)
    unknown = sum(kind is OutcomeKind.UNKNOWN for kind in kinds)
    words = f"{routed} of {len(lines)} endpoints routed" if len(lines) > 1 else f"{routed} of 1 endpoint routed"
    return f"{words}, {unknown} with an unknown outcome." if unknown else f"{words}."


@dataclass(frozen=True, slots=True)
class FormRow:
    """An endpoint in an install's form, with its fields."""

    endpoint: Endpoint
    route: BoundField
    secret: BoundField
    operation: BoundField
    knows_secret: bool


def form_rows(form: RouteInstallForm) -> list[FormRow]:
    return [
        FormRow(
            one,
            form[f"route_{one.pk}"],
            form[f"secret_{one.pk}"],
            form[f"operation_{one.pk}"],
            one.pk in form.knowing,
        )
        for one in form.endpoints
    ]


def route_link(endpoint: Endpoint, *, look: str = MAIN) -> Link:
    return Link("Route through Redeliver…", reverse("endpoint-route", args=[endpoint.pk]), icon="send", look=look)


def route_all_link(install_pk: int) -> Link:
    return Link("Route through Redeliver…", reverse("install-route", args=[install_pk]), icon="send", look=MAIN)


def unseen_words(*, count: int, total: int) -> str:
    """Say how many of an install's endpoints are not seen here; empty if all are."""
    if not count:
        return ""
    if total == 1:
        return "1 endpoint, not seen here: OpenTrain delivers to it directly."
    if count == total:
        return f"{count:,} endpoints, none seen here: OpenTrain delivers to them directly."
    return (
        f"{count:,} of {total:,} endpoints {'is' if count == 1 else 'are'} not seen here: OpenTrain delivers directly."
    )


def way_of(endpoint: Endpoint, *, newest: Sequence[Delivery], now: datetime, user: User) -> Way | None:
    """Return the steps of an endpoint that was routed lately or still waits; None for any other.

    `newest` are its newest deliveries since it was routed, newest first.
    """
    routed_at = endpoint.routed_at
    if not endpoint.is_received or routed_at is None or endpoint.deleted_at is not None:
        return None
    if endpoint.proof == Endpoint.Proof.NONE:
        return None
    is_proven = endpoint.proof == Endpoint.Proof.PROVEN
    if is_proven and now - routed_at > TOLD_FOR:
        return None
    has_verified = any(one.last_signature == Verdict.VERIFIED for one in newest)
    steps = (
        Step("OpenTrain delivers to Redeliver.", done=True),
        Step("A delivery arrived." if newest else "Waiting for the first delivery.", done=bool(newest)),
        Step(_fits(is_proven=is_proven, has_verified=has_verified), done=is_proven or has_verified),
    )
    trouble = "" if is_proven or has_verified else _trouble(newest)
    if trouble and not may(user, Permission.MANAGE_ENDPOINTS):
        return Way(steps, trouble=trouble, asks=True)
    return Way(steps, trouble=trouble, controls=_repairs(endpoint, newest[0]) if trouble else ())


def _repairs(endpoint: Endpoint, newest: Delivery) -> tuple[Link, ...]:
    examined = f"{reverse('endpoint-doctor', args=[endpoint.pk])}?{urlencode({'delivery': newest.pk})}"
    doctor = Link("Signature doctor", examined, icon="search")
    return Link("Enter signing secret…", reverse("endpoint-secret", args=[endpoint.pk]), icon="key", look=MAIN), doctor


def _fits(*, is_proven: bool, has_verified: bool) -> str:
    if has_verified:
        return "The signing secret is right: a delivery verified."
    return "The signing secret is known from before." if is_proven else "The signing secret is not proven yet."


def _trouble(newest: Sequence[Delivery]) -> str:
    """Say what is wrong if deliveries arrived and none verified."""
    if not newest:
        return ""
    verdicts = {one.last_signature for one in newest}
    passed = "Each delivery is passed on to the handler, and marked as not verified."
    if verdicts <= _NOT_OURS:
        return f"What arrives is not signed as OpenTrain signs, so it may be from someone else. {passed}"
    if Verdict.OTHER_ENDPOINT.value in verdicts:
        return f"The signing secret is another endpoint's of this install. {passed} Enter the right one."
    if Verdict.MISMATCH.value in verdicts:
        return f"The signing secret does not fit what arrives. {passed} Check the secret and enter it again."
    return f"The signatures' times do not fit Redeliver's clock. {passed}"
