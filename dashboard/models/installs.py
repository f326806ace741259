"""Installs: one customer's grant of the partner's app, and its token."""

from datetime import datetime
from typing import TYPE_CHECKING, Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Case, F, Q, Value, When

from dashboard.db.fields import SecretField
from dashboard.db.word_search import words_in
from dashboard.rules.endpoints import Severity
from dashboard.rules.installs import NEEDS_PERSON, Trouble
from dashboard.rules.pasted import searched_ids

if TYPE_CHECKING:
    from dashboard.models.members import User

MANAGE_SCOPE = "webhooks:manage"
"""The scope that every webhook-endpoint operation needs. Source: partner-api, "Who calls"."""


RANK_OF_TROUBLE = 0
"""The rank of an install that needs attention itself."""
NO_ENDPOINT = max(Severity) + 1
"""The rank of an install without endpoints."""
IS_IN_TROUBLE = (
    Q(last_error_code__in=sorted(NEEDS_PERSON)) | ~Q(token_scopes__contains=[MANAGE_SCOPE]) | ~Q(status="ACTIVE")
)


NEEDS_ATTENTION = Q(rank=RANK_OF_TROUBLE) | ~Q(unread_entries="")
"""An install that is in the inbox itself, regardless of its endpoints."""


class InstallQuerySet(models.QuerySet["Install"]):
    def visible_to(self, user: "User") -> Self:
        """Support sees every install, partner admins and viewers those granted to them, everyone else none."""
        if user.sees_every_install:
            return self
        if user.sees_granted_installs:
            return self.filter(grants__user=user)
        return self.none()

    def named(self, text: str) -> Self:
        """Keep those that a filter names: by the number in the URL of a page, the ID at OpenTrain, or the name."""
        if text.isdecimal():
            return self.filter(pk=int(text))
        return self.filter(Q(opentrain_id__in=searched_ids(text)) | Q(name__iexact=text))

    def connected(self) -> Self:
        """Leave out those that people disconnected: nothing is known of them any more."""
        return self.filter(disconnected_at__isnull=True)


