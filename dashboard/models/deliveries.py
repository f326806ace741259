"""The delivery log: what OpenTrain sent to the receiver, and what it was answered."""

from typing import TYPE_CHECKING, Self

from django.db import models

from dashboard.models.endpoints import Endpoint

if TYPE_CHECKING:
    from dashboard.models.members import User


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, user: "User") -> Self:
        return self.filter(endpoint__in=Endpoint.objects.visible_to(user))

    def newest_first(self) -> Self:
        return self.order_by("-first_received_at", "-id")

    def failed(self, *, attempts: int) -> Self:
        """Those that OpenTrain will not try again by itself, and nobody has asked for again.

        The same rule as `health.delivery_state`, in SQL; `attempts` is how many a delivery gets in all.
        """
        unsettled = self.filter(last_ok=False, requested_at__isnull=True)
        return unsettled.filter(models.Q(attempts_in_round__gte=attempts) | models.Q(abandoned_at__isnull=False))


class Delivery(models.Model):
    """One event for one endpoint, as far as it reached the receiver. The facts that `health.delivery_state` reads."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries")
    opentrain_id = models.CharField(max_length=200, help_text="X-OpenTrain-Delivery: the same on every attempt.")
    event_id = models.CharField(max_length=200)
    event_type = models.CharField(max_length=100)
    resource_id = models.CharField(max_length=200, blank=True)
    event_created_at = models.DateTimeField(null=True, blank=True, help_text="When it happened, as the event says.")
    body = models.BinaryField(null=True, help_text="The raw bytes, as signed.")
    body_gone_at = models.DateTimeField(null=True, blank=True, help_text="When retention took the body, and why null.")

    first_received_at = models.DateTimeField()
    last_attempt_at = models.DateTimeField()
    attempt_count = models.PositiveIntegerField(default=0)
    attempts_in_round = models.PositiveIntegerField(default=0, help_text="Attempts since it was requested.")
    last_ok = models.BooleanField(default=False)
    last_status = models.PositiveSmallIntegerField(help_text="The status that OpenTrain was answered last.")
    last_cause = models.CharField(max_length=30, blank=True, help_text="Why the last attempt failed, or empty.")
    last_latency_ms = models.PositiveIntegerField()
    requested_at = models.DateTimeField(null=True, blank=True, help_text="Redelivery asked, and not seen yet, since.")
    abandoned_at = models.DateTimeField(null=True, blank=True, help_text="Given up with an auto-disable.")

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["endpoint", "opentrain_id"], name="delivery_once_per_endpoint")]
        indexes = [
            models.Index(fields=["endpoint", "-first_received_at", "-id"], name="delivery_newest_first"),
            # Retention's two walks. By the column that an attempt does not change: its update touches no index.
            models.Index(fields=["first_received_at", "id"], name="delivery_oldest_first"),
            models.Index(
                fields=["first_received_at", "id"],
                condition=models.Q(body_gone_at__isnull=True),
                name="delivery_body_oldest_first",
            ),
        ]

    def __str__(self) -> str:
        return self.opentrain_id


class Attempt(models.Model):
    """One verified POST of a delivery, the handler's answer where there is a handler, and the answer OpenTrain got."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveIntegerField()
    received_at = models.DateTimeField()
    request_headers = models.JSONField(help_text="[[name, value], …] in the order received, capped.")
    answered_status = models.PositiveSmallIntegerField()
    ok = models.BooleanField()
    cause = models.CharField(max_length=30, blank=True)
    handler_url = models.CharField(max_length=2048, blank=True)
    handler_status = models.PositiveSmallIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(help_text="From the request's arrival to our answer.")
    response_headers = models.JSONField(default=list)
    response_head = models.BinaryField(
        null=True, help_text="The first bytes of the answer that OpenTrain was given; null when retention took them."
    )

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_once_per_delivery")]

    def __str__(self) -> str:
        return f"attempt {self.number}"


class RefusedAttempt(models.Model):
    """A request that came to a known door and could not be verified. Its body is never kept, only its size and hash."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="refused_attempts")
    received_at = models.DateTimeField()
    reason = models.CharField(max_length=30)
    explanation = models.CharField(max_length=300)
    answered_status = models.PositiveSmallIntegerField()
    claimed_delivery_id = models.CharField(max_length=200, blank=True)
    claimed_event_type = models.CharField(max_length=100, blank=True)
    request_headers = models.JSONField(default=list)
    body_size = models.PositiveIntegerField()
    body_sha256 = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["endpoint", "-received_at"], name="refused_newest_first"),
            models.Index(fields=["received_at", "id"], name="refused_oldest_first"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} at {self.received_at:%Y-%m-%d %H:%M:%S}"
