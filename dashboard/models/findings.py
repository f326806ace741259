"""What became of contracts' events at endpoints: the evidence, what is not in order, and what was handed over."""

import uuid
from typing import TYPE_CHECKING, Self

from django.conf import settings
from django.db import models

from dashboard.db.fields import MaskedCharField, MaskedHeadersField
from dashboard.models.contracts import Contract
from dashboard.models.endpoints import Endpoint
from dashboard.models.installs import Install
from dashboard.rules.handovers import Result
from dashboard.rules.reconciliation import Consequence, Kind, Reason
from dashboard.rules.reconciliation_facts import EXPECTED

if TYPE_CHECKING:
    from dashboard.models.members import User


class Evidence(models.Model):
    """What the log said of one delivery of a contract's event. It outlives the delivery, so it has no key of it."""

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="evidence", db_index=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="evidence", db_index=False)
    event_type = models.CharField(max_length=100)
    opentrain_id = models.CharField(max_length=200, help_text="The delivery's.")
    event_id = models.CharField(max_length=200, blank=True)
    event_created_at = models.DateTimeField(null=True, blank=True)
    link_id = models.CharField(  # noqa: DJ001 - null is "not known"
        max_length=200,
        null=True,
        blank=True,
        help_text="The project link that the body names; empty: it names none; null: no body was read.",
    )
    first_received_at = models.DateTimeField()
    last_attempt_at = models.DateTimeField()
    attempt_count = models.PositiveIntegerField(default=0, db_default=0)
    taken_at = models.DateTimeField(null=True, blank=True, help_text="When the handler took it first; null: never.")
    standing = models.PositiveSmallIntegerField(help_text="The delivery's, when it was last looked at.")
    due_by = models.DateTimeField(null=True, blank=True)
    last_cause = models.CharField(max_length=30, blank=True)
    last_status = models.PositiveSmallIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "evidence"
        constraints = [models.UniqueConstraint(fields=["endpoint", "opentrain_id"], name="evidence_once")]
        indexes = [
            models.Index(fields=["contract", "endpoint", "event_type"], name="evidence_of_contract"),
            # IDs that people paste, also of deliveries that the log has no longer.
            models.Index(fields=["opentrain_id"], name="evidence_by_opentrain_id"),
            models.Index(fields=["event_id"], name="evidence_of_event"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.opentrain_id}"


_EXPECTED = [reason.value for reason in EXPECTED]


class FindingQuerySet(models.QuerySet["Finding"]):
    def visible_to(self, user: "User") -> Self:
        if user.sees_every_install:
            return self
        return self.filter(install__in=Install.objects.visible_to(user))

    def open(self) -> Self:
        return self.filter(closed_at__isnull=True)

    def unexpected(self) -> Self:
        """Keep the open ones of events that were to come."""
        return self.filter(closed_at__isnull=True).exclude(reason__in=_EXPECTED)


class Finding(models.Model):
    """An event of a contract that an endpoint did not take, or not in order. It is closed when that is no longer so."""

    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="findings", db_index=False)
    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, related_name="findings", db_index=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="findings", db_index=False)
    event_type = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=[(kind.value, kind.label) for kind in Kind])
    reason = models.CharField(max_length=20, blank=True, choices=[(one.value, one.name) for one in Reason])
    consequence = models.CharField(max_length=20, blank=True, choices=[(one.value, one.name) for one in Consequence])
    happened_at = models.DateTimeField(
        null=True, blank=True, help_text="When the contract started or ended, as far as is known."
    )
    until = models.DateTimeField(null=True, blank=True, help_text="Until when it may still come by itself.")
    refused_at = models.DateTimeField(
        null=True, blank=True, help_text="When a request of its type was refused that may have been it."
    )
    found_at = models.DateTimeField()
    changed_at = models.DateTimeField(help_text="When its kind or reason last changed.")
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_words = models.CharField(max_length=300, blank=True)

    objects = FindingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contract", "endpoint", "event_type"], name="finding_once_per_event")
        ]
        indexes = [
            models.Index(
                fields=["install", "consequence", "kind"],
                condition=models.Q(closed_at__isnull=True),
                name="finding_open_of_install",
            ),
            models.Index(
                fields=["endpoint", "kind"], condition=models.Q(closed_at__isnull=True), name="finding_open_of_endpoint"
            ),
            # Those that may change at any moment: few, and looked at every few seconds.
            models.Index(
                fields=["until"],
                condition=models.Q(closed_at__isnull=True) & ~models.Q(kind=Kind.MISSING),
                name="finding_that_may_change",
            ),
            # `unexpected`, by install.
            models.Index(
                fields=["install", "consequence", "kind"],
                condition=models.Q(closed_at__isnull=True) & ~models.Q(reason__in=_EXPECTED),
                name="finding_of_inbox",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} of {self.contract_id}: {self.kind}"


class HandoverQuerySet(models.QuerySet["Handover"]):
    def visible_to(self, user: "User") -> Self:
        if user.sees_every_install:
            return self
        return self.filter(install__in=Install.objects.visible_to(user))

    def waiting(self) -> Self:
        return self.filter(ended_at__isnull=True)


class Handover(models.Model):
    """An event that Redeliver built from OpenTrain's reads for a handler, because its delivery is missing.

    It is no delivery: nothing that counts, lists or redelivers deliveries reads this table. What came of it is
    `result`, `ok` if the handler took it. A row without `ended_at` waits, and is sent if it still may be then.
    """

    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="handovers")
    contract = models.ForeignKey(Contract, on_delete=models.SET_NULL, null=True, related_name="handovers")
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="handovers")
    contract_opentrain_id = models.CharField(max_length=200)
    event_type = models.CharField(max_length=100)
    link_id = models.CharField(max_length=200, blank=True)
    delivery_id = models.CharField(max_length=200, help_text="X-OpenTrain-Delivery: the same each time it is sent.")
    operation = models.UUIDField(unique=True, default=uuid.uuid4, help_text="A form that is sent twice sends once.")
    batch = models.UUIDField(null=True, blank=True, help_text="The form of a selection; null: sent one by one.")
    body = models.BinaryField(null=True, help_text="The raw bytes, as signed; null: not sent, or not kept any more.")
    body_gone_at = models.DateTimeField(null=True, blank=True, help_text="When retention took the body.")
    request_headers = MaskedHeadersField(default=list, help_text="[[name, value], …] as sent.")
    handler_url = MaskedCharField(max_length=2048, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=150)
    asked_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ok = models.BooleanField(default=False)
    result = models.CharField(max_length=20, blank=True, choices=[(one.value, one.label) for one in Result])
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="The handler's.")
    cause = models.CharField(max_length=30, blank=True)
    words = models.CharField(max_length=400, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    response_headers = MaskedHeadersField(default=list)
    response_head = models.BinaryField(null=True, help_text="The first bytes of the handler's response.")

    objects = HandoverQuerySet.as_manager()

    class Meta:
        ordering = ["-asked_at", "-id"]
        indexes = [
            models.Index(fields=["endpoint", "-asked_at"], name="handover_of_endpoint"),
            models.Index(fields=["contract", "endpoint", "event_type"], name="handover_of_event"),
            models.Index(fields=["asked_at"], condition=models.Q(ended_at__isnull=True), name="handover_waiting"),
            # Retention.
            models.Index(fields=["asked_at", "id"], name="handover_oldest_first"),
            # The quick search: the ID is in a handler's own log.
            models.Index(fields=["delivery_id"], name="handover_by_delivery_id"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.delivery_id}"
