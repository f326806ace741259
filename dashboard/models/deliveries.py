"""The delivery log: OpenTrain's deliveries to the receiver, and the responses to them."""

from typing import TYPE_CHECKING, Self

from django.db import models
from django.db.models.functions import Greatest, Least

from dashboard.db.fields import MaskedCharField, MaskedHeadersField
from dashboard.models.endpoints import Endpoint
from dashboard.rules import attempts, deliveries
from dashboard.rules.schedule import Schedule
from dashboard.signatures import Verdict

if TYPE_CHECKING:
    from dashboard.models.members import User


MANY_ATTEMPTS = 6
"""From this number of attempts up, indexes treat all deliveries alike: more than the five of one round are rare."""
_LOOKED_AT = ["due_by", "event_type", "attempt_count", "last_cause", "last_status"]
"""Columns that filters need of waiting deliveries, included in their indexes so that no row is read."""


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, user: "User") -> Self:
        return self.filter(endpoint__in=Endpoint.objects.visible_to(user))

    def newest_first(self) -> Self:
        return self.order_by("-first_received_at", "-id")

    def failed(self) -> Self:
        """Keep those that OpenTrain will not retry automatically, and whose redelivery was not requested."""
        return self.filter(standing=deliveries.Standing.FAILED)


class Delivery(models.Model):
    """One event for one endpoint that reached the receiver, with the facts that `rules.deliveries` judges it by."""

    # No separate index, which would cost one more write per delivery: those in Meta begin with it.
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="deliveries", db_index=False)
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
    last_signature = models.CharField(
        max_length=30,
        blank=True,
        default=Verdict.VERIFIED,
        db_default=Verdict.VERIFIED,
        help_text="The verdict on the last attempt's signature; empty where its handler did not say.",
    )
    requested_at = models.DateTimeField(null=True, blank=True, help_text="Redelivery asked, and not seen yet, since.")
    abandoned_at = models.DateTimeField(null=True, blank=True, help_text="Given up with an auto-disable.")

    # Columns that lists filter by. They do not depend on the current time; `settle` derives them from the facts.
    standing = models.PositiveSmallIntegerField(choices=[(one.value, one.name) for one in deliveries.Standing])
    due_by = models.DateTimeField(null=True, blank=True, help_text="After this the next attempt is overdue.")
    attempts_class = models.GeneratedField(
        # A row is inserted just before its first attempt is counted, which must not move it in an index.
        expression=Least(Greatest("attempt_count", 1), MANY_ATTEMPTS),
        output_field=models.PositiveSmallIntegerField(),
        db_persist=True,
    )

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "deliveries"
        # The delivery's ID comes first, so that it can be looked up without its endpoint.
        constraints = [models.UniqueConstraint(fields=["opentrain_id", "endpoint"], name="delivery_once_per_endpoint")]
        # Each index costs a write per delivery, so each needs a reason. All end in the order of the lists, so that a
        # page is read from a few short ranges (queries/delivery_lists.py) and only the shown rows are sorted.
        indexes = [
            # Lists without a filter, with a time range, or of verified deliveries; the foreign key; retention.
            models.Index(
                fields=["endpoint", "first_received_at", "id"],
                include=["last_signature"],
                name="delivery_newest_of_endpoint",
            ),
            models.Index(fields=["first_received_at", "id"], include=["last_signature"], name="delivery_newest_of_all"),
            # What was attempted lately, and how that went, whenever it was first received: charts and figures.
            models.Index(
                fields=["endpoint", "last_attempt_at"],
                include=["id", "attempt_count", "last_ok", "last_cause", "last_latency_ms"],
                name="delivery_attempted_of_endpoint",
            ),
            # State, event type and attempts, alone and combined; failed deliveries, for the redeliver buttons.
            models.Index(
                fields=["endpoint", "standing", "event_type", "attempts_class", "first_received_at", "id"],
                name="delivery_kinds_of_endpoint",
            ),
            models.Index(
                fields=["standing", "event_type", "attempts_class", "first_received_at", "id"],
                name="delivery_kinds_of_all",
            ),
            # Endpoints with failed deliveries left: few, and looked up one by one.
            models.Index(
                fields=["endpoint", "first_received_at"],
                condition=models.Q(standing=deliveries.Standing.FAILED),
                name="delivery_failed_of_endpoint",
            ),
            # Deliveries that wait for their next attempt, which may be overdue: never many, and scanned as a whole.
            models.Index(
                fields=["endpoint", "standing", "first_received_at", "id"],
                include=_LOOKED_AT,
                condition=models.Q(due_by__isnull=False),
                name="delivery_waiting_of_endpoint",
            ),
            models.Index(
                fields=["standing", "first_received_at", "id"],
                include=["endpoint", *_LOOKED_AT],
                condition=models.Q(due_by__isnull=False),
                name="delivery_waiting_of_all",
            ),
            # Causes, with state. They contain only deliveries that did not succeed.
            models.Index(
                fields=["endpoint", "last_cause", "last_status", "standing", "first_received_at", "id"],
                include=["event_type", "attempt_count"],
                condition=~models.Q(last_cause=""),
                name="delivery_failures_of_endpoint",
            ),
            models.Index(
                fields=["last_cause", "last_status", "standing", "first_received_at", "id"],
                include=["event_type", "attempt_count"],
                condition=~models.Q(last_cause=""),
                name="delivery_failures_of_all",
            ),
            # Signature verdicts that handlers reported. Verified deliveries, nearly all, are in neither index.
            models.Index(
                fields=["endpoint", "last_signature", "first_received_at", "id"],
                condition=~models.Q(last_signature=Verdict.VERIFIED),
                name="delivery_reports_of_endpoint",
            ),
            models.Index(
                fields=["last_signature", "first_received_at", "id"],
                condition=~models.Q(last_signature=Verdict.VERIFIED),
                name="delivery_reports_of_all",
            ),
            # IDs that people paste. Few deliveries share one, so these indexes need no endpoint.
            models.Index(
                fields=["resource_id", "first_received_at", "id"],
                condition=~models.Q(resource_id=""),
                name="delivery_of_resource",
            ),
            models.Index(
                fields=["event_id", "first_received_at", "id"],
                condition=~models.Q(event_id=""),
                name="delivery_of_event",
            ),
            # Retention's scan for bodies; its other scan uses delivery_newest_of_all.
            models.Index(
                fields=["first_received_at", "id"],
                condition=models.Q(body_gone_at__isnull=True),
                name="delivery_body_oldest_first",
            ),
        ]

    def __str__(self) -> str:
        return self.opentrain_id

    @property
    def is_unverified(self) -> bool:
        """Whether the last attempt's signature was checked and did not verify, or could not be checked."""
        return self.last_signature not in {"", Verdict.VERIFIED}

    @property
    def facts(self) -> deliveries.DeliveryFacts:
        """The facts that the rules judge the delivery by."""
        return deliveries.DeliveryFacts(
            last_ok=self.last_ok,
            attempts_in_round=self.attempts_in_round,
            last_attempt_at=self.last_attempt_at,
            requested_at=self.requested_at,
            abandoned_at=self.abandoned_at,
        )

    def settle(self, *, schedule: Schedule) -> None:
        """Update the columns that lists filter by from the facts, without saving."""
        self.standing = deliveries.standing(facts=self.facts, schedule=schedule)
        self.due_by = deliveries.due_by(facts=self.facts, schedule=schedule)


