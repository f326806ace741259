"""OpenTrain's responses as types, and their parsers.

Unknown fields are ignored; unknown statuses and event types are kept as text. A missing field or a wrong type raises
`Malformed`, which names the field; `call` converts it to an `OpenTrainError`.

Source: partner-api, "Operations" and "Error envelope".
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import UnionType
from typing import Any, Protocol, TypeVar

from dashboard.rules import json_limits
from dashboard.rules.installs import UnreadEntry
from dashboard.rules.outside_texts import MARK, moment, on_one_line, unchanged
from dashboard.services.opentrain.errors import Refusal
from dashboard.vault import Secret

ID_CHARS = 200
TEXT_CHARS = 500
NAME_CHARS = 200
STATUS_CHARS = 50
ITEM_CHARS = 100
URL_CHARS = 2048
CODE_CHARS = 50
REQUEST_ID_CHARS = 100
SECRET_CHARS = 1000
ITEMS = 1000
COUNT = 2**31 - 1
NUMBER = 10**12
"""Maximums: a longer ID, secret or list and a larger count are refused; a longer text is cut and marked.

None exceeds its column in `models`, or the response could not be saved. `tests/test_column_limits.py` compares them.
"""


T = TypeVar("T")


class HasId(Protocol):
    """Something with an ID of OpenTrain's."""

    @property
    def id(self) -> str: ...


Named = TypeVar("Named", bound=HasId)


class Malformed(Exception):
    """An unusable response. The message says why and completes a sentence about the response."""


class TooLong(Malformed):
    """The response has more values than Redeliver reads. The message completes "it …"."""


@dataclass(frozen=True, slots=True)
class PartnerApp:
    """The platform app that the customer installed."""

    id: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """The token of the request, without its text."""

    id: str
    name: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Install:
    """One customer's grant of the platform app."""

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
    """One endpoint. `status` is ACTIVE, DISABLED or a future status of OpenTrain's. Times are in UTC."""

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
    """The last snapshot of a deleted endpoint, whose pending deliveries are discarded."""

    endpoint: WebhookEndpoint


@dataclass(frozen=True, slots=True)
class Redelivery:
    """The number of requeued deliveries, and OpenTrain's message about when they will be attempted."""

    endpoint: WebhookEndpoint
    requeued: int
    message: str


def parse(body: bytes) -> Mapping[str, Any]:
    """Return a response's JSON object. The last value of a repeated key counts. Raises: Malformed, also TooLong."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("it is not valid UTF-8") from None
    shown = text.removeprefix(json_limits.BOM).strip()
    if not shown:
        raise Malformed("it is empty")
    if json_limits.has_more_values(text, than=json_limits.VALUES):
        raise TooLong(f"it has more than {json_limits.VALUES:,} values")
    try:
        value = json_limits.loads(text, parse_constant=_no_constant)
    except ValueError:  # also too deep, or a number with too many digits
        raise Malformed("it is HTML, not JSON" if shown.startswith("<") else "it is not valid JSON") from None
    if not isinstance(value, dict):
        raise Malformed("it is not a JSON object")
    return value


def install(answer: Mapping[str, Any]) -> Install:
    """Parse the response of GET /installs/current. Raises: Malformed."""
    fields = Fields(answer).object("install")
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
    """Parse a response with one endpoint. Raises: Malformed."""
    return _endpoint(Fields(answer).object("webhookEndpoint"))


def endpoints(answer: Mapping[str, Any]) -> tuple[WebhookEndpoint | UnreadEntry, ...]:
    """Parse a list of endpoints, as `entries` does. Raises: Malformed."""
    return entries(answer, "webhookEndpoints", _endpoint)


def entries(
    answer: Mapping[str, Any], name: str, read: Callable[["Fields"], Named], *, names_doubles: bool = False
) -> tuple[Named | UnreadEntry, ...]:
    """Parse a list of things with IDs, in its order, and after them the entries that cannot be read.

    Of two with the same ID the first is kept; with `names_doubles` the other counts as one that cannot be read, so that
    the number of entries is the list's. Raises: Malformed.
    """
    found: dict[str, Named] = {}
    unread: list[UnreadEntry] = []
    for position, item in enumerate(Fields(answer).entries(name), 1):
        entry = _entry(item, position=position, read=read)
        if isinstance(entry, UnreadEntry):
            unread.append(entry)
        elif entry.id in found and names_doubles:
            unread.append(UnreadEntry(position, entry.id, "it is listed twice"))
        else:
            found.setdefault(entry.id, entry)
    return (*found.values(), *unread)


def about(endpoint_id: str, read: Callable[[Mapping[str, Any]], T]) -> Callable[[Mapping[str, Any]], T]:
    """Return `read` for the response to a call on this endpoint. Raises: Malformed, also if it is about another one."""

    def checked(answer: Mapping[str, Any]) -> T:
        if endpoint(answer).id != endpoint_id:
            raise Malformed("it is about another endpoint")
        return read(answer)

    return checked


def created(answer: Mapping[str, Any]) -> CreatedEndpoint:
    """Parse the response of POST /webhook-endpoints. Raises: Malformed."""
    fields = Fields(answer)
    return CreatedEndpoint(endpoint(answer), Secret(fields.id("secret", most=SECRET_CHARS)), fields.text("message"))


def deleted(answer: Mapping[str, Any]) -> DeletedEndpoint:
    """Parse the response of DELETE. Raises: Malformed, also if it lacks `deleted: true`."""
    if not Fields(answer).boolean("deleted"):
        raise Malformed("its field deleted is not true")
    return DeletedEndpoint(endpoint(answer))


def redelivery(answer: Mapping[str, Any]) -> Redelivery:
    """Parse the response of redeliver. Raises: Malformed."""
    fields = Fields(answer)
    return Redelivery(endpoint(answer), fields.count("requeued"), fields.text("message"))


def refusal(status: int, answer: Mapping[str, Any], *, request_id: str | None) -> Refusal:
    """Parse the error envelope; `request_id` is the fallback if it has none. Raises: Malformed."""
    fields = Fields(answer)
    return Refusal(
        status=status,
        code=fields.text("code", most=CODE_CHARS),
        said=fields.text("error"),
        request_id=request_id_of(answer) or request_id,
        details=_details(answer.get("details")),
    )


def request_id_of(answer: Mapping[str, Any]) -> str | None:
    """Return the response's requestId; None if it has no usable one."""
    value = answer.get("requestId")
    return (clean(value, most=REQUEST_ID_CHARS) or None) if isinstance(value, str) else None


