"""Why an attempt failed, in words, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from dashboard.rules.schedule import HANDLER_DEADLINE, OPENTRAIN_WAITS


class Cause(StrEnum):
    """Why an attempt failed, or why any HTTP exchange brought no answer. Stored: a value is never renamed."""

    NONE = ""
    STATUS = "status"
    """The handler answered, and not with a 2xx."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"
    """Unreachable, reset, or closed without a word."""
    GARBLED = "garbled"
    """What came is not HTTP."""
    CUT_OFF = "cut_off"
    """The body ended before its announced end."""
    TOO_LARGE = "too_large"
    ADDRESS = "address"
    """The URL is not one that can be called: not http(s), no host, or with a user name in it."""
    DENIED = "denied"
    """The address is not a public one, and only public ones were allowed."""
    BUSY = "busy"
    """The handler was not called, because too many calls were waiting for handlers already."""


@dataclass(frozen=True, slots=True)
class _Words:
    """A cause in words: for any server, for a partner's handler, and what to do about it where that is known."""

    any_server: str
    handler: str
    advice: str = ""


_WITHIN = f"{HANDLER_DEADLINE.total_seconds():g} s"
_WAITS = f"{OPENTRAIN_WAITS.total_seconds():g} s"
_WORDS = {
    Cause.TIMEOUT: _Words(
        any_server="no answer in time",
        handler=f"no answer from your handler within {_WITHIN}",
        advice=f"Answer first and work afterwards: OpenTrain waits {_WAITS} and no longer.",
    ),
    Cause.REFUSED: _Words(
        any_server="the connection was refused",
        handler="connection refused by your handler",
        advice="Nothing listens at the handler's address: see whether it runs.",
    ),
    Cause.DNS: _Words(
        any_server="the host's name could not be found",
        handler="your handler's name was not found (DNS)",
        advice="Check the host name in the handler's address, and its DNS entry.",
    ),
    Cause.TLS: _Words(
        any_server="no secure connection could be made",
        handler="TLS failed: no secure connection to your handler",
        advice="Check the handler's certificate: its name, its dates and its chain.",
    ),
    Cause.CONNECTION: _Words(
        any_server="the connection broke",
        handler="the connection to your handler broke",
        advice="See what closes connections in front of the handler: a proxy, a restart, a firewall.",
    ),
    Cause.GARBLED: _Words(
        any_server="what came back is not HTTP",
        handler="your handler's answer was not HTTP",
        advice="See what else listens at the handler's address: it does not speak HTTP.",
    ),
    Cause.CUT_OFF: _Words(
        any_server="the answer was cut off",
        handler="your handler's answer was cut off",
        advice="See what ends the handler before its answer is out: a crash, a restart, a proxy.",
    ),
    Cause.TOO_LARGE: _Words(
        any_server="the answer was too large",
        handler="your handler's answer was too large",
        advice="Answer with a short body, or with none.",
    ),
    Cause.ADDRESS: _Words(
        any_server="the address is not a valid http or https URL",
        handler="your handler's address cannot be called",
        advice="Give the handler an address that may be called from here.",
    ),
    Cause.DENIED: _Words(
        any_server="the address is not a public one",
        handler=(
            "your handler's address is not a public one; give it a public address, or allow private ones "
            "(HANDLER_PRIVATE_ADDRESSES)"
        ),
    ),
    Cause.BUSY: _Words(
        any_server="too many calls were waiting for an answer already",
        handler="your handler was not called: too many earlier calls were still waiting for its answer",
    ),
}


def no_answer_words(cause: Cause) -> str:
    """Say why a server gave no answer, whichever server it is. Raises: KeyError for NONE and STATUS."""
    return _WORDS[cause].any_server


def cause_of_answer(*, status: int) -> Cause:
    """Return NONE for an answer that is a success, else STATUS. Source: partner-api, "Deliveries": any 2xx."""
    return Cause.NONE if 200 <= status < 300 else Cause.STATUS  # noqa: PLR2004


def describe_cause(*, cause: str, status: int | None) -> str:
    """Say in plain words how an attempt ended. `status` is the handler's, or what the receiver answered without one.

    A cause that is not known here is shown as it came.
    """
    if cause == Cause.NONE:
        return "delivered" if status is None else f"delivered ({status})"
    if cause == Cause.STATUS:
        return "an error from your handler" if status is None else f"{status} from your handler"
    return _WORDS[Cause(cause)].handler if cause in _WORDS else cause


_ADVICE_BY_STATUS = (
    (300, 399, "Redirects are not followed: use the address that it redirects to."),
    (401, 403, "The handler turned it away: check its signature check and whatever asks for a login before it."),
    (404, 404, "Nothing is at that path: check the handler's address."),
    (410, 410, "Nothing is at that path any more: check the handler's address."),
    (429, 429, "The handler has too much to do: answer first and work afterwards."),
    (400, 499, "The handler would not take it: its own log says why."),
    (500, 599, "The handler failed: look into its log at these times."),
)


def advise(*, cause: str, status: int | None) -> str:
    """Say what to do about a cause; empty where nothing is known that helps."""
    if cause == Cause.STATUS and status is not None:
        return next((words for first, last, words in _ADVICE_BY_STATUS if first <= status <= last), "")
    return _WORDS[Cause(cause)].advice if cause in _WORDS else ""
