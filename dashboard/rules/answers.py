"""What OpenTrain's answer to an operation says: whether it did what was requested, and the words for people.

An answer of 200 is not proof that a request was carried out. It names the endpoint as it is now, or the number of
requeued deliveries. The words come from these, never from the request.

The rule for redeliveries: OpenTrain answers with a number, not with IDs.

- A call for all requeues every FAILED delivery of the endpoint. If the number is at least that of the deliveries that
  are failed here, each of them is requeued; the difference are deliveries that only OpenTrain has as failed.
- If the number is smaller, it is not known which ones are requeued. None of them is marked.
- A call for one delivery requeues that one, unless the number is 0.

Source: partner-api, "Operations".
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import urlsplit

from dashboard.rules.endpoints import AUTO_DISABLE_AT

_AGAIN = "Try again. If the answer stays the same, ask OpenTrain's support."
_ASK = "Ask OpenTrain's support what it means."


class Taken(Enum):
    """Whether OpenTrain did what was requested, by its own answer. UNCLEAR: in part, or the answer does not say."""

    YES = auto()
    NO = auto()
    UNCLEAR = auto()


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says, in words."""

    taken: Taken
    words: str


@dataclass(frozen=True, slots=True)
class Shape:
    """The address and the event types of an endpoint. None is what a request leaves as it is."""

    url: str | None
    event_types: Collection[str] | None


def are_requeued(*, requeued: int, known: int) -> bool:
    """Return whether each of the `known` deliveries is requeued if OpenTrain requeued this number."""
    return requeued >= known > 0


def read_requeued(*, requeued: int, known: int, is_logged: bool) -> Reading:
    """Read the answer to a call for all failed deliveries, of which `known` were failed here at the request.

    `is_logged`: the endpoint has a delivery log, so that no known delivery means something.
    """
    if not requeued:
        return _nothing_requeued(known)
    if requeued < known:
        words = (
            f"OpenTrain requeued {requeued}; {known} are failed here, and it does not say which. "
            "Each changes when its attempt arrives."
        )
        return Reading(Taken.UNCLEAR, words)
    others = requeued - known
    if not others or not is_logged:
        return Reading(Taken.YES, f"{requeued} requeued.")
    if not known:
        none = "which is not" if requeued == 1 else "none of which is"
        return Reading(Taken.YES, f"{requeued} requeued, {none} failed here.")
    had = f"the {known} that {'was' if known == 1 else 'were'} failed here"
    return Reading(Taken.YES, f"{requeued} requeued: {had}, and {others} that only OpenTrain had as failed.")


def read_requeued_one(*, requeued: int) -> Reading:
    """Read the answer to a call for one delivery."""
    if not requeued:
        words = f"OpenTrain requeued nothing, so this delivery is not requested again. {_AGAIN}"
        return Reading(Taken.NO, words)
    if requeued == 1:
        return Reading(Taken.YES, "1 requeued.")
    words = f"OpenTrain requeued {requeued}, although only this delivery was requested. It does not say which others."
    return Reading(Taken.YES, words)


def read_enabled(*, status: str, consecutive_failures: int) -> Reading:
    """Read the answer to a request for the status ACTIVE."""
    if status == "DISABLED":
        words = (
            "Not re-enabled: OpenTrain answered that the endpoint is DISABLED, with "
            f"{_failures(consecutive_failures)}. Deliveries stay stopped. {_AGAIN}"
        )
        return Reading(Taken.NO, words)
    if status != "ACTIVE":
        return Reading(Taken.UNCLEAR, f"Not known whether it is re-enabled: {unknown_status(status)} {_ASK}")
    enabled = "Re-enabled. OpenTrain sends to this endpoint again"
    if not consecutive_failures:
        return Reading(Taken.YES, f"{enabled}, and its consecutive failures are reset to 0.")
    count = _failures(consecutive_failures)
    words = f"{enabled}, but still counts {count}. It disables an endpoint at {AUTO_DISABLE_AT}."
    return Reading(Taken.YES, words)


