"""The Partner API's models: columns and constraints. Writes are in `installs`, `links`, `contracts`, `endpoints`,
`events`, `claims` and `record_outcomes`.

IDs in the API are opaque text: a prefix and 128 random bits, so one ID reveals nothing about another. There are two
exceptions: IDs of events only grow, and 48 bits of a delivery's ID are a time (`events` says why).
"""

import secrets
from datetime import UTC, datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from dashboard.partner_api import targets
from dashboard.partner_api.policy import RESPONSE_HEAD_BYTES, Cause


def _identifier(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(16)}"


def app_id() -> str:
    return _identifier("app")


def install_id() -> str:
    return _identifier("ins")


def token_id() -> str:
    return _identifier("tok")


def endpoint_id() -> str:
    return _identifier("whe")


def job_id() -> str:
    return _identifier("job")


def link_id() -> str:
    return _identifier("plk")


def contract_id() -> str:
    return _identifier("ctr")


def milestone_id() -> str:
    return _identifier("mls")


class Scope(models.TextChoices):
    """The permissions of a token. Source: partner-api, "Who calls"."""

    PROJECT_LINKS_READ = "project-links:read"
    PROJECT_LINKS_WRITE = "project-links:write"
    CONTRACTS_READ = "contracts:read"
    PARTICIPANTS_READ = "participants:read"
    PARTICIPANTS_EMAIL = "participants:email"
    USAGE_WRITE = "usage:write"
    WEBHOOKS_MANAGE = "webhooks:manage"


class EventType(models.TextChoices):
    """Source: partner-api, "Operations"."""

    CONTRACT_STARTED = "contract.started"
    CONTRACT_ENDED = "contract.ended"
    PROJECT_LINK_CREATED = "project_link.created"
    PROJECT_LINK_REMOVED = "project_link.removed"
    INSTALL_REVOKED = "install.revoked"
    MILESTONE_FUNDED = "milestone.funded"
    MILESTONE_BUDGET_LOW = "milestone.budget_low"
    MILESTONE_BUDGET_DEPLETED = "milestone.budget_depleted"


class App(models.Model):
    """A partner's platform app."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE"
        SUSPENDED = "SUSPENDED"

    id = models.TextField(primary_key=True, default=app_id)
    slug = models.SlugField(unique=True)
    name = models.TextField()
    status = models.TextField(choices=Status.choices, default=Status.ACTIVE)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=["ACTIVE", "SUSPENDED"]), name="partner_api_app_status"),
        ]

    def __str__(self) -> str:
        return self.slug


class Install(models.Model):
    """One customer's grant of one app."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE"
        SUSPENDED = "SUSPENDED"
        REVOKED = "REVOKED"

    id = models.TextField(primary_key=True, default=install_id)
    app = models.ForeignKey(App, on_delete=models.PROTECT)
    organization_id = models.TextField()
    organization_name = models.TextField()
    status = models.TextField(choices=Status.choices, default=Status.ACTIVE)
    scopes = ArrayField(models.TextField())
    pii_consent = models.BooleanField(default=False)
    feature_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=["ACTIVE", "SUSPENDED", "REVOKED"]), name="partner_api_install_status"
            ),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def shows_email(self) -> bool:
        """Whether events may carry work email addresses: this needs the scope, and the customer's separate consent."""
        return self.pii_consent and Scope.PARTICIPANTS_EMAIL in self.scopes


class Token(models.Model):
    """A bearer token of one install. Only its hash is stored, which cannot be used to call."""

    id = models.TextField(primary_key=True, default=token_id)
    install = models.ForeignKey(Install, on_delete=models.CASCADE)
    name = models.TextField()
    scopes = ArrayField(models.TextField())
    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.id

    @property
    def granted(self) -> list[str]:
        """The token's effective scopes: only those that its install also has."""
        return [scope for scope in self.scopes if scope in self.install.scopes]

    @property
    def shows_email(self) -> bool:
        """Whether answers may show work email addresses."""
        return self.install.shows_email and Scope.PARTICIPANTS_EMAIL in self.scopes


class Bucket(models.Model):
    """How many calls a token has left. The table is unlogged, and only `limits` writes it."""

    token = models.OneToOneField(Token, on_delete=models.CASCADE, primary_key=True)
    calls_left = models.FloatField()
    counted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.token_id}: {self.calls_left:g}"


class Job(models.Model):
    """A job of an employer. Contracts and project links belong to it; the API shows nothing but its ID."""

    id = models.TextField(primary_key=True, default=job_id)
    organization_id = models.TextField(db_index=True)
    title = models.TextField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.id