class Install(models.Model):
    """The last response of `GET /installs/current`, and its time. Fields from the API hold its values unchanged."""

    opentrain_id = models.CharField(max_length=200, unique=True)
    name = models.CharField(max_length=200, help_text="The name that people here use for this customer.")
    organization_id = models.CharField(max_length=200)
    app_id = models.CharField(max_length=200)
    app_name = models.CharField(max_length=200)
    status = models.CharField(max_length=50)
    scopes = ArrayField(models.CharField(max_length=100), default=list)
    pii_consent = models.BooleanField(default=False)
    created_at = models.DateTimeField(help_text="When the customer installed the app, as OpenTrain says.")

    token = SecretField()
    token_id = models.CharField(max_length=200)
    token_name = models.CharField(max_length=200)
    token_scopes = ArrayField(models.CharField(max_length=100), default=list)

    connected_at = models.DateTimeField(auto_now_add=True)
    disconnected_at = models.DateTimeField(
        null=True, blank=True, help_text="When a person disconnected it here; its log stays until retention."
    )
    disconnected_by_name = models.CharField(max_length=150, blank=True, default="", db_default="")
    checked_at = models.DateTimeField(help_text="When OpenTrain last answered for this install.")
    listed_at = models.DateTimeField(
        null=True, blank=True, help_text="When OpenTrain last gave the list of its endpoints."
    )
    unread_entries = models.TextField(
        blank=True, default="", db_default="", help_text="Which entries of that list could not be read, in words."
    )
    refresh_requested_at = models.DateTimeField(
        null=True, blank=True, help_text="When a page requested a refresh that is to come."
    )
    last_error = models.TextField(blank=True, help_text="Why the last call failed, in words; empty when it did not.")
    last_error_code = models.CharField(max_length=30, blank=True, help_text="The same, as `rules.installs.Trouble`.")
    last_error_at = models.DateTimeField(null=True, blank=True)
    trouble_since = models.DateTimeField(null=True, blank=True, help_text="When it began to fail for that reason.")

    # For the poller (actions/installs/poller.py).
    poll_after = models.DateTimeField(null=True, blank=True, help_text="OpenTrain is left alone until then.")
    failures = models.PositiveSmallIntegerField(default=0, help_text="Consecutive calls without a result.")
    described_at = models.DateTimeField(null=True, blank=True, help_text="When status and scopes were last requested.")

    # Totals of its endpoints, written by actions/installs/snapshots.py, so that lists of installs do not count them.
    endpoint_count = models.PositiveIntegerField(default=0)
    needing_count = models.PositiveIntegerField(default=0, help_text="Endpoints that need a person.")
    fine_count = models.PositiveIntegerField(default=0, help_text="Endpoints that are active, without a failure.")
    worst = models.PositiveSmallIntegerField(default=NO_ENDPOINT, help_text="The severity of the worst endpoint.")
    rank = models.GeneratedField(
        expression=Case(
            When(IS_IN_TROUBLE, then=Value(RANK_OF_TROUBLE)),
            default=F("worst"),
            output_field=models.PositiveSmallIntegerField(),
        ),
        output_field=models.PositiveSmallIntegerField(),
        db_persist=True,
        help_text="The lower, the sooner it needs attention.",
    )

    objects = InstallQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]
        indexes = [
            models.Index(fields=["rank", "name", "id"], name="install_worst_first"),
            models.Index(fields=["name", "id"], name="install_by_name"),
            models.Index(fields=["-endpoint_count", "name", "id"], name="install_by_endpoints"),
            models.Index(fields=["checked_at", "id"], name="install_by_checked"),
            models.Index(fields=["poll_after"], name="install_due"),
            models.Index(fields=["id"], condition=~Q(unread_entries=""), name="install_unread"),
            # The number of connected installs is on every page of their list: counted from here, no row is read.
            models.Index(fields=["id"], condition=Q(disconnected_at__isnull=True), name="install_connected"),
            # The quick search (queries/search.py).
            models.Index(fields=["organization_id"], name="install_of_organization"),
            GinIndex(words_in("name"), name="install_words"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_disconnected(self) -> bool:
        """Whether a person disconnected it: OpenTrain is never called for it, and nothing is known of its state."""
        return self.disconnected_at is not None

    @property
    def needs_person(self) -> bool:
        """Whether the install itself needs attention, regardless of its endpoints."""
        return bool(self.rank == RANK_OF_TROUBLE) and not self.is_disconnected

    @property
    def needs_attention(self) -> bool:
        """Whether the install itself is in the inbox: `NEEDS_ATTENTION` for one row."""
        return self.needs_person or (bool(self.unread_entries) and not self.is_disconnected)

    @property
    def can_manage(self) -> bool:
        """Whether the token has the scope that every webhook-endpoint operation needs."""
        return MANAGE_SCOPE in self.token_scopes

    @property
    def is_never_synced(self) -> bool:
        """Whether its endpoints have never been read from OpenTrain, as just after it was connected."""
        return self.can_manage and self.listed_at is None and not self.endpoint_count

    @property
    def synced_at(self) -> datetime | None:
        """When the data that pages show was last read from OpenTrain; None before the first time."""
        if not self.can_manage and not self.is_disconnected:
            return self.checked_at
        return None if self.is_never_synced else self.listed_at or self.checked_at

    @property
    def is_active(self) -> bool:
        """Whether OpenTrain sends its events."""
        return self.status == "ACTIVE"

    @property
    def new_token_helps(self) -> bool:
        """Whether the install needs attention and a new token fixes it."""
        return not self.can_manage or self.token_was_refused

    @property
    def token_was_refused(self) -> bool:
        """Whether the token has the scope it needs, but no longer works."""
        refused = self.last_error_code in {Trouble.TOKEN_REFUSED, Trouble.TOKEN_UNREADABLE}
        return self.can_manage and self.is_active and refused

    @property
    def trouble_words(self) -> str:
        """Why the install itself needs attention, in words. `last_error` explains OpenTrain's last response."""
        if not self.can_manage:
            return (
                f"This token lacks {MANAGE_SCOPE}, so the install's endpoints cannot be read or changed. "
                "Ask the customer to reconnect with that scope, then paste the new token."
            )
        if self.status != "ACTIVE" or self.last_error_code == Trouble.NOT_ACTIVE:
            status = "not active" if self.status == "ACTIVE" else self.status
            words = f"OpenTrain says that the install or its platform app is {status}: no events are sent."
            return f"{words} {self.last_error}".strip()
        return self.last_error
