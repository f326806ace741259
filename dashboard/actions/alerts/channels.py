"""Create, change, delete and test alert channels, each with its audit entries."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from urllib.parse import urlsplit

from dashboard.actions.alerts import outbox
from dashboard.actions.operation import Operation, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AlertChannel, AlertDelivery, AlertNews, Install, User
from dashboard.rules.alerts import KINDS
from dashboard.rules.outside_texts import cut
from dashboard.rules.secret_texts import SIGNING_SECRET_START
from dashboard.vault import Secret, Unreadable

SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class ChannelDetails:
    """The settings of a channel. `url` None keeps the stored URL; `install` None means all installs."""

    name: str
    way: AlertChannel.Way
    install: Install | None
    kinds: tuple[str, ...]
    email: str = ""
    url: Secret | None = None
    slack: bool = False
    quiet_start: time | None = None
    quiet_end: time | None = None
    time_zone: str = "UTC"


def create(
    *, actor: User, details: ChannelDetails, now: datetime, operation: uuid.UUID
) -> tuple[Outcome, AlertChannel | None]:
    """Create a channel. A webhook's signing secret is in the returned channel and is shown only once.

    Returns no channel if the same form was already submitted; the outcome is then that of the first submission.
    """
    made: list[AlertChannel] = []

    def record(_nothing: None) -> Outcome:
        channel = AlertChannel(way=details.way, made_by=actor, made_by_name=actor.get_username(), made_at=now)
        if details.way == AlertChannel.Way.WEBHOOK:
            channel.secret = Secret(SIGNING_SECRET_START + secrets.token_urlsafe(32))
        _fill(channel, details)
        channel.save()
        made.append(channel)
        return Outcome(kind=OutcomeKind.DONE, words=f"“{channel.name}” was created: {_in_words(channel)}.")

    asked = Operation(actor=actor, action="create alert channel", install=details.install, id=operation)
    outcome = perform(operation=asked, call=lambda: None, record=record)
    return outcome, (made[0] if made else None)


def change(*, actor: User, channel: AlertChannel, details: ChannelDetails, operation: uuid.UUID) -> Outcome:
    """Change a channel. Pending messages are sent to its new address."""

    def record(_nothing: None) -> Outcome:
        _fill(channel, details)
        channel.save()
        return Outcome(kind=OutcomeKind.DONE, words=f"“{channel.name}” was changed: {_in_words(channel)}.")

    asked = Operation(actor=actor, action="change alert channel", install=details.install, id=operation)
    return perform(operation=asked, call=lambda: None, record=record)


def delete(*, actor: User, channel: AlertChannel, now: datetime, operation: uuid.UUID) -> Outcome:
    """Delete a channel with its address and secret. Messages sent to it stay in the list of messages."""

    def record(_nothing: None) -> Outcome:
        words = f"“{channel.name}” ({channel.shown_as}) was deleted. No more alerts are sent there."
        AlertNews.objects.filter(channel=channel, delivery__isnull=True).delete()
        waiting = AlertDelivery.objects.filter(channel=channel, state=AlertDelivery.State.WAITING)
        waiting.update(
            state=AlertDelivery.State.GIVEN_UP, next_attempt_at=None, ended_at=now, words="The channel was deleted."
        )
        AlertChannel.objects.filter(pk=channel.pk).delete()
        return Outcome(kind=OutcomeKind.DONE, words=words)

    asked = Operation(actor=actor, action="delete alert channel", install=channel.install, id=operation)
    return perform(operation=asked, call=lambda: None, record=record)


def test(*, actor: User, channel: AlertChannel, clock: Callable[[], datetime], operation: uuid.UUID) -> Outcome:
    """Send one test message now, even in quiet hours, and return its result."""

    def call() -> tuple[AlertDelivery, outbox.SendResult]:
        now = clock()
        delivery = AlertDelivery(channel=channel, channel_name=channel.name, test=True, attempts=1, created_at=now)
        try:
            target = outbox.target_of(channel)
        except Unreadable:
            return delivery, outbox.UNREADABLE
        return delivery, outbox.attempt(target=target, message=outbox.message_of(delivery), at=now)

    def record(answer: tuple[AlertDelivery, outbox.SendResult]) -> Outcome:
        delivery, result = answer
        state = AlertDelivery.State.SENT if result.ok else AlertDelivery.State.GIVEN_UP
        delivery.state, delivery.ended_at, delivery.words = state, clock(), result.words
        delivery.save()
        if result.ok:
            return Outcome(kind=OutcomeKind.DONE, words=f"The test was sent to {channel.shown_as}. {result.words}")
        return Outcome(kind=OutcomeKind.UNAVAILABLE, words=f"The test failed. {result.words}")

    asked = Operation(actor=actor, action="test alert channel", install=channel.install, id=operation)
    return perform(operation=asked, call=call, record=record)


def shown(url: Secret) -> str:
    """Return the part of a webhook URL that may be shown: its host, and its end, by which people recognize it."""
    parts = urlsplit(url.reveal())
    rest = url.reveal().partition("://")[2].partition("/")[2]
    end = rest[-4:] if len(rest) > 12 else ""  # noqa: PLR2004
    return cut(f"{parts.scheme}://{parts.netloc}/…{end}", most=SHOWN_CHARS)


def _fill(channel: AlertChannel, details: ChannelDetails) -> None:
    """Apply the details to the channel. Its way (email or webhook) and its signing secret never change."""
    channel.name, channel.install, channel.kinds = details.name, details.install, list(details.kinds)
    channel.quiet_start, channel.quiet_end = details.quiet_start, details.quiet_end
    channel.time_zone = details.time_zone
    if channel.way == AlertChannel.Way.EMAIL:
        channel.email, channel.shown_as = details.email, details.email
        return
    channel.slack = details.slack
    if details.url is not None:
        channel.url, channel.shown_as = details.url, shown(details.url)


def _in_words(channel: AlertChannel) -> str:
    """Describe the channel for the audit, without its secrets."""
    whose = channel.install.name if channel.install is not None else "all installs"
    quiet = f", quiet hours {channel.quiet.words}" if channel.quiet is not None else ""
    form = " (Slack-compatible)" if channel.slack else ""
    kinds = ", ".join(kind.label for kind in KINDS if kind in channel.kinds)
    return f"{channel.get_way_display()} to {channel.shown_as}{form} for {whose} ({kinds}){quiet}"
