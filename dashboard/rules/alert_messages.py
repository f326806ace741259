"""Texts of alerts: the words of an opened and a resolved alert, and messages as email, Slack payload and JSON.

Pure: texts and times go in, texts come out. Names, URLs and OpenTrain's words are untrusted: `plain` removes
characters that could forge a line or a header, and each format escapes its own special characters.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dashboard.rules.alerts import REFUSALS_OVER_AFTER, AlertEvent, AlertKind
from dashboard.rules.durations import exactly, span, spelled
from dashboard.rules.invisible import visible
from dashboard.rules.labels import LabelledEnum
from dashboard.rules.outside_texts import cut, on_one_line

NAME_CHARS = 120
SAID_CHARS = 300
WORDS_CHARS = 1200
SUBJECT_CHARS = 180
LISTED = 25
"""Most alerts that one message lists; it only counts the others."""
API_VERSION = "v1"
GONE = "The endpoint was deleted."
LEFT = "The install was disconnected from Redeliver, so whether this goes on is not known."

ENDINGS = {
    AlertKind.DISABLED: "It is no longer disabled by OpenTrain.",
    AlertKind.AT_RISK: "It is no longer about to be disabled.",
    AlertKind.NO_ACCESS: "OpenTrain responds for this install again.",
    AlertKind.CANARY_FAILED: "OpenTrain counts no failure since then, or a later recovery got further.",
    AlertKind.OVERDUE: "No deliveries are overdue.",
    AlertKind.LOG_LAGS: "Every receiver reports, and none holds attempts that are not in the log.",
    AlertKind.URL_CHANGED: "Its URL was kept or changed in Redeliver, or leads to the receiver again.",
    AlertKind.SIGNATURES: f"No signature was refused for {spelled(duration=REFUSALS_OVER_AFTER)}.",
}


class End(LabelledEnum):
    """How an alert ended, as a chip names it. Only RESOLVED says that the problem is over."""

    RESOLVED = "resolved", "Resolved"
    DELETED = "deleted", "Endpoint deleted"
    NOT_KNOWN = "not_known", "Not known"


def how_it_ends(*, is_gone: bool, is_left: bool = False) -> End:
    """Say how an alert ends now; it is stored, because an install may be connected again later.

    `is_gone`: its endpoint was deleted. `is_left`: its install was disconnected.
    """
    if is_left:
        return End.NOT_KNOWN
    return End.DELETED if is_gone else End.RESOLVED


def stored_end(ended_as: str) -> End:
    """Return how an alert ended. What is not stored, or by another release, is not known: never an all-clear."""
    return End(ended_as) if ended_as in set(End) else End.NOT_KNOWN


NEXT_STEPS = {
    AlertKind.DISABLED: "Repair the handler, then recover the endpoint",
    AlertKind.AT_RISK: "See why deliveries fail, and repair the handler before OpenTrain disables the endpoint",
    AlertKind.NO_ACCESS: "Replace the install's token",
    AlertKind.CANARY_FAILED: "See why the first delivery failed, repair the handler, and recover again",
    AlertKind.OVERDUE: "See which deliveries are overdue",
    AlertKind.LOG_LAGS: "See which receiver does not report, and what it holds",
    AlertKind.URL_CHANGED: "Keep the URL, or point the endpoint back to the receiver",
    AlertKind.SIGNATURES: "Have the signature doctor explain a refused request",
}
"""What to do about an open alert, on the page that its message links to."""


@dataclass(frozen=True, slots=True)
class Item:
    """One alert in a message. `address` is the URL of its page; `cleared_at` is None while it is open.

    `events` are those new to the channel: an alert that opened and was resolved in quiet hours has both.
    """

    id: int
    kind: AlertKind
    events: tuple[AlertEvent, ...]
    install_id: int | None
    install: str
    endpoint_id: int | None
    endpoint: str
    endpoint_url: str
    words: str
    opened_at: datetime
    cleared_at: datetime | None
    cleared_words: str
    ended_as: str
    address: str

    @property
    def is_over(self) -> bool:
        return AlertEvent.CLEARED in self.events

    @property
    def end(self) -> End:
        return stored_end(self.ended_as)

    @property
    def about(self) -> str:
        return f"{self.install}, {self.endpoint}" if self.endpoint else self.install

    @property
    def where(self) -> str:
        """The endpoint's URL, if its name does not say it."""
        return "" if self.endpoint_url == self.endpoint else self.endpoint_url

    @property
    def lasted(self) -> str:
        """Return how long a resolved alert lasted, such as "14 min"; empty for an open one."""
        return span(duration=self.cleared_at - self.opened_at) if self.cleared_at is not None else ""

    @property
    def headline(self) -> str:
        """Return "Disabled by OpenTrain: Acme Labs, Billing"; that of an ended alert begins "Resolved after 14 min"."""
        if self.is_over:
            return f"{self.end.label} after {self.lasted}: {self.kind.label}: {self.about}"
        return f"{self.kind.label}: {self.about}"

    @property
    def next_step(self) -> str:
        """What to do next; where it is resolved, only where to read more."""
        return "See what happened" if self.is_over else NEXT_STEPS[self.kind]

    @property
    def body(self) -> str:
        return f"{self.cleared_words} It lasted {self.lasted}." if self.is_over else self.words


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one channel. `address` is the URL of the alerts page; `more` counts alerts not in `items`.

    A `test` has no items. `held` says that its alerts were held back during quiet hours.
    """

    id: str
    created_at: datetime
    items: tuple[Item, ...]
    address: str
    more: int = 0
    test: bool = False
    held: bool = False

    @property
    def title(self) -> str:
        if self.test:
            return "Test alert"
        if len(self.items) == 1 and not self.more:
            return self.items[0].headline
        over = [item.end for item in self.items if item.is_over]
        ended = "resolved" if all(end is End.RESOLVED for end in over) else "ended"
        shown = f"{len(self.items) + self.more} alerts{' from quiet hours' if self.held else ''}"
        if len(over) == len(self.items) and not self.more:
            return f"{ended.capitalize()}: {shown}"
        return f"{shown}, {len(over)} {ended}" if over else shown

    @property
    def opening(self) -> str:
        """Return the first sentence of a message; empty for most messages."""
        if self.test:
            return "This is a test from Redeliver. Nothing is wrong, and you need not do anything."
        return "Held back during quiet hours." if self.held else ""


def plain(text: str, *, limit: int) -> str:
    """Return untrusted text on one line, with codes for characters that nobody sees, cut to `limit` characters."""
    return cut(visible(on_one_line(text, most=limit)), most=limit)


def opening_words(*, sentences: Sequence[str], said: str = "") -> str:
    """Join the sentences of an opened alert; `said` is OpenTrain's reason, quoted as OpenTrain's."""
    quoted = [f"OpenTrain: “{plain(said, limit=SAID_CHARS)}”"] if said.strip() else []
    return plain(" ".join([*(one for one in sentences if one), *quoted]), limit=WORDS_CHARS)


def closing_words(*, kind: AlertKind, end: End, now_says: str = "", missing: str = "") -> str:
    """Say why an alert ended. `now_says` is its endpoint's state now.

    `missing` says what of the time in which nothing was sent may be missing.
    """
    if end is End.NOT_KNOWN:
        return LEFT
    said = [one for one in (ENDINGS[kind], now_says, missing) if one]
    return GONE if end is End.DELETED else plain(" ".join(said), limit=WORDS_CHARS)


def email_subject(message: Message) -> str:
    return plain(f"[Redeliver] {message.title}", limit=SUBJECT_CHARS)


def email_text(message: Message) -> str:
    """Return the email's text. Plain text, so no HTML can be injected."""
    parts = [message.opening] if message.opening else []
    for item in message.items:
        lines = [item.headline, item.body]
        lines += [f"Endpoint: {item.where}"] if item.where else []
        lines += [f"Since {exactly(item.opened_at)}"]
        lines += [f"{item.end.label} {exactly(item.cleared_at)}"] if item.is_over and item.cleared_at else []
        parts.append("\n".join([*lines, f"{'' if item.is_over else 'Next: '}{item.next_step}: {item.address}"]))
    parts += [f"And {message.more} more."] if message.more else []
    return "\n\n".join([*parts, f"All alerts and channels: {message.address}"]) + "\n"


