"""Parsing and validation of observations."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from dashboard.rules import json_limits
from dashboard.rules.attempts import AttemptResult, Event, Source
from dashboard.rules.causes import cause_of_answer
from dashboard.signatures import Verdict

AT_ONCE = 1000
"""Most observations per call."""
BODIES_LIMIT = 1024 * 1024
"""Total size of all bodies in a call, in bytes."""
AHEAD = timedelta(minutes=5)
"""How far `receivedAt` may be in the future (clock skew)."""
OLDEST = datetime(2020, 1, 1, tzinfo=UTC)
LATENCY_LIMIT_MS = 600_000
ERRORS_TOLD = 100
ID_CHARS = 200
TYPE_CHARS = 100
STATUSES = range(200, 600)
_VERDICTS = {verdict.value for verdict in Verdict}
_REQUIRED = ("deliveryId", "eventType", "receivedAt", "status", "latencyMs")
_OPTIONAL = ("eventId", "resourceId", "signature", "body", "bodyBase64")


@dataclass(frozen=True, slots=True)
class Observation:
    """One attempt as the partner's handler saw it."""

    event: Event
    result: AttemptResult

    @property
    def identity(self) -> tuple[str, datetime]:
        """Return the key by which duplicate observations are recognized."""
        return self.event.delivery_id, self.result.received_at


class BadRequest(Exception):
    """The call is invalid. `errors` has one entry for each invalid observation, with its index."""

    def __init__(self, words: str, errors: list[dict[str, object]] | None = None) -> None:
        super().__init__(words)
        self.errors = errors or []


class _BadItem(Exception):
    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name = name


def read(body: bytes, *, now: datetime) -> list[Observation]:
    """Return the observations of a call.

    Raises: BadRequest if the call or any of its observations is invalid.
    """
    items = _items(body)
    observations: list[Observation] = []
    errors: list[dict[str, object]] = []
    for index, item in enumerate(items):
        try:
            observations.append(_observation(item, now=now))
        except _BadItem as error:
            errors.append({"index": index, "field": error.name, "error": str(error)})
    if errors:
        words = f"{len(errors)} of {len(items)} observations are invalid, so none was stored."
        raise BadRequest(words, errors[:ERRORS_TOLD])
    if sum(len(one.event.body or b"") for one in observations) > BODIES_LIMIT:
        raise BadRequest(f"The bodies exceed {BODIES_LIMIT} bytes in total. Send fewer observations per call.")
    return observations


def _items(body: bytes) -> list[object]:
    try:
        said = json_limits.loads(body, parse_constant=_no_number)
    except json_limits.TooDeep:
        raise BadRequest("The JSON is nested too deeply.") from None
    except ValueError:
        raise BadRequest("The body is not JSON in UTF-8.") from None
    if not isinstance(said, dict) or set(said) != {"observations"} or not isinstance(said["observations"], list):
        raise BadRequest('The body must be {"observations": […]} and nothing else.')
    items: list[object] = said["observations"]
    if not 1 <= len(items) <= AT_ONCE:
        raise BadRequest(f"Send 1 to {AT_ONCE} observations per call; this call has {len(items)}.")
    return items


def _no_number(_name: str) -> NoReturn:
    raise ValueError


def _observation(item: object, *, now: datetime) -> Observation:
    if not isinstance(item, dict):
        raise _BadItem("", "An observation must be an object.")
    unknown = sorted(set(item) - {*_REQUIRED, *_OPTIONAL})
    if unknown:
        raise _BadItem(unknown[0][:100], "Unknown field.")
    for name in _REQUIRED:
        if name not in item:
            raise _BadItem(name, "This required field is missing.")
    event = Event(
        delivery_id=_text(item, "deliveryId", limit=ID_CHARS),
        event_id=_text(item, "eventId", limit=ID_CHARS),
        event_type=_text(item, "eventType", limit=TYPE_CHARS),
        resource_id=_text(item, "resourceId", limit=ID_CHARS),
        body=_body(item),
    )
    return Observation(event, _result(item, now=now))


def _result(item: dict[str, Any], *, now: datetime) -> AttemptResult:
    status = _whole(item, "status", least=STATUSES[0], most=STATUSES[-1])
    return AttemptResult(
        received_at=_moment(item, now=now),
        request_headers=[],
        answered_status=status,
        cause=cause_of_answer(status=status).value,
        handler_url="",
        handler_status=status,
        latency_ms=_whole(item, "latencyMs", least=0, most=LATENCY_LIMIT_MS),
        response_headers=[],
        response_head=b"",
        source=Source.OBSERVED,
        signature=_signature(item),
    )


def _text(item: dict[str, Any], name: str, *, limit: int) -> str:
    if name not in item:
        return ""
    value = item[name]
    if not isinstance(value, str) or not 1 <= len(value) <= limit or not value.isprintable() or not value.strip():
        raise _BadItem(name, f"Must be a string of 1 to {limit} printable characters.")
    return value


def _whole(item: dict[str, Any], name: str, *, least: int, most: int) -> int:
    value = item[name]
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise _BadItem(name, f"Must be an integer from {least} to {most}.")
    return value


def _moment(item: dict[str, Any], *, now: datetime) -> datetime:
    value = item["receivedAt"]
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        moment = moment.astimezone(UTC) if moment is not None and moment.tzinfo else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise _BadItem("receivedAt", "Must be a time with a time zone, such as 2026-06-12T10:00:00.000Z.")
    if not OLDEST <= moment <= now + AHEAD:
        raise _BadItem("receivedAt", f"Must be in {OLDEST.year} or later, and not in the future.")
    return moment


def _signature(item: dict[str, Any]) -> str:
    value = item.get("signature", "")
    if value != "" and (not isinstance(value, str) or value not in _VERDICTS):
        raise _BadItem("signature", f"Must be one of: {', '.join(sorted(_VERDICTS))}.")
    return str(value)


def _body(item: dict[str, Any]) -> bytes | None:
    if "body" in item and "bodyBase64" in item:
        raise _BadItem("body", "Send body or bodyBase64, not both.")
    try:
        if "bodyBase64" in item:
            return base64.b64decode(item["bodyBase64"], validate=True)
        return item["body"].encode() if "body" in item else None
    except (binascii.Error, ValueError, TypeError, AttributeError):
        name = "bodyBase64" if "bodyBase64" in item else "body"
        raise _BadItem(name, "Must be a string. For bytes that are not text, send bodyBase64 in base64.") from None
