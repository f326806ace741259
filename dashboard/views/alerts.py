"""Alerts: open and resolved ones, and the outcome of their notifications."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, Prefetch, Value, Window
from django.db.models.functions import RowNumber
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms.list_filters import ID
from dashboard.models import Alert, AlertChannel, AlertDelivery, AlertNews, User
from dashboard.models.alerts import AlertChannelQuerySet, AlertQuerySet
from dashboard.presenters import pages
from dashboard.presenters.alert_audience import audience
from dashboard.presenters.live import live as live_response
from dashboard.queries import health_checks
from dashboard.rules.alert_messages import End, stored_end
from dashboard.rules.alerts import WORST_FIRST, AlertEvent
from dashboard.rules.durations import span
from dashboard.rules.endpoint_titles import place
from dashboard.services.alerts import can_mail

SHOWN = 100
"""Open alerts on the page."""
PAGE = 25
MESSAGES = 10
NOT_WATCHED = (
    "Redeliver is not looking for problems, and sends no alerts: the background worker is not running. "
    "Ask your administrator to start it."
)
LOST_FOR = timedelta(days=7)
"""How long the page shows that a message failed for good. The channel's page shows it as long as it is kept."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification to a channel, sent or pending, about an alert or its end. `kind` and `label` are its outcome.

    `held_until`: the end of the channel's quiet hours, while it is held back.
    """

    channel: AlertChannel
    all_clear: bool
    kind: str
    label: str
    words: str
    at: datetime | None
    held_until: datetime | None = None

    @property
    def shown_at(self) -> datetime | None:
        """When it was sent; None while it waits."""
        return None if self.kind == "waiting" else self.at

    @property
    def shown_words(self) -> str:
        """The error of a message; empty if it was sent."""
        return "" if self.kind == "sent" else self.words


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert with its notifications; `lasted` is its duration in words once it has ended.

    `told_support`: support was notified by a channel that the reader cannot see.
    """

    alert: Alert
    told: tuple[Notification, ...]
    lasted: str
    told_support: bool

    @property
    def end(self) -> End:
        return stored_end(self.alert.ended_as)

    @property
    def where(self) -> str:
        """The host and path of the endpoint's URL, if its title does not say them."""
        found = place(self.alert.endpoint_url)
        return "" if self.alert.endpoint_name.startswith(found) else found


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    return render(request, "alerts/list.html", _context(request))


@require_safe
@allowed(Permission.SEE)
def live(request: MemberRequest) -> HttpResponseBase:
    return live_response(request, template="alerts/list.html#live", context=_context(request))


def messages_of(*, channel: AlertChannel, most: int) -> list[AlertDelivery]:
    """Return the newest messages to the channel."""
    return list(AlertDelivery.objects.filter(channel=channel).order_by("-created_at", "-pk")[:most])


def _context(request: MemberRequest) -> dict[str, Any]:
    now, user = timezone.now(), request.user
    channels = AlertChannel.objects.visible_to(user).defer("url", "secret")
    shown = list(channels.only("way"))
    alerts = _with_news(Alert.objects.visible_to(user), user)
    before = request.GET.get("before", "") if ID.fullmatch(request.GET.get("before", "")) else ""
    over = alerts.filter(cleared_at__isnull=False).order_by("-pk")
    over = over.filter(pk__lt=int(before)) if before else over
    page = list(over[: PAGE + 1])
    opened = sorted(alerts.open().order_by("-opened_at")[:SHOWN], key=_worst_first)
    is_watched = health_checks.has_worker(now=now)
    return {
        "not_watched": "" if is_watched else NOT_WATCHED,
        "open": [_row(alert, now) for alert in opened],
        "open_count": Alert.objects.visible_to(user).open().count(),
        "over": [_row(alert, now) for alert in page[:PAGE]],
        "pager": pages.before(
            url=reverse("alert-list"), before=before, older=page[PAGE - 1].pk if len(page) > PAGE else None
        ),
        "before": before,
        "channel_count": len(shown),
        "audience": audience(user=user, channels=shown, can_mail=can_mail()),
        "lost": _lost(channels, now),
        "now": now,
    }


def _lost(channels: AlertChannelQuerySet, now: datetime) -> list[AlertDelivery]:
    """Return the newest message that was given up of each channel, with how many there are: one broken address gives up
    on every message.
    """
    given_up = AlertDelivery.objects.filter(
        channel__in=channels, state=AlertDelivery.State.GIVEN_UP, test=False, ended_at__gt=now - LOST_FOR
    )
    newest = Window(RowNumber(), partition_by="channel", order_by=["-ended_at", "-pk"])
    lost = given_up.annotate(newest=newest, failed=Window(Count("pk"), partition_by="channel")).filter(newest=1)
    return list(lost.select_related("channel").defer("channel__url", "channel__secret").order_by("-ended_at")[:3])


def _with_news(alerts: AlertQuerySet, user: User) -> AlertQuerySet:
    """Add each alert's notifications, limited to the channels that the user may see."""
    news = AlertNews.objects.filter(channel__in=AlertChannel.objects.visible_to(user))
    news = news.select_related("channel", "delivery").defer("channel__url", "channel__secret").order_by("pk")
    hidden = AlertNews.objects.filter(alert=OuterRef("pk"), channel__isnull=False, channel__install__isnull=True)
    told = Value(False) if user.sees_every_install else Exists(hidden.filter(delivery__state="sent"))
    return alerts.annotate(told_support=told).prefetch_related(Prefetch("news", queryset=news))


def _worst_first(alert: Alert) -> tuple[int, datetime]:
    return WORST_FIRST.index(alert.subject.kind), alert.opened_at


def _row(alert: Alert, now: datetime) -> AlertRow:
    told = tuple(_told(news, channel, now) for news in alert.news.all() if (channel := news.channel) is not None)
    lasted = span(duration=alert.cleared_at - alert.opened_at) if alert.cleared_at is not None else ""
    return AlertRow(alert, told, lasted, getattr(alert, "told_support"))  # noqa: B009 - annotated


def _told(news: AlertNews, channel: AlertChannel, now: datetime) -> Notification:
    all_clear = news.event == AlertEvent.CLEARED
    delivery = news.delivery
    if delivery is None:
        until = channel.quiet.until(now) if channel.quiet is not None else None
        label = "held back" if until is not None else "about to be sent"
        return Notification(channel, all_clear, "waiting", label, "", None, held_until=until)
    label = {"sent": "sent", "given_up": "given up"}.get(delivery.state, "being sent")
    if delivery.state == AlertDelivery.State.WAITING and delivery.words:
        label = f"attempt {delivery.attempts} failed, tried again"
    return Notification(
        channel, all_clear, delivery.state, label, delivery.words, delivery.next_attempt_at or delivery.ended_at
    )
