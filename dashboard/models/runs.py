"""Runs (recoveries and bulk runs), and the outcome of each delivery in them."""

import uuid
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models

from dashboard.db.fields import MaskedTextField
from dashboard.models.deliveries import Delivery
from dashboard.models.endpoints import Endpoint

if TYPE_CHECKING:
    from dashboard.models.members import User


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, user: "User") -> Self:
        return self.filter(endpoint__in=Endpoint.objects.visible_to(user))

    def active(self) -> Self:
        """Keep those that occupy their endpoint: no other run can start on it."""
        return self.filter(state__in=Run.ACTIVE)

    def to_advance(self) -> Self:
        """Keep those with work for a worker: running, or with outcomes still to come."""
        awaited = RunItem.objects.filter(run=models.OuterRef("pk"), state__in=RunItem.UNSETTLED)
        return self.filter(models.Q(state=Run.State.RUNNING) | models.Exists(awaited))


class Run(models.Model):
    """One recovery or bulk run of an endpoint. All of its progress is stored here, so it survives any restart."""

    class Kind(models.TextChoices):
        RECOVERY = "recovery", "Recovery"
        BULK = "bulk", "Redelivery"

    class State(models.TextChoices):
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        STOPPED = "stopped", "Stopped"
        CANCELLED = "cancelled", "Cancelled"
        DONE = "done", "Done"

    ACTIVE = (State.RUNNING, State.PAUSED)

    kind = models.CharField(max_length=20, choices=Kind)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="runs")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=150)
    note = models.CharField(max_length=300, blank=True, help_text="Why, in the words of who started it.")
    chosen = models.CharField(max_length=500, help_text="Which deliveries were chosen, in words.")
    one_call = models.BooleanField(default=False, help_text="Ask for all failed ones at once, not one by one.")
    operation = models.UUIDField(unique=True, default=uuid.uuid4, help_text="A form that is sent twice is one run.")
    batch = models.UUIDField(null=True, blank=True, help_text="Runs that one form started together have the same.")

    state = models.CharField(max_length=20, choices=State, default=State.RUNNING)
    step = models.CharField(max_length=20)
    why = models.TextField(blank=True, help_text="Why it is paused, stopped or cancelled; when done, its result.")
    by_person = models.BooleanField(
        default=False, db_default=False, help_text="Whether a person paused, stopped or cancelled it."
    )
    waiting_for = models.TextField(blank=True, help_text="Why nothing is requested until `not_before`.")
    not_before = models.DateTimeField(null=True, blank=True)
    pace_ms = models.PositiveIntegerField(help_text="The pause between two requests.")
    failed_calls = models.PositiveSmallIntegerField(default=0, help_text="Consecutive calls without an answer.")
    others_asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When all failed ones were requested at once."
    )
    others = models.PositiveIntegerField(default=0, help_text="How many that requeued.")
    quoted = MaskedTextField(blank=True, help_text="What OpenTrain said last.")
    request_id = models.CharField(max_length=100, blank=True)
    counts = models.JSONField(default=dict, help_text="How many of its deliveries are in each state.")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint"],
                condition=models.Q(state__in=["running", "paused"]),
                name="one_active_run_per_endpoint",
            )
        ]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="run_newest_first"),
            models.Index(fields=["state"], condition=models.Q(state="running"), name="run_running"),
            models.Index(fields=["batch"], condition=models.Q(batch__isnull=False), name="run_of_batch"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pk}"

    @property
    def is_active(self) -> bool:
        return self.state in self.ACTIVE


class RunStep(models.Model):
    """One step of a run, as the page shows it: its start, end and outcome."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=20)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ok = models.BooleanField(default=True)
    words = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["run", "name"], name="step_once_per_run")]

    def __str__(self) -> str:
        return self.name


class RunItem(models.Model):
    """One delivery of a run. The row is kept when the delivery is deleted."""

    class State(models.TextChoices):
        WAITING = "waiting", "Not requested"
        ASKING = "asking", "Being requested"
        REQUESTED = "requested", "Requested again"
        DELIVERED = "delivered", "Delivered"
        FAILED_AGAIN = "failed_again", "Failed again"
        NOT_SEEN = "not_seen", "Not seen"
        UNKNOWN = "unknown", "Outcome unknown"
        REFUSED = "refused", "Refused"
        LEFT_OUT = "left_out", "Left out"

    UNSETTLED = (State.ASKING, State.REQUESTED)
    MAY_COME = (State.FAILED_AGAIN, State.NOT_SEEN, State.UNKNOWN)
    """States in which OpenTrain may still attempt the delivery, for as long as it retries."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField(help_text="The order in which they are requested; 0 is the canary.")
    delivery = models.ForeignKey(Delivery, on_delete=models.SET_NULL, null=True, related_name="+")
    opentrain_id = models.CharField(max_length=200)
    event_type = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=20, choices=State, default=State.WAITING)
    asked_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    words = models.CharField(max_length=300, blank=True)
    after = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="The position of the item that must be settled first: an earlier event of the same resource.",
    )
    is_overtaken = models.BooleanField(
        default=False,
        db_default=False,
        help_text="A later event of its resource has overtaken it: it is left out, or a person chose it all the same.",
    )

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "opentrain_id"], name="delivery_once_per_run"),
            models.UniqueConstraint(fields=["run", "position"], name="position_once_per_run"),
        ]
        indexes = [
            models.Index(fields=["run", "state", "position"], name="item_by_state"),
            models.Index(fields=["run"], condition=models.Q(state__in=["asking", "requested"]), name="item_awaited"),
            # The next one to request, however many wait for earlier events.
            models.Index(
                fields=["run", "position"],
                condition=models.Q(state="waiting", after__isnull=True),
                name="item_to_claim",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.opentrain_id} ({self.state})"
