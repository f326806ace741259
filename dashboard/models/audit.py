"""The audit: who did what, from where, with which outcome. The table is append-only, enforced by a trigger."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Upper
from django.utils import timezone

from dashboard.db.fields import MaskedCharField, MaskedTextField
from dashboard.models.endpoints import Endpoint
from dashboard.models.installs import Install
from dashboard.models.runs import Run
from dashboard.rules.outside_texts import cut

if TYPE_CHECKING:
    from dashboard.models.members import User

_KEPT: dict[str, Any] = {"on_delete": models.DO_NOTHING, "db_constraint": False, "db_index": False}
"""Entries never change, so they keep the IDs of deleted objects."""


ENDPOINT_CHARS = 120
"""Most characters of an endpoint that lists show."""
NEWEST_FIRST = F("id") * -1
"""By ID, not by time, because the clocks of several machines differ."""


BESIDE_INSTALL = ("phase", "action", "actor_name", "operation")
"""Extra columns of the index of an install's entries, so that filters find entries without reading each row."""


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    def visible_to(self, user: "User") -> Self:
        """Support sees all entries; others see the entries of their installs, by any actor, and their own."""
        if user.sees_every_install:
            return self
        return self.filter(Q(install__in=Install.objects.visible_to(user)) | Q(actor=user))

    def rows(self, *, since: datetime | None = None, until: datetime | None = None, who: str = "") -> Self:
        """Leave out what runs requested if an entry of its run is there that it is folded into.

        Without `since`, there always is: the run's start comes before it, and is of the same person. Others may have
        paused or stopped the run: `who` is the person whose entries are there, if not everybody's.
        """
        if since is None:
            return self.filter(folded=False)
        there = AuditEntry.objects.filter(run=OuterRef("run"), folded=False, at__gte=since)
        there = there if until is None else there.filter(at__lt=until)
        there = there.filter(actor_name=who) if who else there
        return self.filter(Q(folded=False) | ~Exists(there))

    def operations(self) -> Self:
        """Keep one entry per operation: its answer, or its request while it has none."""
        answers = AuditEntry.objects.filter(operation=OuterRef("operation")).exclude(phase=AuditEntry.Phase.REQUESTED)
        # Not by Exists: because of the OR, PostgreSQL would read every answer before the first row.
        asked = self.alias(answer=Subquery(answers.values("pk")[:1]))
        return asked.filter(~Q(phase=AuditEntry.Phase.REQUESTED) | Q(answer__isnull=True))

    def with_links(self) -> Self:
        """Annotate each entry with whether its install and its endpoint still exist."""
        return self.annotate(
            install_there=Exists(Install.objects.filter(pk=OuterRef("install_id"))),
            endpoint_there=Exists(Endpoint.objects.filter(pk=OuterRef("endpoint_id"))),
        )

    def newest_first(self) -> Self:
        return self.order_by("-at", "-id")