def slack_body(message: Message) -> bytes:
    """Return a body for incoming webhooks of Slack, Mattermost and Rocket.Chat."""
    parts = [f"*{slack_text(message.title)}*"] + ([slack_text(message.opening)] if message.opening else [])
    for item in message.items:
        icon = ":white_circle:" if item.is_over else ":warning:"  # an end is no proof that all is well
        head = f"{icon} *{slack_text(item.headline)}*\n" if len(message.items) > 1 else ""
        where = f"Endpoint: {slack_text(item.where)}. " if item.where else ""
        parts.append(f"{head}{slack_text(item.body)} {where}<{item.address}|{slack_text(item.next_step)}>")
    parts += [f"And {message.more} more."] if message.more else []
    parts.append(f"<{message.address}|All alerts>")
    said = {"text": "\n".join(parts), "mrkdwn": True, "unfurl_links": False, "unfurl_media": False}
    return json.dumps(said, ensure_ascii=False).encode()


def slack_text(text: str) -> str:
    """Return untrusted text escaped so that Slack shows it literally, without links or mentions.

    Slack's three escapes neutralize `<!channel>` and `<url|words>`. Mattermost also reads `@all` and `[words](url)`: a
    zero-width space neutralizes those.
    """
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("@", "@\u200b").replace("](", "]\u200b(")


def json_body(message: Message) -> bytes:
    """Return the body of an outgoing webhook, as documented in docs/alerts.md."""
    said = {
        "id": message.id,
        "type": "test" if message.test else "alerts",
        "apiVersion": API_VERSION,
        "createdAt": _iso(message.created_at),
        "text": message.title,
        "heldBack": message.held,
        "alerts": [_json_item(item) for item in message.items],
        "more": message.more,
        "url": message.address,
    }
    return json.dumps(said, ensure_ascii=False).encode()


def _json_item(item: Item) -> dict[str, Any]:
    cleared_at = item.cleared_at if item.is_over else None
    return {
        "id": item.id,
        "kind": item.kind.value,
        "events": [event.value for event in item.events],
        "title": item.kind.label,
        "words": item.words,
        "clearedWords": item.cleared_words if item.is_over else "",
        "install": None if item.install_id is None else {"id": item.install_id, "name": item.install},
        "endpoint": None if item.endpoint_id is None else _json_endpoint(item),
        "openedAt": _iso(item.opened_at),
        "clearedAt": None if cleared_at is None else _iso(cleared_at),
        "lastedSeconds": None if cleared_at is None else round((cleared_at - item.opened_at).total_seconds()),
        "url": item.address,
    }


def _json_endpoint(item: Item) -> dict[str, Any]:
    return {"id": item.endpoint_id, "name": item.endpoint, "url": item.endpoint_url}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
