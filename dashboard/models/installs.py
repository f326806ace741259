"""Installs: one customer's grant to the partner's app, and the token that speaks for it."""

from typing import TYPE_CHECKING, Self

from django.contrib.postgres.fields import ArrayField
from django.db import models

from dashboard.models.fields import SecretField

if TYPE_CHECKING:
    from dashboard.models.members import User

MANAGE_SCOPE = "webhooks:manage"
"""Every webhook-endpoint operation needs it. Source: partner-api, "Who calls"."""


class InstallQuerySet(models.QuerySet["Install"]):
    def visible_to(self, user: "User") -> Self:
        """Support sees every install, a partner admin those granted to them, anybody else none."""
        if user.role == "support":
            return self
        if user.role == "partner_admin":
            return self.filter(grants__user=user)
        return self.none()


class Install(models.Model):
    """What `GET /installs/current` said last, and when. Fields from the API hold its words unchanged."""

    opentrain_id = models.CharField(max_length=200, unique=True)
    name = models.CharField(max_length=200, help_text="What people here call this customer.")
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
    checked_at = models.DateTimeField(help_text="When OpenTrain last answered for this install.")
    last_error = models.TextField(blank=True, help_text="Why the last call failed, in words; empty when it did not.")
    last_error_at = models.DateTimeField(null=True, blank=True)

    objects = InstallQuerySet.as_manager()

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return self.name

    @property
    def can_manage(self) -> bool:
        """Whether the token carries the scope that every webhook-endpoint operation needs."""
        return MANAGE_SCOPE in self.token_scopes
