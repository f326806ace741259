"""What OpenTrain last said of project links and contracts, what changed, and when an install is read again.

A row is kept for as long as OpenTrain lists what it is about, or may list it: a list has no cursor, so what is beyond
its limit is out of reach and not gone. Times named `…_seen_at` are by Redeliver's own clock, all others by OpenTrain's.
"""

from typing import TYPE_CHECKING, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F
from django.db.models.functions import Coalesce

from dashboard.db.fields import MaskedCharField
from dashboard.models.installs import Install

if TYPE_CHECKING:
    from dashboard.models.members import User


class Reconciliation(models.Model):
    """When an install's links and contracts are read, and what the last read could not tell."""

    install = models.OneToOneField(Install, on_delete=models.CASCADE, primary_key=True, related_name="reconciliation")
    due_at = models.DateTimeField(null=True, blank=True, help_text="It is left alone until then. Null: due.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Consecutive reads without a result.")
    error = models.TextField(blank=True, help_text="Why the last read failed, in words; empty when it did not.")
    links_read_at = models.DateTimeField(
        null=True, blank=True, help_text="When the request began that gave the last list of project links."
    )
    contracts_read_at = models.DateTimeField(
        null=True, blank=True, help_text="When the first request began that gave the last lists of contracts."
    )
    out_of_reach = models.TextField(
        blank=True, help_text="What of the contracts the last read could not reach, in words; empty if nothing."
    )
    judged_at = models.DateTimeField(
        null=True, blank=True, help_text="Until when the log was whole that its findings were last updated from."
    )
    log_kept_since = models.DateTimeField(
        null=True, blank=True, help_text="Retention may have removed deliveries from before this time."
    )

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="reconciliation_due")]

    def __str__(self) -> str:
        return f"reconciliation of {self.install_id}"


class ProjectLinkQuerySet(models.QuerySet["ProjectLink"]):
    def visible_to(self, user: "User") -> Self:
        if user.sees_every_install:
            return self
        return self.filter(install__in=Install.objects.visible_to(user))


class ProjectLink(models.Model):
    """A project of the partner's that is mapped to a job, as OpenTrain last said."""

    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="project_links", db_index=False)
    opentrain_id = models.CharField(max_length=200)
    job_id = models.CharField(max_length=200, blank=True, help_text="Empty: none. Then no contract events come.")
    external_project_id = models.CharField(max_length=200, blank=True)
    external_project_name = models.CharField(max_length=300, blank=True)
    external_project_url = MaskedCharField(max_length=2048, blank=True)
    provisioning_mode = models.CharField(max_length=50, blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True, blank=True, help_text="When a list first lacked it. Our own clock.")
    contracts_read_at = models.DateTimeField(
        null=True, blank=True, help_text="When its own contracts were last read, where the lists of all are too long."
    )

    objects = ProjectLinkQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["install", "opentrain_id"], name="link_once_per_install")]
        indexes = [
            models.Index(fields=["install", "job_id"], name="link_of_job"),
            models.Index(fields=["job_id"], name="link_by_job"),  # an ID that people paste, of any install
            models.Index(fields=["opentrain_id"], name="link_by_opentrain_id"),
            models.Index(fields=["external_project_id"], name="link_of_project"),
            models.Index(fields=["gone_at", "id"], condition=models.Q(gone_at__isnull=False), name="link_gone"),
        ]

    def __str__(self) -> str:
        return self.opentrain_id


CREATED = Coalesce("created_at", "first_seen_at")
"""When a contract was created; if OpenTrain does not say so, when it was first read. Lists are in its order."""


class ContractQuerySet(models.QuerySet["Contract"]):
    def visible_to(self, user: "User") -> Self:
        if user.sees_every_install:
            return self
        return self.filter(install__in=Install.objects.visible_to(user))


class Contract(models.Model):
    """A contract on a linked job, as OpenTrain last said."""

    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="contracts", db_index=False)
    opentrain_id = models.CharField(max_length=200)
    status = models.CharField(
        max_length=50, blank=True, help_text="active, ended, or a future status; empty: not said."
    )
    job_id = models.CharField(max_length=200, blank=True)
    title = models.CharField(max_length=300, blank=True)
    start_date = models.DateTimeField(null=True, blank=True)
    end_date = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(null=True, blank=True)
    link_ids = ArrayField(models.CharField(max_length=200), default=list)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    active_seen_at = models.DateTimeField(null=True, blank=True, help_text="When it was last listed as active.")
    ended_seen_at = models.DateTimeField(null=True, blank=True, help_text="When it was first listed as ended.")
    gone_at = models.DateTimeField(
        null=True, blank=True, help_text="When lists that were complete first lacked it. Our own clock."
    )
    budget_state = models.CharField(max_length=50, blank=True, help_text="OK, LOW, DEPLETED; empty: not known.")
    budget_consumed = models.FloatField(null=True, blank=True, help_text="The fraction that is consumed.")
    budget_read_at = models.DateTimeField(null=True, blank=True)
    known_from = models.DateTimeField(
        null=True, blank=True, help_text="Retention may have removed its deliveries from before this time unseen."
    )
    judged_as = models.CharField(
        max_length=32, blank=True, default="", db_default="", help_text="Digest of what its verdicts were made from."
    )

    objects = ContractQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["install", "opentrain_id"], name="contract_once_per_install")]
        indexes = [
            models.Index(F("install"), CREATED.desc(), F("id").desc(), name="contract_newest_of_install"),
            models.Index(fields=["opentrain_id"], name="contract_by_opentrain_id"),
            models.Index(fields=["job_id"], name="contract_of_job"),
            models.Index(fields=["gone_at", "id"], condition=models.Q(gone_at__isnull=False), name="contract_gone"),
        ]

    def __str__(self) -> str:
        return self.opentrain_id

    @property
    def has_ended(self) -> bool:
        """Whether OpenTrain lists it as ended, or has before."""
        return self.status == "ended" or self.ended_seen_at is not None


_OF_TIME = frozenset({"start_date", "end_date", "created_at"})


class ContractChange(models.Model):
    """A change of a contract or a link that happened between two reads; `before` and `after` are OpenTrain's words."""

    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="+")
    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, null=True, blank=True, related_name="changes")
    link = models.ForeignKey(ProjectLink, on_delete=models.CASCADE, null=True, blank=True, related_name="changes")
    what = models.CharField(max_length=30, help_text="The field; or gone, or back.")
    before = models.CharField(max_length=300, blank=True)
    after = models.CharField(max_length=300, blank=True)
    not_before = models.DateTimeField(help_text="When it was last seen as before.")
    seen_at = models.DateTimeField(help_text="When it was first seen as after.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(contract__isnull=True) ^ models.Q(link__isnull=True), name="change_of_one_thing"
            )
        ]

    def __str__(self) -> str:
        return f"{self.what} at {self.seen_at:%Y-%m-%d %H:%M:%S}"

    @property
    def is_of_time(self) -> bool:
        """Whether `before` and `after` are times. All else, such as a title, stays as OpenTrain has it."""
        return self.what in _OF_TIME

    @property
    def label(self) -> str:
        """What has changed, for people: "End date"."""
        return self.what.replace("_", " ").capitalize()
