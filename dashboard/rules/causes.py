"""Causes of failed attempts: their words, and advice on fixing them."""

from dataclasses import dataclass
from enum import StrEnum

from dashboard.rules.schedule import HANDLER_DEADLINE, OPENTRAIN_WAITS


class Cause(StrEnum):
    """Why an attempt failed, or why an HTTP request got no response. Stored, so never rename a value."""

    NONE = ""
    STATUS = "status"
    """The handler returned a status other than 2xx."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"
    """Unreachable, reset, or closed without a response."""
    GARBLED = "garbled"
    """The response is not HTTP."""
    CUT_OFF = "cut_off"
    """The body ended before its announced end."""
    TOO_LARGE = "too_large"
    ADDRESS = "address"
    """The URL cannot be called: it is not http(s), has no host, or contains a user name."""
    DENIED = "denied"
    """The address is not public, and only public addresses are allowed."""
    BUSY = "busy"
    """The handler was not called, because too many calls were already waiting for handlers."""
    LOOP = "loop"
    """The handler was not called, because the delivery had come through Redeliver before."""
    LATE = "late"
    """The handler was not called, because the delivery's arrival took all of its time."""
    GONE = "gone"
    """The answer did not reach OpenTrain in time, whatever the handler said."""
    UNKEPT = "unkept"
    """OpenTrain was answered 503, whatever the handler said, because the attempt could not be recorded in time."""


@dataclass(frozen=True, slots=True)
class _Words:
    """A cause in words: for any server, for the handler, and advice if any is known."""

    any_server: str
    handler: str
    advice: str = ""


_WITHIN = f"{HANDLER_DEADLINE.total_seconds():g} s"
_WAITS = f"{OPENTRAIN_WAITS.total_seconds():g} s"
_WORDS = {
    Cause.TIMEOUT: _Words(
        any_server="no response in time",
        handler=f"no response from the handler within {_WITHIN}",
        advice=f"Respond first and process the event afterwards: OpenTrain waits at most {_WAITS}.",
    ),
    Cause.REFUSED: _Words(
        any_server="the connection was refused",
        handler="connection refused by the handler",
        advice="Nothing listens at the handler's address. Check that the handler is running.",
    ),
    Cause.DNS: _Words(
        any_server="the host name was not found",
        handler="the handler's host name was not found (DNS)",
        advice="Check the host name in the handler's address, and its DNS entry.",
    ),
    Cause.TLS: _Words(
        any_server="the TLS connection failed",
        handler="the TLS connection to the handler failed",
        advice="Check the handler's certificate: host name, validity dates and chain.",
    ),
    Cause.CONNECTION: _Words(
        any_server="the connection broke",
        handler="the connection to the handler broke",
        advice="Check what closes connections in front of the handler: a proxy, a restart, a firewall.",
    ),
    Cause.GARBLED: _Words(
        any_server="the response is not HTTP",
        handler="the handler's response is not HTTP",
        advice="Check which program listens at the handler's address: it does not speak HTTP.",
    ),
    Cause.CUT_OFF: _Words(
        any_server="the response was cut off",
        handler="the handler's response was cut off",
        advice="Check what interrupts the handler's response: a crash, a restart, a proxy.",
    ),
    Cause.TOO_LARGE: _Words(
        any_server="the response was too large",
        handler="the handler's response was too large",
        advice="Respond with a short body, or with none.",
    ),
    Cause.ADDRESS: _Words(
        any_server="the address is not a valid http or https URL",
        handler="the handler's address cannot be called",
        advice="Set a valid http or https address for the handler, without a user name.",
    ),
    Cause.DENIED: _Words(
        any_server="the address is not public",
        handler=(
            "the handler's address is not public; set a public address, or allow private ones "
            "(HANDLER_PRIVATE_ADDRESSES)"
        ),
    ),
    Cause.BUSY: _Words(
        any_server="too many calls were already waiting for a response",
        handler="the handler was not called: too many earlier calls were still waiting for its response",
    ),
    Cause.LOOP: _Words(
        any_server="the address leads back to Redeliver",
        handler="the handler was not called: its address leads back to Redeliver",
        advice="Set the handler's address to your own server, not to a receiver's URL or a proxy that leads to one.",
    ),
    Cause.LATE: _Words(
        any_server="no time was left",
        handler="the handler was not called: the delivery took too long to arrive",
        advice="Check what slows requests down in front of Redeliver: a proxy, the network, a busy machine.",
    ),
    Cause.GONE: _Words(
        any_server="the sender stopped waiting",
        handler="the answer did not reach OpenTrain in time",
        advice=(
            f"OpenTrain waits at most {_WAITS}. Check how long the handler takes, and the time-outs of what is in "
            "front of Redeliver: a proxy or load balancer may have given up earlier."
        ),
    ),
    Cause.UNKEPT: _Words(
        any_server="it could not be recorded",
        handler="Redeliver could not record it in time, and answered 503",
        advice="Check the database and the receiver's disk. The log of the receiver says what was wrong.",
    ),
}


def no_answer_words(cause: Cause) -> str:
    """Return why a server, of any kind, sent no usable response. Raises: KeyError for NONE and STATUS."""
    return _WORDS[cause].any_server


_BODY_FAULTS = {
    Cause.TIMEOUT: "its body did not end in time",
    Cause.CUT_OFF: "its body was cut off",
    Cause.TOO_LARGE: "its body was too large",
    Cause.GARBLED: "its body was not encoded as announced",
}


def body_fault_words(fault: str) -> str:
    """Return what was wrong with the body of a response whose status decided; empty if nothing was, or if unknown."""
    return _BODY_FAULTS[Cause(fault)] if fault in _BODY_FAULTS else ""


def cause_of_answer(*, status: int) -> Cause:
    """Return NONE for a success, else STATUS. Source: partner-api, "Deliveries": any 2xx is a success."""
    return Cause.NONE if 200 <= status < 300 else Cause.STATUS  # noqa: PLR2004


def describe_cause(*, cause: str, status: int | None) -> str:
    """Return in words how an attempt ended.

    `status` is the handler's, or the receiver's if the handler returned none. An unknown cause is returned unchanged.
    """
    if cause == Cause.NONE:
        return "delivered" if status is None else f"delivered ({status})"
    if cause == Cause.STATUS:
        return "handler returned an error" if status is None else f"handler returned {status}"
    return _WORDS[Cause(cause)].handler if cause in _WORDS else cause


_ADVICE_BY_STATUS = (
    (300, 399, "Redirects are not followed. Set the handler's address to the redirect's target."),
    (401, 403, "The handler rejected the delivery. Check its signature check and any login in front of it."),
    (404, 404, "Not found. Check the path in the handler's address."),
    (410, 410, "Gone. Check the path in the handler's address."),
    (429, 429, "The handler is overloaded. Respond first and process the event afterwards."),
    (400, 499, "The handler rejected the delivery. Check the handler's logs for the reason."),
    (500, 599, "Check the handler's logs for this period."),
)


def advise(*, cause: str, status: int | None) -> str:
    """Return what to do about a cause; empty if there is no advice."""
    if cause == Cause.STATUS and status is not None:
        return next((words for first, last, words in _ADVICE_BY_STATUS if first <= status <= last), "")
    return _WORDS[Cause(cause)].advice if cause in _WORDS else ""
