"""One visit to OpenTrain for one install: what is asked, and what the answer means. No row is read or written here.

So it can be done by a thread that has no connection to the database.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.models import Install
from dashboard.models.installs import MANAGE_SCOPE
from dashboard.rules.installs import Trouble
from dashboard.services import opentrain
from dashboard.vault import Secret, Unreadable

DESCRIBE_EVERY = timedelta(hours=1)
"""How often an install's status and scopes are asked for where nothing is wrong."""

_TROUBLES: tuple[tuple[type[Exception], Trouble], ...] = (
    (Unreadable, Trouble.TOKEN_UNREADABLE),
    (opentrain.Unauthorized, Trouble.TOKEN_REFUSED),
    (opentrain.RateLimited, Trouble.RATE_LIMITED),
    (opentrain.Unavailable, Trouble.UNREACHABLE),
)


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What a visit brought. `endpoints` is None where there was no list; `current` where it was not asked for."""

    install: Install
    at: datetime
    endpoints: Sequence[opentrain.WebhookEndpoint] | None = None
    current: opentrain.Install | None = None
    error: opentrain.OpenTrainError | Unreadable | None = None

    @property
    def retry_after_s(self) -> int | None:
        return self.error.retry_after_s if isinstance(self.error, opentrain.RateLimited) else None

    @property
    def trouble(self) -> Trouble:
        """Name what is wrong, as narrowly as the answer allows."""
        if isinstance(self.error, opentrain.Forbidden):
            return _why_forbidden(self.current)
        if self.error is None:
            return Trouble.NONE
        return next((name for kind, name in _TROUBLES if isinstance(self.error, kind)), Trouble.BAD_ANSWER)


def visit(*, install: Install, at: datetime, read_token: Callable[[], Secret]) -> FetchResult:
    """Ask for the install's endpoints, and for its status and scopes where those are old or could be what is wrong."""
    try:
        token = read_token()
    except Unreadable as error:
        return FetchResult(install, at, error=error)
    current = None
    try:
        if _is_to_be_described(install, at=at):
            current = opentrain.get_install(token=token)
        scopes = install.token_scopes if current is None else current.token.scopes
        endpoints = opentrain.list_endpoints(token=token) if MANAGE_SCOPE in scopes else None
    except opentrain.Forbidden as error:
        return FetchResult(install, at, current=current or _described(token), error=error)
    except opentrain.OpenTrainError as error:
        return FetchResult(install, at, current=current, error=error)
    return FetchResult(install, at, endpoints=endpoints, current=current)


def _is_to_be_described(install: Install, *, at: datetime) -> bool:
    if not install.can_manage or install.status != "ACTIVE" or install.described_at is None:
        return True
    return at - install.described_at >= DESCRIBE_EVERY


def _described(token: Secret) -> opentrain.Install | None:
    """Ask what the token may do, where that is all that there is to find out."""
    with contextlib.suppress(opentrain.OpenTrainError):
        return opentrain.get_install(token=token)
    return None


def _why_forbidden(current: opentrain.Install | None) -> Trouble:
    """Say why a token that is valid may not list endpoints. Source: partner-api, "Who calls"."""
    if current is None or current.status != "ACTIVE":
        return Trouble.NOT_ACTIVE
    return Trouble.FORBIDDEN if MANAGE_SCOPE in current.token.scopes else Trouble.SCOPE_MISSING
