"""Sends the alert messages that are due, and records the result of each.

A worker takes a message by moving its next attempt ahead, `FOR UPDATE SKIP LOCKED`: two workers never send the same
message, and a killed worker's messages are due again after LEASE. They may then arrive twice, with the same ID, but
none is lost. Threads only send, so a webhook that hangs delays no other, and nothing is sent inside a transaction.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.urls import reverse

from dashboard.models import Alert, AlertChannel, AlertDelivery
from dashboard.rules.alert_messages import LISTED, Item, Message, email_subject, email_text, json_body, slack_body
from dashboard.rules.alerts import AlertEvent, AlertKind, retry_at
from dashboard.rules.outside_texts import cut
from dashboard.rules.time_zones import read_in, zone_named
from dashboard.rules.times_in_words import retell
from dashboard.services import alerts as service
from dashboard.services.alerts import NotSent
from dashboard.vault import Secret, Unreadable

LEASE = timedelta(minutes=5)
"""How long a taken message belongs to its worker. An attempt by email may wait for several responses."""
TAKEN = 16
THREADS = 8
WORDS_CHARS = 400
State = AlertDelivery.State


@dataclass(frozen=True, slots=True)
class Sent:
    """Counts of messages that a run sent and failed to send."""

    sent: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one attempt, in words."""

    ok: bool
    words: str


UNREADABLE = SendResult(
    ok=False,
    words="The channel's address cannot be read with the keys in FIELD_KEYS. Restore the missing key, or enter the "
    "address again.",
)


@dataclass(frozen=True, slots=True)
class Target:
    """The target of a message: what a thread needs of a channel, read before the thread starts."""

    email: str
    url: Secret | None
    secret: Secret | None
    slack: bool
    time_zone: str


def send_due(*, clock: Callable[[], datetime]) -> Sent:
    """Send the messages that are due, and return when each has a result."""
    sent = failed = 0
    with ThreadPoolExecutor(THREADS, thread_name_prefix="alert") as pool:
        under_way = [(delivery, _submit(pool, delivery, clock)) for delivery in take(now=clock())]
        for delivery, future in under_way:
            result = future.result()
            record(delivery, result=result, at=clock())
            sent, failed = sent + result.ok, failed + (not result.ok)
    return Sent(sent, failed)


def take(*, now: datetime) -> list[AlertDelivery]:
    """Take the messages that are due, longest wait first, and count an attempt for each."""
    due = AlertDelivery.objects.filter(state=State.WAITING, next_attempt_at__lte=now).order_by("next_attempt_at", "pk")
    with transaction.atomic():
        taken = list(due.select_for_update(skip_locked=True)[:TAKEN])
        rows = AlertDelivery.objects.filter(pk__in=[one.pk for one in taken])
        rows.update(attempts=F("attempts") + 1, next_attempt_at=now + LEASE)
    for one in taken:
        one.attempts += 1
    return taken


def attempt(*, target: Target, message: Message, at: datetime) -> SendResult:
    """Send a message once. Uses no database. An email's times are in the channel's zone, not its sender's."""
    try:
        if target.url is None:
            with read_in(zone_named(target.time_zone)):
                text = email_text(message)
            words = service.mail(to=target.email, subject=email_subject(message), text=text, message_id=message.id)
        else:
            words = service.post(
                url=target.url,
                secret=target.secret or Secret(""),
                body=slack_body(message) if target.slack else json_body(message),
                message_id=message.id,
                timestamp=int(at.timestamp()),
            )
    except NotSent as error:
        return SendResult(ok=False, words=cut(str(error), most=WORDS_CHARS))
    return SendResult(ok=True, words=cut(words, most=WORDS_CHARS))


def record(delivery: AlertDelivery, *, result: SendResult, at: datetime) -> None:
    """Record the result of an attempt and the time of the next one."""
    again = None if result.ok else retry_at(attempts=delivery.attempts, at=at)
    state = State.SENT if result.ok else State.WAITING if again is not None else State.GIVEN_UP
    AlertDelivery.objects.filter(pk=delivery.pk).update(
        state=state, next_attempt_at=again, ended_at=None if again else at, words=result.words
    )


def target_of(channel: AlertChannel) -> Target:
    """Return the target of a channel's messages. Raises: Unreadable if the key of its address is missing."""
    return Target(
        email=channel.email, url=channel.url, secret=channel.secret, slack=channel.slack, time_zone=channel.time_zone
    )


def page(name: str, *arguments: int) -> str:
    """Return the absolute URL of a page, for readers outside the console."""
    return settings.PUBLIC_URL + reverse(name, args=arguments)


def _submit(pool: ThreadPoolExecutor, delivery: AlertDelivery, clock: Callable[[], datetime]) -> "Future[SendResult]":
    channel = AlertChannel.objects.defer("url", "secret").filter(deliveries=delivery).first()
    if channel is None:
        return _settled(SendResult(ok=False, words="The channel was deleted."))
    try:
        target = target_of(channel)
    except Unreadable:
        return _settled(UNREADABLE)
    return pool.submit(attempt, target=target, message=message_of(delivery), at=clock())


def _settled(result: SendResult) -> "Future[SendResult]":
    future: Future[SendResult] = Future()
    future.set_result(result)
    return future


def message_of(delivery: AlertDelivery) -> Message:
    """Return the content of a message: the alerts whose news it carries, each in its newest state."""
    events: dict[int, list[AlertEvent]] = {}
    for alert, event in delivery.news.order_by("alert", "-event").values_list("alert", "event"):
        events.setdefault(alert, []).append(AlertEvent(event))
    alerts = Alert.objects.filter(pk__in=list(events)).order_by("opened_at", "pk")[:LISTED]
    items = tuple(_item(alert, events=tuple(events[alert.pk]), now=delivery.created_at) for alert in alerts)
    return Message(
        id=str(delivery.pk),
        created_at=delivery.created_at,
        items=items,
        address=page("alert-list"),
        more=len(events) - len(items),
        test=delivery.test,
        held=delivery.held,
    )


def _item(alert: Alert, *, events: tuple[AlertEvent, ...], now: datetime) -> Item:
    """Return an alert for a message made at `now`: after a night of quiet hours, its times of day need their day."""
    words = retell(alert.words, written=alert.opened_at, now=now)
    cleared_words = retell(alert.cleared_words, written=alert.cleared_at, now=now) if alert.cleared_at else ""
    return Item(
        id=alert.pk,
        kind=AlertKind(alert.kind),
        events=events,
        install_id=alert.install_id,
        install=alert.install_name,
        endpoint_id=alert.endpoint_id,
        endpoint=alert.endpoint_name,
        endpoint_url=alert.endpoint_url or alert.endpoint_name,
        words=words,
        opened_at=alert.opened_at,
        cleared_at=alert.cleared_at,
        cleared_words=cleared_words,
        ended_as=alert.ended_as,
        address=_address(alert),
    )


def _address(alert: Alert) -> str:
    if alert.endpoint_id is not None:
        return page("endpoint-detail", alert.endpoint_id)
    return page("alert-list") if alert.install_id is None else page("install-detail", alert.install_id)