def clean(text: str, *, most: int = TEXT_CHARS) -> str:
    """Return text from outside on one line, without control characters, no longer than `most` characters."""
    return on_one_line(text, most=most)


def _entry(item: object, *, position: int, read: Callable[["Fields"], Named]) -> Named | UnreadEntry:
    if not isinstance(item, dict):
        return UnreadEntry(position, None, "it is not an object")
    fields = Fields(item)
    try:
        return read(fields)
    except Malformed as error:
        return UnreadEntry(position, _id_of(fields), str(error))


def _id_of(fields: "Fields") -> str | None:
    try:
        return fields.id("id")
    except Malformed:
        return None


def _endpoint(fields: "Fields") -> WebhookEndpoint:
    return WebhookEndpoint(
        id=fields.id("id"),
        url=fields.url("url"),
        event_types=fields.texts("eventTypes"),
        status=fields.text("status", most=STATUS_CHARS),
        created_at=fields.time("createdAt"),
        consecutive_failures=fields.count("consecutiveFailures"),
        disabled_at=fields.nullable("disabledAt", fields.time),
        disabled_reason=fields.nullable("disabledReason", fields.text),
    )


@dataclass(frozen=True, slots=True)
class Fields:
    """One JSON object of a response, and its path. Each method returns a field's value, or raises Malformed."""

    value: Mapping[str, Any]
    path: str = ""

    def object(self, name: str) -> "Fields":
        return Fields(self._typed(name, dict, "an object"), f"{self.path}{name}.")

    def entries(self, name: str) -> list[Any]:
        return list(self._typed(name, list, "a list"))

    def id(self, name: str, *, most: int = ID_CHARS) -> str:
        """Return a value that must be used unchanged: an ID or a secret."""
        value = self._typed(name, str, "a text")
        if not value or len(value) > most or not value.isascii() or not value.isprintable():
            raise Malformed(f"its field {self.path}{name} is not a usable ID")
        return str(value)

    def text(self, name: str, *, most: int = TEXT_CHARS) -> str:
        return clean(self._typed(name, str, "a text"), most=most)

    def url(self, name: str) -> str:
        """Return an address unchanged, or marked as not whole."""
        return unchanged(self._typed(name, str, "a text"), most=URL_CHARS)

    def texts(self, name: str, *, most: int = ITEM_CHARS) -> tuple[str, ...]:
        """Return names unchanged, or marked as not whole. An item that is not a text is named, and marked too."""
        items = self._typed(name, list, "a list")
        if len(items) > ITEMS:
            raise Malformed(f"its field {self.path}{name} has more than {ITEMS:,} items")
        return tuple(_name(item, most=most) for item in items)

    def boolean(self, name: str) -> bool:
        return bool(self._typed(name, bool, "true or false"))

    def count(self, name: str) -> int:
        value = self._typed(name, int, "a whole number")
        if isinstance(value, bool) or not 0 <= value <= COUNT:
            raise Malformed(f"its field {self.path}{name} is not a count")
        return int(value)

    def time(self, name: str) -> datetime:
        found = moment(self._typed(name, str, "a time"))
        if found is None:
            raise Malformed(f"its field {self.path}{name} is not a plausible time with its zone")
        return found

    def maybe(self, name: str, read: Callable[[str], T]) -> T | None:
        """Return the value, or None where it is null or missing: of what the public pages do not promise."""
        return None if self.value.get(name) is None else read(name)

    def number(self, name: str) -> float:
        value = self._typed(name, int | float, "a number")
        if isinstance(value, bool) or not -NUMBER <= value <= NUMBER:  # also of a number that Python reads as infinite
            raise Malformed(f"its field {self.path}{name} is not a plausible number")
        return float(value)

    def nullable(self, name: str, read: Callable[[str], T]) -> T | None:
        return None if name in self.value and self.value[name] is None else read(name)

    def _typed(self, name: str, kind: type | UnionType, words: str) -> Any:  # noqa: ANN401 - JSON is Any
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


def _name(item: object, *, most: int) -> str:
    if isinstance(item, str):
        return unchanged(item, most=most)
    return unchanged(f"unreadable: {json.dumps(item)}{MARK}", most=most)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _no_constant(_name: str) -> None:
    raise ValueError  # NaN and Infinity are Python's, not JSON's
