"""Alerts, the channels they are sent to, and the outcome of each message."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from dashboard.db.fields import MaskedCharField, MaskedTextField, SecretField
from dashboard.models.endpoints import Endpoint
from dashboard.models.installs import Install
from dashboard.rules.alert_messages import End
from dashboard.rules.alerts import KINDS, AlertEvent, AlertKind, Quiet, Subject

if TYPE_CHECKING:
    from dashboard.models.members import User

KIND_CHOICES = [(kind.value, kind.label) for kind in KINDS]
END_CHOICES = [(end.value, end.label) for end in End]


class AlertChannelQuerySet(models.QuerySet["AlertChannel"]):
    def visible_to(self, user: "User") -> Self:
        """Support sees every channel, others those of granted installs. Only support sees channels for all installs."""
        if user.sees_every_install:
            return self
        return self.filter(install__in=Install.objects.visible_to(user))


class AlertChannel(models.Model):
    """A destination of alerts: an email address, or a URL that they are POSTed to, signed.

    The URL may be a secret itself (as Slack's are), so it is encrypted, and pages show `shown_as`.
    """

    class Way(models.TextChoices):
        EMAIL = "email", "Email"
        WEBHOOK = "webhook", "Webhook"

    name = models.CharField(max_length=100)
    way = models.CharField(max_length=10, choices=Way)
    install = models.ForeignKey(
        Install, on_delete=models.CASCADE, null=True, blank=True, related_name="alert_channels", help_text="Null: all."
    )
    kinds = ArrayField(models.CharField(max_length=20, choices=KIND_CHOICES))
    email = models.EmailField(blank=True)
    url = SecretField(null=True, blank=True)
    shown_as = models.CharField(max_length=300, help_text="The address, with what may be secret left out.")
    slack = models.BooleanField(default=False, help_text="Send a Slack-compatible payload.")
    secret = SecretField(null=True, blank=True, help_text="The secret that signs its webhooks.")
    quiet_start = models.TimeField(null=True, blank=True)
    quiet_end = models.TimeField(null=True, blank=True)
    time_zone = models.CharField(max_length=60, default="UTC")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    made_by_name = models.CharField(max_length=150)
    made_at = models.DateTimeField()

    objects = AlertChannelQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(way="email", url__isnull=True) & ~Q(email="")
                | Q(way="webhook", url__isnull=False, email=""),
                name="channel_has_its_address",
            ),
            models.CheckConstraint(
                condition=Q(quiet_start__isnull=True, quiet_end__isnull=True)
                | Q(quiet_start__isnull=False, quiet_end__isnull=False),
                name="quiet_hours_have_both_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def quiet(self) -> Quiet | None:
        if self.quiet_start is None or self.quiet_end is None:
            return None
        return Quiet(self.quiet_start, self.quiet_end, self.time_zone)

    def wants(self, subject: Subject) -> bool:
        """Return whether the channel is notified about this: a channel of one install only about that one."""
        return subject.kind in self.kinds and self.install_id in {None, subject.install_id}


class AlertQuerySet(models.QuerySet["Alert"]):
    def visible_to(self, user: "User") -> Self:
        return self if user.sees_every_install else self.filter(install__in=Install.objects.visible_to(user))

    def open(self) -> Self:
        return self.filter(cleared_at__isnull=True)


class Alert(models.Model):
    """A current or past problem of an install, an endpoint or Redeliver itself. Its words stay as they were sent."""

    kind = models.CharField(max_length=20, choices=KIND_CHOICES)
    install = models.ForeignKey(
        Install,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="alerts",
        help_text="Null: none of an install.",
    )
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, null=True, blank=True, related_name="alerts")
    install_name = models.CharField(max_length=200)
    endpoint_name = MaskedCharField(max_length=200, blank=True)
    endpoint_url = MaskedCharField(
        max_length=200, blank=True, default="", db_default="", help_text="Empty in alerts from before names existed."
    )
    words = MaskedTextField()
    opened_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)
    cleared_words = MaskedTextField(blank=True)
    ended_as = models.CharField(
        max_length=20, choices=END_CHOICES, blank=True, default="", db_default="", help_text="Empty while it is open."
    )
    superseded = models.BooleanField(default=False, help_text="It ended because a worse problem followed.")

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            # Two workers that see the same problem open one alert, and each channel gets one message.
            models.UniqueConstraint(
                fields=["install", "endpoint", "kind"],
                condition=Q(cleared_at__isnull=True),
                nulls_distinct=False,
                name="alert_open_once",
            )
        ]
        indexes = [models.Index(fields=["-opened_at", "-id"], name="alert_newest_first")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.install_name}"

    @property
    def subject(self) -> Subject:
        return Subject(AlertKind(self.kind), self.install_id, self.endpoint_id)


class AlertDelivery(models.Model):
    """One message to one channel, and its outcome."""

    class State(models.TextChoices):
        WAITING = "waiting", "Being sent"
        SENT = "sent", "Sent"
        GIVEN_UP = "given_up", "Given up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, help_text="The same on every attempt.")
    channel = models.ForeignKey(AlertChannel, on_delete=models.SET_NULL, null=True, related_name="deliveries")
    channel_name = models.CharField(max_length=100)
    test = models.BooleanField(default=False)
    held = models.BooleanField(default=False, help_text="Whether it sums up what was held back in quiet hours.")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    words = models.CharField(max_length=400, blank=True, help_text="The result of the last attempt.")

    class Meta:
        verbose_name_plural = "alert deliveries"
        indexes = [
            models.Index(fields=["next_attempt_at"], condition=Q(state="waiting"), name="alert_delivery_due"),
            models.Index(fields=["channel", "-created_at"], name="alert_delivery_of_channel"),
            models.Index(fields=["created_at"], name="alert_delivery_oldest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.channel_name}: {self.get_state_display()}"

    @property
    def tried_again_at(self) -> datetime | None:
        """When it is attempted again, once an attempt has failed."""
        return self.next_attempt_at if self.words else None


class AlertNews(models.Model):
    """A pending or sent notification of one channel about an alert's start or end. Without a delivery it waits for the
    end of quiet hours, or for the next message.
    """

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="news")
    channel = models.ForeignKey(AlertChannel, on_delete=models.SET_NULL, null=True, related_name="news")
    event = models.CharField(max_length=10, choices=[(event.value, event.value.capitalize()) for event in AlertEvent])
    delivery = models.ForeignKey(AlertDelivery, on_delete=models.CASCADE, null=True, related_name="news")
    held = models.BooleanField(default=False, help_text="Whether quiet hours have held it back.")

    class Meta:
        verbose_name_plural = "alert news"
        constraints = [models.UniqueConstraint(fields=["alert", "channel", "event"], name="alert_told_once")]
        indexes = [models.Index(fields=["channel"], condition=Q(delivery__isnull=True), name="alert_news_untold")]

    def __str__(self) -> str:
        return f"{self.event}: {self.alert_id}"