class ProjectLink(models.Model):
    """Maps a project of the partner's to a job. Without a job it gets no events of contracts."""

    class ProvisioningMode(models.TextChoices):
        PARTNER_WEBHOOK = "PARTNER_WEBHOOK"
        MANAGED_ADAPTER = "MANAGED_ADAPTER"

    EXTERNAL_ID_CHARS, NAME_CHARS, URL_CHARS = 200, 300, 2048

    id = models.TextField(primary_key=True, default=link_id)
    install = models.ForeignKey(Install, on_delete=models.CASCADE)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, null=True)
    external_project_id = models.CharField(max_length=EXTERNAL_ID_CHARS)
    external_project_name = models.CharField(max_length=NAME_CHARS, null=True)  # noqa: DJ001 - null is its value in the API
    external_project_url = models.CharField(max_length=URL_CHARS, null=True)  # noqa: DJ001 - the same
    provisioning_mode = models.TextField(choices=ProvisioningMode.choices, default=ProvisioningMode.PARTNER_WEBHOOK)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["install", "-created_at", "-id"], name="partner_api_link_newest")]
        constraints = [
            models.UniqueConstraint(fields=["install", "external_project_id"], name="partner_api_link_once"),
            models.CheckConstraint(
                condition=Q(provisioning_mode__in=["PARTNER_WEBHOOK", "MANAGED_ADAPTER"]), name="partner_api_link_mode"
            ),
        ]

    def __str__(self) -> str:
        return self.id


class Contract(models.Model):
    """A hire on a job. It is active until it has an end."""

    class PaymentType(models.TextChoices):
        PAY_PER_HOUR = "PAY_PER_HOUR"
        PAY_PER_LABEL = "PAY_PER_LABEL"
        FIXED_PRICE = "FIXED_PRICE"

    id = models.TextField(primary_key=True, default=contract_id)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, db_index=False)
    title = models.TextField()
    payment_type = models.TextField(choices=PaymentType.choices, null=True)  # noqa: DJ001 - null is its value in the API
    start_date = models.DateTimeField()
    end_date = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["job", "-created_at", "-id"], name="partner_api_contract_newest")]

    def __str__(self) -> str:
        return self.id

    @property
    def status(self) -> str:
        return "active" if self.end_date is None else "ended"


class Participant(models.Model):
    """An AI trainer who was hired with a contract. The first one is its hired AI trainer."""

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, db_index=False)
    opentrain_user_id = models.TextField()
    display_name = models.TextField()
    country = models.TextField()
    profile_url = models.TextField()
    work_email = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contract", "opentrain_user_id"], name="partner_api_participant_once"),
        ]

    def __str__(self) -> str:
        return self.opentrain_user_id


class Milestone(models.Model):
    """A part of a contract that the employer has funded. The newest one is active, those before it are completed."""

    class Status(models.TextChoices):
        ACTIVE_FUNDED = "ACTIVE_FUNDED"
        COMPLETED = "COMPLETED"

    id = models.TextField(primary_key=True, default=milestone_id)
    contract = models.ForeignKey(Contract, on_delete=models.CASCADE)
    name = models.TextField()
    amount_usd = models.DecimalField(max_digits=12, decimal_places=2)
    # Hours or labels, as the contract is paid; null for a fixed price.
    volume = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    status = models.TextField(choices=Status.choices, default=Status.ACTIVE_FUNDED)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["contract"], condition=Q(status="ACTIVE_FUNDED"), name="partner_api_milestone_one_active"
            ),
        ]

    def __str__(self) -> str:
        return self.id


class Usage(models.Model):
    """What a worker has done on one day, in all. A report replaces the totals that it names."""

    MOST = 2**31 - 1
    WORKER_CHARS, REPORT_CHARS = 100, 200

    contract = models.ForeignKey(Contract, on_delete=models.CASCADE, db_index=False)
    worker_id = models.CharField(max_length=WORKER_CHARS)
    work_date = models.DateField()
    total_seconds = models.PositiveIntegerField(default=0)
    tasks_completed = models.PositiveIntegerField(default=0)
    labels_completed = models.PositiveIntegerField(default=0)
    external_report_id = models.CharField(max_length=REPORT_CHARS, null=True)  # noqa: DJ001 - none was sent
    reported_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contract", "worker_id", "work_date"], name="partner_api_usage_once"),
        ]

    def __str__(self) -> str:
        return f"{self.worker_id} on {self.work_date}"


