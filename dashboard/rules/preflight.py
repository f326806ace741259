"""Whether an endpoint's URL of today can be its handler behind the receiver: what one HEAD request says about it.

HEAD is no delivery: a handler may refuse it and take deliveries all the same. So a person can route anyway, except
where Redeliver would never call the URL.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto
from http import HTTPStatus

from dashboard.rules.causes import Cause

_NEVER_CALLED = frozenset({Cause.DENIED, Cause.ADDRESS, Cause.LOOP})
_NO_SUCH_PATH = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
ALLOW_LIST = "A handler that lets in OpenTrain's addresses only will refuse Redeliver's."
_FROM_CONSOLE = "The receiver did not answer, so this was checked from the console."
_NOT_PROVEN = "That does not prove that the receiver reaches the handler."


class Verdict(Enum):
    """FINE: it responds. DOUBTFUL: a person decides. NEVER: Redeliver does not call such a URL."""

    FINE = auto()
    DOUBTFUL = auto()
    NEVER = auto()


@dataclass(frozen=True, slots=True)
class Preflight:
    """What the check of a handler came to, in words.

    `is_from_receiver` says that a receiver made it. Otherwise it says nothing certain about deliveries: a receiver may
    be on another network.
    """

    verdict: Verdict
    words: str
    is_from_receiver: bool = False

    @property
    def is_fine(self) -> bool:
        return self.verdict is Verdict.FINE

    @property
    def is_proven(self) -> bool:
        """Whether it responds to the one that forwards deliveries."""
        return self.is_fine and self.is_from_receiver

    @property
    def asks(self) -> bool:
        """Whether a person must decide to route anyway."""
        return self.verdict is Verdict.DOUBTFUL

    @property
    def stops(self) -> bool:
        return self.verdict is Verdict.NEVER


def reached_words(*, status: int, latency_ms: int) -> str:
    """Say what the handler's response to HEAD proves, which is not that it takes deliveries."""
    words = f"The handler is reachable: it answered {status} in {latency_ms} ms to a request that is no delivery."
    proves = "That proves the address, not that it takes events."
    if status in _NO_SUCH_PATH:
        return f"{words} {status} can mean that the URL's path is wrong, so check it. {proves}"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"{words} {status} is a redirect, which deliveries do not follow, so check the URL. {proves}"
    return f"{words} {proves}"


def of_answer(*, status: int, latency_ms: int) -> Preflight:
    """Read the handler's response to HEAD."""
    if status == HTTPStatus.FORBIDDEN:
        return Preflight(Verdict.DOUBTFUL, f"The handler refused Redeliver (403 in {latency_ms} ms). {ALLOW_LIST}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
        words = (
            f"The handler returned {status} to HEAD in {latency_ms} ms. It may still take deliveries, which are POST."
        )
        return Preflight(Verdict.DOUBTFUL, words)
    return Preflight(Verdict.FINE, reached_words(status=status, latency_ms=latency_ms))


def of_failure(*, cause: str, words: str) -> Preflight:
    """Read why the handler gave no response."""
    if cause in _NEVER_CALLED:
        return Preflight(Verdict.NEVER, f"{words} Redeliver does not call such an address, so deliveries would fail.")
    return Preflight(Verdict.DOUBTFUL, f"{words} Deliveries through Redeliver would fail like this check. {ALLOW_LIST}")


def from_receiver(found: Preflight) -> Preflight:
    """Say that a receiver checked it."""
    return replace(found, words=f"{found.words} Checked from the receiver.", is_from_receiver=True)


def from_console(found: Preflight) -> Preflight:
    """Say that no receiver checked it, so that nobody takes it for more."""
    words = f"{found.words} {_FROM_CONSOLE}"
    return replace(found, words=f"{words} {_NOT_PROVEN}" if found.is_fine else words)
