"""What OpenTrain's answers hold, and how they are read.

Unknown fields are ignored, unknown statuses and event types survive as text. A missing field or a wrong type is
`Malformed`, which names the field; the client turns it into what the caller acts on.

Source: partner-api, "Operations" and "Error envelope".
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from dashboard.services.opentrain.errors import Refusal
from dashboard.vault import Secret

ID_CHARS = 200
TEXT_CHARS = 500
NAME_CHARS = 200
STATUS_CHARS = 50
ITEM_CHARS = 100
URL_CHARS = 2048
ITEMS = 100
COUNT = 2**31 - 1
"""The most of each that is kept or believed: an ID longer than that is refused, a text cut, a count refused.

None is more than its column in `models` holds, or the snapshot could not be saved.
"""


T = TypeVar("T")


class Malformed(Exception):
    """An answer that cannot be used; the text says why, as the end of a sentence about the answer."""


@dataclass(frozen=True, slots=True)
class PartnerApp:
    """The platform app that the customer installed."""

    id: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """The token that asked, without its text."""

    id: str
    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Install:
    """One customer's grant."""

    id: str
    status: str
    scopes: tuple[str, ...]
    pii_consent: bool
    organization_id: str
    created_at: datetime
    partner_app: PartnerApp
    token: TokenInfo


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """One endpoint. `status` is ACTIVE or DISABLED, or whatever OpenTrain calls it one day; times are in UTC."""

    id: str
    url: str
    event_types: tuple[str, ...]
    status: str
    created_at: datetime
    consecutive_failures: int
    disabled_at: datetime | None
    disabled_reason: str | None


@dataclass(frozen=True, slots=True)
class CreatedEndpoint:
    """A new endpoint with its signing secret, which OpenTrain never shows again."""

    endpoint: WebhookEndpoint
    secret: Secret
    message: str


@dataclass(frozen=True, slots=True)
class DeletedEndpoint:
    """The last snapshot of an endpoint that is gone, with its pending deliveries."""

    endpoint: WebhookEndpoint


@dataclass(frozen=True, slots=True)
class Redelivery:
    """How many deliveries were requeued, and OpenTrain's own words on when they will be attempted."""

    endpoint: WebhookEndpoint
    requeued: int
    message: str


def parse(body: bytes) -> Mapping[str, Any]:
    """Return an answer's JSON object. Of a doubled key the last value counts. Raises: Malformed."""
    if not body.strip():
        raise Malformed("it is empty")
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise Malformed("it is not valid UTF-8") from None
    except (ValueError, RecursionError):  # ValueError: also a number of more digits than Python reads
        raise Malformed("it is HTML, not JSON" if body.lstrip()[:1] == b"<" else "it is not valid JSON") from None
    if not isinstance(value, dict):
        raise Malformed("it is not a JSON object")
    return value


def install(answer: Mapping[str, Any]) -> Install:
    """Read the answer of GET /installs/current. Raises: Malformed."""
    fields = _Fields(answer).object("install")
    app = fields.object("partnerApp")
    token = fields.object("token")
    return Install(
        id=fields.id("id"),
        status=fields.text("status", most=STATUS_CHARS),
        scopes=fields.texts("scopes"),
        pii_consent=fields.boolean("piiConsent"),
        organization_id=fields.id("organizationId"),
        created_at=fields.time("createdAt"),
        partner_app=PartnerApp(id=app.id("id"), slug=app.text("slug"), name=app.text("name", most=NAME_CHARS)),
        token=TokenInfo(id=token.id("id"), name=token.text("name", most=NAME_CHARS), scopes=token.texts("scopes")),
    )


def endpoint(answer: Mapping[str, Any]) -> WebhookEndpoint:
    """Read the endpoint that an answer holds. Raises: Malformed."""
    return _endpoint(_Fields(answer).object("webhookEndpoint"))


def endpoints(answer: Mapping[str, Any]) -> tuple[WebhookEndpoint, ...]:
    """Read a list of endpoints, in its order; of two with one ID the first is kept. Raises: Malformed."""
    found: dict[str, WebhookEndpoint] = {}
    for fields in _Fields(answer).objects("webhookEndpoints"):
        item = _endpoint(fields)
        found.setdefault(item.id, item)
    return tuple(found.values())


def created(answer: Mapping[str, Any]) -> CreatedEndpoint:
    """Read the answer of POST /webhook-endpoints. Raises: Malformed."""
    fields = _Fields(answer)
    return CreatedEndpoint(endpoint(answer), Secret(fields.id("secret")), fields.text("message"))


def deleted(answer: Mapping[str, Any]) -> DeletedEndpoint:
    """Read the answer of DELETE. Raises: Malformed, also when it does not say `deleted: true`."""
    if not _Fields(answer).boolean("deleted"):
        raise Malformed("its field deleted is not true")
    return DeletedEndpoint(endpoint(answer))


