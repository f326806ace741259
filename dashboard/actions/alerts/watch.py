"""Alerts: opens alerts for new problems, closes those that are resolved, and notifies every channel once.

Design decisions:
- The comparison is one transaction behind an advisory lock, so no worker reopens an alert that another has just closed.
  A unique constraint on open alerts guards against the same.
- News for a channel are stored before any message is created. In quiet hours news wait; afterwards all that wait become
  one message. Problems found at the same time share a message too, so a revoked app does not send a thousand.
- A channel is told that an alert is over only if it was told, or is about to be told, that it opened.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from dashboard.actions.alerts import sentences as alert_sentences
from dashboard.db.advisory_lock import alone_in_transaction
from dashboard.models import Alert, AlertChannel, AlertDelivery, AlertNews, Endpoint, Install
from dashboard.queries.alert_conditions import Wrong, find
from dashboard.rules.alert_messages import NAME_CHARS, End, opening_words, plain
from dashboard.rules.alerts import AlertEvent, compare
from dashboard.rules.time_zones import read_in

# `bulk_update` takes seconds for the thousands of alerts that one broken host may have opened.
_END = """
    UPDATE dashboard_alert SET cleared_at = %(at)s, cleared_words = ended.words, ended_as = ended.ended_as
    FROM unnest(%(ids)s::bigint[], %(ends)s::text[], %(words)s::text[]) AS ended (id, ended_as, words)
    WHERE dashboard_alert.id = ended.id
"""
ITSELF = "Redeliver"
"""What an alert is about that is of no install."""
FORGOTTEN_AT_ONCE = 1000
"""Old alerts, and old messages, deleted per call."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Counts of alerts opened and closed, and of messages created."""

    opened: int = 0
    cleared: int = 0
    messages: int = 0


@read_in(UTC)  # the words of alerts are kept
def watch(*, now: datetime) -> Watched:
    """Update the alerts to the problems that exist at `now`, and create the messages that are due."""
    with transaction.atomic():
        if not alone_in_transaction(name="redeliver.alerts"):
            return Watched()  # another worker does it
        known = {alert.subject: alert for alert in Alert.objects.open()}
        wrong = find(now=now, open_now=frozenset(known))
        changes = compare(wrong=wrong.keys(), open_now=known.keys())
        channels = list(AlertChannel.objects.defer("url", "secret"))
        opened = _open([wrong[subject] for subject in changes.opened], channels=channels, now=now)
        _supersede([known[subject] for subject in changes.superseded], now=now)
        _clear([known[subject] for subject in changes.cleared], now=now)
        messages = _make_messages(channels=channels, now=now)
    return Watched(len(opened), len(changes.cleared) + len(changes.superseded), messages)


def forget(*, now: datetime) -> int:
    """Delete closed alerts and messages after RETENTION_DAYS; return how many. Open alerts keep their messages."""
    if not settings.RETENTION_DAYS:
        return 0
    before = now - timedelta(days=settings.RETENTION_DAYS)
    over = Alert.objects.filter(cleared_at__lt=before).order_by("pk")
    untold_end = AlertNews.objects.filter(delivery=OuterRef("pk"), alert__cleared_at__isnull=True)
    old = AlertDelivery.objects.filter(created_at__lt=before).exclude(state=AlertDelivery.State.WAITING)
    old = old.exclude(Exists(untold_end)).order_by("created_at")
    return sum(
        rows.model.objects.filter(pk__in=list(rows.values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE])).delete()[0]
        for rows in (over, old)
    )