def read_paused(*, status: str, consecutive_failures: int) -> Reading:
    """Read the answer to a request for the status DISABLED."""
    if status == "ACTIVE":
        words = f"Not paused: OpenTrain answered that the endpoint is ACTIVE, so it keeps sending. {_AGAIN}"
        return Reading(Taken.NO, words)
    if status != "DISABLED":
        return Reading(Taken.UNCLEAR, f"Not known whether it is paused: {unknown_status(status)} {_ASK}")
    stopped = "OpenTrain attempts no deliveries until the endpoint is re-enabled."
    if consecutive_failures >= AUTO_DISABLE_AT:
        count = _failures(consecutive_failures)
        words = f"Stopped. {stopped} It counts {count}, at which it disables an endpoint automatically."
        return Reading(Taken.YES, words)
    return Reading(Taken.YES, f"Paused. {stopped}")


def read_changed(*, asked: Shape, before: Shape, answered: Shape) -> Reading:
    """Read the answer to a change of the address or the event types. The words are empty if it is as requested."""
    differs = _differences(asked=asked, answered=answered)
    if not differs:
        return Reading(Taken.YES, "")
    said = f"OpenTrain answered that {'; '.join(differs)}. {_AGAIN}"
    if _differences(asked=_only(before, asked), answered=answered):
        return Reading(Taken.UNCLEAR, f"OpenTrain did not make exactly the requested change. {said}")
    return Reading(Taken.NO, f"OpenTrain did not make the change. {said}")


def read_registered(*, asked: Shape, answered: Shape, status: str) -> Reading:
    """Read the answer to a registration."""
    differs = _differences(asked=asked, answered=answered)
    if status == "DISABLED":
        differs.append("it is DISABLED, so nothing is sent until it is re-enabled")
    elif status != "ACTIVE":
        differs.append(f"its status is {status}, which Redeliver does not know")
    if not differs:
        return Reading(Taken.YES, "The endpoint is registered.")
    words = f"The endpoint is registered, but not as requested. OpenTrain answered that {'; '.join(differs)}."
    return Reading(Taken.UNCLEAR, f"{words} Correct it on the endpoint's page.")


def unknown_status(status: str) -> str:
    """Say what a status means that Redeliver does not know."""
    named = status or "(empty)"
    return f"OpenTrain gives its status as {named}, which Redeliver does not know. It may not attempt any deliveries."


def is_unknown(status: str) -> bool:
    """Return whether a status says neither that deliveries are attempted nor that they are stopped."""
    return status not in {"", "ACTIVE", "DISABLED"}


def _nothing_requeued(known: int) -> Reading:
    if not known:
        return Reading(Taken.YES, "OpenTrain requeued nothing: it has no failed deliveries on this endpoint.")
    stay = "1 is failed here, and stays failed" if known == 1 else f"{known} are failed here, and stay failed"
    again = "To redeliver one anyway, open it: OpenTrain redelivers a single delivery in any state."
    return Reading(Taken.NO, f"OpenTrain requeued nothing; {stay}. {again}")


def _differences(*, asked: Shape, answered: Shape) -> list[str]:
    """Return in words what the answer has otherwise than requested."""
    found = []
    if asked.url is not None and not _same_address(asked.url, answered.url or ""):
        found.append(f"the address is {answered.url} (requested: {asked.url})")
    if asked.event_types is not None and set(asked.event_types) != set(answered.event_types or ()):
        found.append(f"the event types are {_list(answered.event_types)} (requested: {_list(asked.event_types)})")
    return found


def _only(shape: Shape, asked: Shape) -> Shape:
    """Return the parts of the shape that the request is about."""
    return Shape(None if asked.url is None else shape.url, None if asked.event_types is None else shape.event_types)


def _same_address(one: str, other: str) -> bool:
    """Return whether two URLs are one address: upper case in the host and a missing root path make no difference."""
    return one == other or _normal(one) == _normal(other)


def _normal(url: str) -> tuple[str, str, str, str] | str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return parts.scheme.lower(), parts.netloc.lower(), parts.path or "/", parts.query


def _list(event_types: Collection[str] | None) -> str:
    return ", ".join(sorted(event_types or ())) or "none"


def _failures(count: int) -> str:
    return "1 consecutive failure" if count == 1 else f"{count} consecutive failures"
