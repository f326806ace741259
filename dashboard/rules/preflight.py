"""Whether an endpoint's URL of today can be its handler behind the receiver: what one HEAD request says about it.

HEAD is no delivery: a handler may refuse it and take deliveries all the same. So a person can route anyway, except
where Redeliver would never call the URL.
"""

from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus

from dashboard.rules.causes import Cause

_NEVER_CALLED = frozenset({Cause.DENIED, Cause.ADDRESS, Cause.LOOP})
ALLOW_LIST = "A handler that lets in OpenTrain's addresses only will refuse Redeliver's."


class Verdict(Enum):
    """FINE: it responds. DOUBTFUL: a person decides. NEVER: Redeliver does not call such a URL."""

    FINE = auto()
    DOUBTFUL = auto()
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the check of a handler came to, in words."""

    verdict: Verdict
    words: str

    @property
    def is_fine(self) -> bool:
        return self.verdict is Verdict.FINE

    @property
    def asks(self) -> bool:
        """Whether a person must decide to route anyway."""
        return self.verdict is Verdict.DOUBTFUL

    @property
    def stops(self) -> bool:
        return self.verdict is Verdict.NEVER


def of_answer(*, status: int, latency_ms: int) -> Preflight:
    """Read the handler's response to HEAD."""
    if status == HTTPStatus.FORBIDDEN:
        return Preflight(Verdict.DOUBTFUL, f"The handler refused Redeliver (403 in {latency_ms} ms). {ALLOW_LIST}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
        words = (
            f"The handler returned {status} to HEAD in {latency_ms} ms. It may still take deliveries, which are POST."
        )
        return Preflight(Verdict.DOUBTFUL, words)
    return Preflight(Verdict.FINE, f"The handler responds to Redeliver ({status} in {latency_ms} ms).")


def of_failure(*, cause: Cause, words: str) -> Preflight:
    """Read why the handler gave no response."""
    if cause in _NEVER_CALLED:
        return Preflight(Verdict.NEVER, f"{words} Redeliver does not call such an address, so deliveries would fail.")
    return Preflight(Verdict.DOUBTFUL, f"{words} Deliveries through Redeliver would fail like this check. {ALLOW_LIST}")
