"""Who did what, from where, and what came of it. The table is append-only: a trigger refuses everything else."""

import uuid
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Upper
from django.utils import timezone

from dashboard.models.endpoints import Endpoint
from dashboard.models.installs import Install

if TYPE_CHECKING:
    from dashboard.models.members import User

_KEPT: dict[str, Any] = {"on_delete": models.DO_NOTHING, "db_constraint": False, "db_index": False}
"""An entry is never changed, so neither is its ID of something that is deleted: the ID then leads nowhere."""


NEWEST_FIRST = F("id") * -1
"""By ID and not by time: the clocks of several machines differ."""


BESIDE_INSTALL = ("phase", "action", "actor_name", "operation")
"""In the index of an install's entries, so that what of them is wanted is found without reading each."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def visible_to(self, user: "User") -> Self:
        """Support sees all; others what was done to their installs, by whomever, and what they did themselves."""
        if user.sees_every_install:
            return self
        return self.filter(Q(install__in=Install.objects.visible_to(user)) | Q(actor=user))

    def operations(self) -> Self:
        """Of each operation its answer, or its request while it has none."""
        answers = AuditEntry.objects.filter(operation=OuterRef("operation")).exclude(phase=AuditEntry.Phase.REQUESTED)
        # Not by Exists: beside the OR, PostgreSQL would read every answer there is before the first row.
        asked = self.alias(answer=Subquery(answers.values("pk")[:1]))
        return asked.filter(~Q(phase=AuditEntry.Phase.REQUESTED) | Q(answer__isnull=True))

    def with_links(self) -> Self:
        """Have each entry bring whether there is still a page of its install and of its endpoint."""
        return self.annotate(
            install_there=Exists(Install.objects.filter(pk=OuterRef("install_id"))),
            endpoint_there=Exists(Endpoint.objects.filter(pk=OuterRef("endpoint_id"))),
        )

    def newest_first(self) -> Self:
        return self.order_by("-at", "-id")


class AuditEntry(models.Model):
    """What was done, and what came of it. `actions/audit.py` makes them.

    An operation on OpenTrain has two: that it was requested, then what became of it. The first is committed before
    OpenTrain is called, so that an operation whose process died is seen as one that was requested and never answered.
    Whatever is done here alone has one.

    It outlives what it speaks of, and keeps its names: `actor`, `install` and `endpoint` may be gone. Read the names,
    or follow it by `select_related`, which gives None then; but where a query also filters by one of these, Django
    joins it so that no row is left.
    """

    class Phase(models.TextChoices):
        REQUESTED = "requested", "Requested"
        DONE = "done", "Done"
        REFUSED = "refused", "Refused"
        UNAVAILABLE = "unavailable", "Not taken"
        UNKNOWN = "unknown", "Outcome unknown"

    at = models.DateTimeField(default=timezone.now)
    operation = models.UUIDField(default=uuid.uuid4, help_text="The same on both rows.")
    phase = models.CharField(max_length=20, choices=Phase)
    action = models.CharField(max_length=50)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, related_name="+", **_KEPT)
    actor_name = models.CharField(max_length=150)
    address = models.GenericIPAddressField(null=True, help_text="Null: the worker, or the command line.")
    agent = models.CharField(max_length=300, blank=True, db_default="", help_text="What the browser calls itself.")
    install = models.ForeignKey(Install, null=True, related_name="audit", **_KEPT)
    install_name = models.CharField(max_length=200, blank=True, db_default="")
    install_opentrain_id = models.CharField(max_length=200, blank=True, db_default="")
    endpoint = models.ForeignKey(Endpoint, null=True, related_name="audit", **_KEPT)
    endpoint_url = models.CharField(max_length=2048, blank=True, db_default="", help_text="Without a receiver's key.")
    endpoint_opentrain_id = models.CharField(max_length=200, blank=True, db_default="")
    delivery_id = models.CharField(max_length=200, blank=True, help_text="OpenTrain's delivery ID, if one was named.")
    words = models.TextField(blank=True, help_text="What the person was told.")
    quoted = models.TextField(blank=True, help_text="What OpenTrain said itself.")
    code = models.CharField(max_length=50, blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    requeued = models.PositiveIntegerField(null=True, blank=True)
    while_stopped = models.BooleanField(default=False, help_text="Whether the endpoint was DISABLED at the answer.")

    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["endpoint", "-at"], name="audit_endpoint_newest"),
            # For queries/operations.py. Nothing else is in this order: PostgreSQL likes to walk the primary key
            # backwards, past whatever others have done since.
            models.Index(F("endpoint"), NEWEST_FIRST, condition=Q(endpoint__isnull=False), name="audit_endpoint_last"),
            models.Index(fields=["operation"], name="audit_of_operation"),
            # The page (queries/audit.py): one for each thing that it is filtered by.
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["install", "-at", "-id"], include=list(BESIDE_INSTALL), name="audit_list_of_install"),
            models.Index(fields=["actor", "-at", "-id"], name="audit_of_actor"),
            models.Index(fields=["actor_name", "-at", "-id"], name="audit_of_name"),
            models.Index(fields=["action", "-at", "-id"], name="audit_of_action"),
            models.Index(fields=["phase", "-at", "-id"], name="audit_of_phase"),
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="audit_of_request"),
            models.Index(fields=["delivery_id"], condition=~Q(delivery_id=""), name="audit_of_delivery"),
            # What is gone is found by the names that were kept; and what never was is quickly not found.
            models.Index(fields=["install_opentrain_id"], name="audit_by_install_id"),
            models.Index(Upper("install_name"), name="audit_by_install_name"),
            models.Index(fields=["endpoint_opentrain_id"], name="audit_by_endpoint_id"),
        ]
        constraints = [
            # What makes a form that is sent twice one call: its operation can be requested once.
            models.UniqueConstraint(
                fields=["operation"], condition=Q(phase="requested"), name="operation_requested_once"
            ),
            models.UniqueConstraint(fields=["operation"], condition=~Q(phase="requested"), name="operation_ends_once"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} ({self.phase})"

    @property
    def says_request_id(self) -> bool:
        """Whether the request ID stands in the words already, so that a page does not repeat it."""
        return bool(self.request_id) and self.request_id in self.words


class Unanswered(models.Model):
    """The operations that were requested and have no answer, a few among a million entries. A trigger keeps it.

    It is read to find them, and nothing depends on it otherwise: the audit itself says what was answered.
    """

    entry_id = models.BigIntegerField(primary_key=True, help_text="The request.")
    operation = models.UUIDField(unique=True)

    class Meta:
        verbose_name_plural = "unanswered operations"

    def __str__(self) -> str:
        return str(self.operation)