class AuditEntry(models.Model):
    """An action and its outcome. `actions/audit.py` creates the entries.

    An operation on OpenTrain has two entries: the request, then the outcome. The request is committed before OpenTrain
    is called, so an operation whose process died appears as requested and never answered. An action that involves only
    Redeliver has one entry.

    Entries outlive the objects they refer to, and keep their names: `actor`, `install` and `endpoint` may be deleted.
    Read the names, or use `select_related`, which then gives None. But if a query also filters by one of these, Django
    uses an inner join, which drops such entries.
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
    agent = models.CharField(max_length=300, blank=True, db_default="", help_text="The browser's User-Agent.")
    install = models.ForeignKey(Install, null=True, related_name="audit", **_KEPT)
    install_name = models.CharField(max_length=200, blank=True, db_default="")
    install_opentrain_id = models.CharField(max_length=200, blank=True, db_default="")
    endpoint = models.ForeignKey(Endpoint, null=True, related_name="audit", **_KEPT)
    endpoint_url = MaskedCharField(max_length=2048, blank=True, db_default="", help_text="Without a receiver's key.")
    endpoint_name = models.CharField(
        max_length=150, blank=True, default="", db_default="", help_text="Its title then; empty in older entries."
    )
    endpoint_opentrain_id = models.CharField(max_length=200, blank=True, db_default="")
    delivery_id = models.CharField(max_length=200, blank=True, help_text="OpenTrain's delivery ID, if one was named.")
    words = MaskedTextField(blank=True, help_text="What the person was told.")
    quoted = MaskedTextField(blank=True, help_text="What OpenTrain said itself.")
    code = models.CharField(max_length=50, blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    requeued = models.PositiveIntegerField(null=True, blank=True)
    while_stopped = models.BooleanField(default=False, help_text="Whether the endpoint was DISABLED at the answer.")
    run = models.ForeignKey(Run, null=True, blank=True, related_name="+", **_KEPT)
    folded = models.BooleanField(
        default=False, db_default=False, help_text="Whether lists show it as a part of its run, and not as a row."
    )

    objects = AuditQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            models.Index(fields=["endpoint", "-at"], name="audit_endpoint_newest"),
            # For queries/operations.py. Only this index has its order: otherwise PostgreSQL tends to scan the primary
            # key backwards, through all later entries of others.
            models.Index(F("endpoint"), NEWEST_FIRST, condition=Q(endpoint__isnull=False), name="audit_endpoint_last"),
            models.Index(fields=["operation"], name="audit_of_operation"),
            # The audit page (queries/audit.py): one index per filter.
            models.Index(fields=["-at", "-id"], name="audit_newest"),
            models.Index(fields=["install", "-at", "-id"], include=list(BESIDE_INSTALL), name="audit_list_of_install"),
            models.Index(fields=["actor", "-at", "-id"], name="audit_of_actor"),
            models.Index(fields=["actor_name", "-at", "-id"], name="audit_of_name"),
            models.Index(fields=["action", "-at", "-id"], name="audit_of_action"),
            models.Index(fields=["phase", "-at", "-id"], name="audit_of_phase"),
            models.Index(fields=["request_id"], condition=~Q(request_id=""), name="audit_of_request"),
            models.Index(fields=["delivery_id"], condition=~Q(delivery_id=""), name="audit_of_delivery"),
            # Rows of the page: a run has one, whatever it requested.
            models.Index(fields=["-at", "-id"], condition=Q(folded=False), name="audit_newest_rows"),
            models.Index(fields=["run", "folded", "-at", "-id"], condition=Q(run__isnull=False), name="audit_of_run"),
            # Deleted objects are found by the names that entries keep; a search for an unknown name ends quickly.
            models.Index(fields=["install_opentrain_id"], name="audit_by_install_id"),
            models.Index(Upper("install_name"), name="audit_by_install_name"),
            models.Index(fields=["endpoint_opentrain_id"], name="audit_by_endpoint_id"),
        ]
        constraints = [
            # A form that is sent twice makes one call, because its operation can be requested only once.
            models.UniqueConstraint(
                fields=["operation"], condition=Q(phase="requested"), name="operation_requested_once"
            ),
            models.UniqueConstraint(fields=["operation"], condition=~Q(phase="requested"), name="operation_ends_once"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name}: {self.action} ({self.phase})"

    @property
    def endpoint_shown(self) -> str:
        """What the endpoint was called. Entries from before endpoints had names have its URL."""
        return cut(self.endpoint_name or self.endpoint_url, most=ENDPOINT_CHARS)

    @property
    def says_request_id(self) -> bool:
        """Whether the words already contain the request ID, so that a page does not repeat it."""
        return bool(self.request_id) and self.request_id in self.words


class Unanswered(models.Model):
    """Operations without an answer, of which there are few among a million entries. A trigger maintains the table.

    It only serves to find them quickly: the audit itself records the answers.
    """

    entry_id = models.BigIntegerField(primary_key=True, help_text="The request.")
    operation = models.UUIDField(unique=True)

    class Meta:
        verbose_name_plural = "unanswered operations"

    def __str__(self) -> str:
        return str(self.operation)
