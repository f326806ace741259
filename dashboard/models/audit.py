"""Who did what on OpenTrain, and what it answered."""

import uuid

from django.conf import settings
from django.db import models

from dashboard.models.endpoints import Endpoint
from dashboard.models.installs import Install


class AuditEntry(models.Model):
    """One of the two rows of an operation: that it was requested, then what became of it.

    The first is committed before OpenTrain is called, so that an operation whose process died is seen as one that was
    requested and never answered.
    """

    class Phase(models.TextChoices):
        REQUESTED = "requested", "Requested"
        DONE = "done", "Done"
        REFUSED = "refused", "Refused"
        UNAVAILABLE = "unavailable", "Not taken"
        UNKNOWN = "unknown", "Outcome unknown"

    at = models.DateTimeField(auto_now_add=True)
    operation = models.UUIDField(default=uuid.uuid4, help_text="The same on both rows.")
    phase = models.CharField(max_length=20, choices=Phase)
    action = models.CharField(max_length=50)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=150)
    install = models.ForeignKey(Install, on_delete=models.SET_NULL, null=True, related_name="audit")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.SET_NULL, null=True, related_name="audit")
    delivery_id = models.CharField(max_length=200, blank=True, help_text="OpenTrain's delivery ID, if one was named.")
    words = models.TextField(blank=True, help_text="What the person was told.")
    quoted = models.TextField(blank=True, help_text="What OpenTrain said itself.")
    code = models.CharField(max_length=50, blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    requeued = models.PositiveIntegerField(null=True, blank=True)
    while_stopped = models.BooleanField(default=False, help_text="Whether the endpoint was DISABLED at the answer.")

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["endpoint", "-at"], name="audit_endpoint_newest")]
        constraints = [
            # What makes a form that is sent twice one call: its operation can be requested once.
            models.UniqueConstraint(
                fields=["operation"], condition=models.Q(phase="requested"), name="operation_requested_once"
            ),
            models.UniqueConstraint(
                fields=["operation"], condition=~models.Q(phase="requested"), name="operation_ends_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} ({self.phase})"
