"""Fetches one install's state from OpenTrain, and interprets the response.

It reads and writes no rows, so a thread without a database connection can run it.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.models import Install
from dashboard.models.installs import MANAGE_SCOPE
from dashboard.rules.installs import Trouble, UnreadEntry
from dashboard.services import opentrain
from dashboard.vault import Secret, Unreadable

DESCRIBE_EVERY = timedelta(hours=1)
"""Interval for refreshing an install's status and scopes while nothing is wrong."""

_TROUBLES: tuple[tuple[type[Exception], Trouble], ...] = (
    (Unreadable, Trouble.TOKEN_UNREADABLE),
    (opentrain.Unauthorized, Trouble.TOKEN_REFUSED),
    (opentrain.RateLimited, Trouble.RATE_LIMITED),
    (opentrain.Unavailable, Trouble.UNREACHABLE),
)


@dataclass(frozen=True, slots=True)
class FetchResult:
    """The result of a fetch. `endpoints` is None without a list; `current` is None if it was not requested."""

    install: Install
    at: datetime
    endpoints: Sequence[opentrain.WebhookEndpoint | UnreadEntry] | None = None
    current: opentrain.Install | None = None
    error: opentrain.OpenTrainError | Unreadable | None = None

    @property
    def retry_after_s(self) -> int | None:
        return self.error.retry_after_s if isinstance(self.error, opentrain.RateLimited) else None

    @property
    def trouble(self) -> Trouble:
        """Return the problem, as precisely as the response allows."""
        if isinstance(self.error, opentrain.Forbidden):
            return _why_forbidden(self.current)
        if self.error is None:
            return Trouble.NONE
        return next((name for kind, name in _TROUBLES if isinstance(self.error, kind)), Trouble.BAD_ANSWER)


def visit(*, install: Install, at: datetime, read_token: Callable[[], Secret]) -> FetchResult:
    """Fetch the install's endpoints, and its status and scopes if they are old or may be the problem."""
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
    """Fetch the install to learn its status and scopes after a 403; None if that fails too."""
    with contextlib.suppress(opentrain.OpenTrainError):
        return opentrain.get_install(token=token)
    return None


def _why_forbidden(current: opentrain.Install | None) -> Trouble:
    """Return why a valid token may not list endpoints. Source: partner-api, "Who calls"."""
    if current is None or current.status != "ACTIVE":
        return Trouble.NOT_ACTIVE
    return Trouble.FORBIDDEN if MANAGE_SCOPE in current.token.scopes else Trouble.SCOPE_MISSING