def _open(found: Sequence[Wrong], *, channels: Sequence[AlertChannel], now: datetime) -> list[Alert]:
    """Create the alerts with their words, and news of each for every channel that is subscribed to it."""
    installs = _installs(found)
    endpoints = _endpoints(found)
    sentences = alert_sentences.of(found=found, installs=installs, endpoints=endpoints, now=now)
    rows = []
    for one in found:
        install, endpoint = installs.get(one.subject.install_id or 0), endpoints.get(one.subject.endpoint_id or 0)
        rows.append(
            Alert(
                kind=one.subject.kind,
                install=install,
                endpoint=endpoint,
                install_name=plain(install.name if install is not None else ITSELF, limit=NAME_CHARS),
                endpoint_name=plain(endpoint.title, limit=NAME_CHARS) if endpoint is not None else "",
                endpoint_url=plain(endpoint.known_as, limit=NAME_CHARS) if endpoint is not None else "",
                words=opening_words(
                    sentences=sentences[one.subject], said=endpoint.disabled_reason if endpoint is not None else ""
                ),
                opened_at=now,
            )
        )
    made = Alert.objects.bulk_create(rows)
    wanted = [(alert, channel) for alert in made for channel in channels if channel.wants(alert.subject)]
    AlertNews.objects.bulk_create(
        AlertNews(alert=alert, channel=channel, event=AlertEvent.OPENED) for alert, channel in wanted
    )
    return made


def _clear(alerts: Sequence[Alert], *, now: datetime) -> None:
    """Close the alerts, with news for every channel that has news of their opening.

    Of an install that was disconnected there is no news: a message would say that the problem is resolved.
    """
    endpoints = _endpoints_of(alerts)
    _end(alerts, now=now, endings=alert_sentences.endings(alerts, endpoints, now=now))
    left = alert_sentences.left(alerts)
    AlertNews.objects.filter(
        alert__in=[one.pk for one in alerts if one.install_id in left], delivery__isnull=True
    ).delete()
    ended = [one.pk for one in alerts if one.install_id not in left]
    told = AlertNews.objects.filter(alert__in=ended, event=AlertEvent.OPENED, channel__isnull=False)
    AlertNews.objects.bulk_create(
        AlertNews(alert_id=alert, channel_id=channel, event=AlertEvent.CLEARED)
        for alert, channel in told.values_list("alert", "channel")
    )


def _supersede(alerts: Sequence[Alert], *, now: datetime) -> None:
    """Close alerts that a worse one replaces, without news of their end, and drop pending news of their opening."""
    _end(alerts, now=now, endings=alert_sentences.worse(alerts, _endpoints_of(alerts)))
    Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(superseded=True)
    AlertNews.objects.filter(alert__in=alerts, delivery__isnull=True).delete()


def _end(alerts: Sequence[Alert], *, now: datetime, endings: Sequence[tuple[End, str]]) -> None:
    ends, words = [end.value for end, _ in endings], [words for _, words in endings]
    with connection.cursor() as cursor:
        cursor.execute(_END, {"at": now, "ids": [alert.pk for alert in alerts], "ends": ends, "words": words})


def _endpoints_of(alerts: Sequence[Alert]) -> dict[int, Endpoint]:
    return Endpoint.objects.defer("secret").in_bulk({one.endpoint_id for one in alerts if one.endpoint_id})


def _make_messages(*, channels: Iterable[AlertChannel], now: datetime) -> int:
    """Create one message per channel from all its waiting news, except in its quiet hours."""
    untold = AlertNews.objects.filter(delivery__isnull=True, channel__isnull=False)
    waiting = set(untold.order_by().values_list("channel", flat=True).distinct())
    made = 0
    for channel in channels:
        if channel.pk not in waiting:
            continue
        news = untold.filter(channel=channel)
        if channel.quiet is not None and channel.quiet.until(now) is not None:
            news.filter(held=False).update(held=True)
            continue
        delivery = AlertDelivery.objects.create(
            channel=channel,
            channel_name=channel.name,
            created_at=now,
            next_attempt_at=now,
            held=news.filter(held=True).exists(),
        )
        news.update(delivery=delivery)
        made += 1
    return made


def _installs(found: Iterable[Wrong]) -> dict[int, Install]:
    ids = {one.subject.install_id for one in found if one.subject.install_id is not None}
    return Install.objects.defer("token").in_bulk(ids)


def _endpoints(found: Iterable[Wrong]) -> dict[int, Endpoint]:
    ids = {one.subject.endpoint_id for one in found if one.subject.endpoint_id is not None}
    return Endpoint.objects.defer("secret").in_bulk(ids)