def redelivery(answer: Mapping[str, Any]) -> Redelivery:
    """Read the answer of redeliver. Raises: Malformed."""
    fields = _Fields(answer)
    return Redelivery(endpoint(answer), fields.count("requeued"), fields.text("message"))


def refusal(status: int, answer: Mapping[str, Any], *, request_id: str | None) -> Refusal:
    """Read the error envelope; `request_id` is used when it has none of its own. Raises: Malformed."""
    fields = _Fields(answer)
    return Refusal(
        status=status,
        code=fields.text("code"),
        said=fields.text("error"),
        request_id=request_id_of(answer) or request_id,
        details=_details(answer.get("details")),
    )


def request_id_of(answer: Mapping[str, Any]) -> str | None:
    """Return the answer's requestId where it has a usable one."""
    value = answer.get("requestId")
    return (clean(value, most=ID_CHARS) or None) if isinstance(value, str) else None


def clean(text: str, *, most: int = TEXT_CHARS) -> str:
    """Return text from outside on one line, without control characters, no longer than `most` characters."""
    printable = "".join(char if char.isprintable() else " " for char in text[: most * 4])
    line = " ".join(printable.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _endpoint(fields: "_Fields") -> WebhookEndpoint:
    return WebhookEndpoint(
        id=fields.id("id"),
        url=fields.text("url", most=URL_CHARS),
        event_types=fields.texts("eventTypes"),
        status=fields.text("status", most=STATUS_CHARS),
        created_at=fields.time("createdAt"),
        consecutive_failures=fields.count("consecutiveFailures"),
        disabled_at=fields.nullable("disabledAt", fields.time),
        disabled_reason=fields.nullable("disabledReason", fields.text),
    )


@dataclass(frozen=True, slots=True)
class _Fields:
    """One JSON object of an answer, and where in it we are."""

    value: Mapping[str, Any]
    path: str = ""

    def object(self, name: str) -> "_Fields":
        return _Fields(self._typed(name, dict, "an object"), f"{self.path}{name}.")

    def objects(self, name: str) -> "list[_Fields]":
        items = self._typed(name, list, "a list")
        for index, item in enumerate(items):
            if not isinstance(item, dict):
                raise Malformed(f"its field {self.path}{name}[{index}] is not an object")
        return [_Fields(item, f"{self.path}{name}[{index}].") for index, item in enumerate(items)]

    def id(self, name: str) -> str:
        """Read something that is used exactly as it came: an ID or a secret."""
        value = self._typed(name, str, "a text")
        if not value or len(value) > ID_CHARS or not value.isascii() or not value.isprintable():
            raise Malformed(f"its field {self.path}{name} is not a usable ID")
        return str(value)

    def text(self, name: str, *, most: int = TEXT_CHARS) -> str:
        return clean(self._typed(name, str, "a text"), most=most)

    def texts(self, name: str) -> tuple[str, ...]:
        items = self._typed(name, list, "a list")
        if not all(isinstance(item, str) for item in items):
            raise Malformed(f"its field {self.path}{name} is not a list of texts")
        return tuple(clean(item, most=ITEM_CHARS) for item in items[:ITEMS])

    def boolean(self, name: str) -> bool:
        return bool(self._typed(name, bool, "true or false"))

    def count(self, name: str) -> int:
        value = self._typed(name, int, "a whole number")
        if isinstance(value, bool) or not 0 <= value <= COUNT:
            raise Malformed(f"its field {self.path}{name} is not a count")
        return int(value)

    def time(self, name: str) -> datetime:
        text = self._typed(name, str, "a time")
        try:
            moment = datetime.fromisoformat(text)
            utc = moment.astimezone(UTC) if moment.tzinfo else None
        except (ValueError, OverflowError):
            utc = None
        if utc is None:
            raise Malformed(f"its field {self.path}{name} is not a time with its zone")
        return utc

    def nullable(self, name: str, read: Callable[[str], T]) -> T | None:
        return None if name in self.value and self.value[name] is None else read(name)

    def _typed(self, name: str, kind: type, words: str) -> Any:  # noqa: ANN401 - JSON is Any
        if name not in self.value:
            raise Malformed(f"it lacks the field {self.path}{name}")
        value = self.value[name]
        if not isinstance(value, kind):
            raise Malformed(f"its field {self.path}{name} is not {words}")
        return value


def _details(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {clean(str(name)): clean(_as_text(item)) for name, item in list(value.items())[:ITEMS]}


def _as_text(value: object) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):  # too deep, or a number too long to print
        return "…"


def _no_constant(_name: str) -> None:
    raise ValueError  # NaN and Infinity are Python's, not JSON's