class Endpoint(models.Model):
    """A URL that an install's events are delivered to."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE"
        DISABLED = "DISABLED"

    id = models.TextField(primary_key=True, default=endpoint_id)
    install = models.ForeignKey(Install, on_delete=models.CASCADE)
    url = models.CharField(max_length=targets.MAX_LENGTH)
    event_types = ArrayField(models.TextField())
    secret_sealed = models.TextField()
    status = models.TextField(choices=Status.choices, default=Status.ACTIVE)
    consecutive_failures = models.PositiveIntegerField(default=0)
    disabled_at = models.DateTimeField(null=True)
    disabled_reason = models.TextField(null=True)  # noqa: DJ001 - null is its value in the API
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["install", "-created_at", "-id"], name="partner_api_endpoint_newest")]
        constraints = [
            models.CheckConstraint(
                condition=Q(status="ACTIVE", disabled_at=None, disabled_reason=None)
                | Q(status="DISABLED", disabled_at__isnull=False, disabled_reason__isnull=False),
                name="partner_api_endpoint_disabled",
            ),
            models.CheckConstraint(condition=Q(event_types__len__gt=0), name="partner_api_endpoint_types"),
        ]

    def __str__(self) -> str:
        return self.id

    @property
    def active(self) -> bool:
        return self.status == self.Status.ACTIVE


class Event(models.Model):
    """Something that happened, with the exact bytes that each of its deliveries sends."""

    id = models.BigAutoField(primary_key=True)
    install = models.ForeignKey(Install, on_delete=models.CASCADE)
    type = models.TextField(choices=EventType.choices)
    resource_id = models.TextField()
    job_id = models.TextField(null=True)  # noqa: DJ001 - null is its value in the API
    body = models.BinaryField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(type__in=EventType.values), name="partner_api_event_type"),
        ]

    def __str__(self) -> str:
        return self.wire_id

    @property
    def wire_id(self) -> str:
        return event_wire_id(self.pk)


class Delivery(models.Model):
    """One event for one endpoint.

    `round` grows with each requeue. `tries` counts the attempts of the current round (up to five), `attempts` all of
    them. `claimed_by` is the claim that holds the delivery, and `lease_until` the time when that claim lapses.
    """

    class Status(models.TextChoices):
        PENDING = "PENDING"
        DELIVERED = "DELIVERED"
        FAILED = "FAILED"

    # Generated by PostgreSQL in the fan-out: 'dlv_', the time, and 20 random hex digits.
    id = models.TextField(primary_key=True)
    # Every index slows every attempt. The indexes of these two are below; Django would add a second one for text.
    event = models.ForeignKey(Event, on_delete=models.CASCADE, db_index=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, db_index=False)
    status = models.TextField(choices=Status.choices, default=Status.PENDING)
    round = models.PositiveIntegerField(default=1)
    tries = models.PositiveIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True)
    claimed_by = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            # The claim looks up the due deliveries of each ACTIVE endpoint, oldest first, so an endpoint with a large
            # backlog costs the others nothing.
            models.Index(
                fields=["endpoint", "next_attempt_at"], name="partner_api_delivery_due", condition=Q(status="PENDING")
            ),
            models.Index(fields=["endpoint"], name="partner_api_delivery_failed", condition=Q(status="FAILED")),
            models.Index(fields=["endpoint"], name="partner_api_delivery_endpoint"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["event", "endpoint"], name="partner_api_delivery_once"),
            models.CheckConstraint(
                condition=Q(status="PENDING", next_attempt_at__isnull=False)
                | Q(status__in=["DELIVERED", "FAILED"], next_attempt_at=None),
                name="partner_api_delivery_status",
            ),
        ]

    def __str__(self) -> str:
        return self.id


class Attempt(models.Model):
    """One POST of a delivery and its outcome. An empty `cause` means success."""

    id = models.BigAutoField(primary_key=True)
    # With DO_NOTHING one statement can delete an endpoint's deliveries; `endpoints.delete` deletes the attempts first.
    # The unique constraint below provides the index.
    delivery = models.ForeignKey(Delivery, on_delete=models.DO_NOTHING, db_index=False)
    number = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    status_code = models.PositiveSmallIntegerField(null=True)
    cause = models.TextField(blank=True, choices=[(cause.value, cause.value) for cause in Cause])
    detail = models.TextField(blank=True, default="")
    response_head = models.BinaryField(max_length=RESPONSE_HEAD_BYTES)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["delivery", "number"], name="partner_api_attempt_number"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"


def event_wire_id(number: int) -> str:
    """Return an event's ID in the API, zero-padded to the width of a bigint, so IDs sort as text in their order."""
    return f"evt_{number:019d}"


def wire_time(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds, the format of every time in the API."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
