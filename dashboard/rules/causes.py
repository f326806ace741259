"""Why an attempt failed, in words, and what to do about it."""

from enum import StrEnum


class Cause(StrEnum):
    """Why an attempt failed. Stored with the attempt, so a value is never renamed."""

    NONE = ""
    STATUS = "status"
    """The handler answered, and not with a 2xx."""
    TIMEOUT = "timeout"
    REFUSED = "refused"
    DNS = "dns"
    TLS = "tls"
    CONNECTION = "connection"
    GARBLED = "garbled"
    CUT_OFF = "cut_off"
    TOO_LARGE = "too_large"
    ADDRESS = "address"
    DENIED = "denied"
    """The handler's address is not a public one."""
    BUSY = "busy"
    """The handler was not called, because too many calls were waiting for handlers already."""


_CAUSE_WORDS = {
    Cause.TIMEOUT: "no answer from your handler within 9.5 s",
    Cause.REFUSED: "connection refused by your handler",
    Cause.DNS: "your handler's name was not found (DNS)",
    Cause.TLS: "TLS failed: no secure connection to your handler",
    Cause.CONNECTION: "the connection to your handler broke",
    Cause.GARBLED: "your handler's answer was not HTTP",
    Cause.CUT_OFF: "your handler's answer was cut off",
    Cause.TOO_LARGE: "your handler's answer was too large",
    Cause.ADDRESS: "your handler's address cannot be called",
    Cause.DENIED: (
        "your handler's address is not a public one; give it a public address, or allow private ones "
        "(HANDLER_PRIVATE_ADDRESSES)"
    ),
    Cause.BUSY: "your handler was not called: too many earlier calls were still waiting for its answer",
}


def describe_cause(*, cause: str, status: int | None) -> str:
    """Say in plain words how an attempt ended. `status` is the handler's, or what the receiver answered without one.

    A cause that is not known here is shown as it came.
    """
    if cause == Cause.NONE:
        return "delivered" if status is None else f"delivered ({status})"
    if cause == Cause.STATUS:
        return "an error from your handler" if status is None else f"{status} from your handler"
    return _CAUSE_WORDS[Cause(cause)] if cause in _CAUSE_WORDS else cause


_ADVICE = {
    Cause.TIMEOUT: "Answer first and work afterwards: OpenTrain waits 10 s and no longer.",
    Cause.REFUSED: "Nothing listens at the handler's address: see whether it runs.",
    Cause.DNS: "Check the host name in the handler's address, and its DNS entry.",
    Cause.TLS: "Check the handler's certificate: its name, its dates and its chain.",
    Cause.CONNECTION: "See what closes connections in front of the handler: a proxy, a restart, a firewall.",
    Cause.GARBLED: "See what else listens at the handler's address: it does not speak HTTP.",
    Cause.CUT_OFF: "See what ends the handler before its answer is out: a crash, a restart, a proxy.",
    Cause.TOO_LARGE: "Answer with a short body, or with none.",
    Cause.ADDRESS: "Give the handler an address that may be called from here.",
}

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
    return _ADVICE[Cause(cause)] if cause in _ADVICE else ""