class Attempt(models.Model):
    """One POST of a delivery, the handler's response if there is a handler, and the response that OpenTrain got.

    Attempts at the receiver are verified, except where `signature` says otherwise. Of an observed attempt, only the
    handler's report is known.
    """

    class Source(models.TextChoices):
        RECEIVER = attempts.Source.RECEIVER.value, "Receiver"
        OBSERVED = attempts.Source.OBSERVED.value, "Observed"

    # The constraint below provides the index.
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts", db_index=False)
    number = models.PositiveIntegerField()
    received_at = models.DateTimeField()
    request_headers = MaskedHeadersField(help_text="[[name, value], …] in the order received, capped.")
    answered_status = models.PositiveSmallIntegerField()
    ok = models.BooleanField()
    cause = models.CharField(max_length=30, blank=True)
    handler_url = MaskedCharField(max_length=2048, blank=True)
    handler_status = models.PositiveSmallIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(help_text="From the request's arrival to our answer.")
    response_headers = MaskedHeadersField(default=list)
    response_head = models.BinaryField(
        null=True,
        help_text="The first bytes of the response, the handler's or ours; null when retention took them. "
        "A sender whose signature was not verified got the status only.",
    )
    source = models.CharField(max_length=10, choices=Source, default=Source.RECEIVER)
    signature = models.CharField(
        max_length=30, blank=True, default="verified", help_text="The verdict; empty if unknown."
    )
    uuid = models.UUIDField(
        null=True, blank=True, help_text="Names the receiver's attempt before it is in the log; null if observed."
    )
    answered_in_time = models.BooleanField(
        null=True, blank=True, help_text="Whether OpenTrain got our answer in time; null if that is not known."
    )
    body_fault = models.CharField(
        max_length=30,
        blank=True,
        default="",
        db_default="",
        help_text="What was wrong with the body of the handler's response; empty if nothing, or if unknown.",
    )

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="attempt_number_once_per_delivery"),
            # An observation that is sent twice is one attempt.
            models.UniqueConstraint(
                fields=["delivery", "received_at"], condition=models.Q(source="observed"), name="observation_once"
            ),
            # An attempt that is recorded twice, because the first commit's acknowledgement was lost, is one attempt.
            models.UniqueConstraint(fields=["uuid"], condition=models.Q(uuid__isnull=False), name="attempt_once"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"


class RefusedAttempt(models.Model):
    """A request to an endpoint's receiver URL that failed verification. Only its body's size and hash are stored."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="refused_attempts", db_index=False)
    received_at = models.DateTimeField()
    reason = models.CharField(max_length=30)
    explanation = models.CharField(max_length=300)
    answered_status = models.PositiveSmallIntegerField()
    claimed_delivery_id = models.CharField(max_length=200, blank=True)
    claimed_event_type = models.CharField(max_length=100, blank=True)
    request_headers = MaskedHeadersField(default=list)
    body_size = models.PositiveIntegerField()
    body_sha256 = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["endpoint", "received_at", "id"], name="refused_of_endpoint"),
            models.Index(fields=["received_at", "id"], name="refused_of_all"),
            # IDs that people paste.
            models.Index(
                fields=["claimed_delivery_id"],
                condition=~models.Q(claimed_delivery_id=""),
                name="refused_by_delivery_id",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} at {self.received_at:%Y-%m-%d %H:%M:%S}"
