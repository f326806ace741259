"""Users, their roles, and the installs they may see."""

from collections.abc import Iterator

from django.contrib.auth.models import AbstractUser
from django.db import models

from dashboard.models.installs import Install
from dashboard.rules.handler_names import THE_HANDLER, YOUR_HANDLER


class Role(models.TextChoices):
    """A user's role. dashboard/auth/permissions.py defines the permissions of each."""

    SUPPORT_LEAD = "support_lead", "Support lead"
    SUPPORT = "support", "Support"
    PARTNER_ADMIN = "partner_admin", "Partner admin"
    VIEWER = "viewer", "Viewer"
    NONE = "", "No access"


SEES_EVERY_INSTALL = frozenset({Role.SUPPORT_LEAD, Role.SUPPORT})
SEES_GRANTED_INSTALLS = frozenset({Role.PARTNER_ADMIN, Role.VIEWER})


class User(AbstractUser):
    """A person's account. Without a role they can sign in but see nothing."""

    role = models.CharField(max_length=20, choices=Role, default=Role.NONE, blank=True)
    installs = models.ManyToManyField(Install, through="Grant", related_name="members")
    session_generation = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Sessions of an earlier generation are over."
    )
    time_zone = models.CharField(
        max_length=60, blank=True, default="", db_default="", help_text="An IANA name; empty is the browser's."
    )
    link_made_at = models.DateTimeField(
        null=True, blank=True, help_text="When the set-password link was made that still works."
    )

    def get_session_auth_hash(self) -> str:
        return self._of_generation(super().get_session_auth_hash())

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        return map(self._of_generation, super().get_session_auth_fallback_hash())

    def _of_generation(self, session_hash: str) -> str:
        """Add the session generation to the hash. Generation 0 keeps Django's hash, so older sessions stay valid."""
        return f"{session_hash}.{self.session_generation}" if self.session_generation else session_hash

    @property
    def sees_every_install(self) -> bool:
        return self.role in SEES_EVERY_INSTALL

    @property
    def handler_is(self) -> str:
        """What they call an endpoint's handler: partners have one of their own."""
        return THE_HANDLER if self.sees_every_install else YOUR_HANDLER

    @property
    def sees_granted_installs(self) -> bool:
        return self.role in SEES_GRANTED_INSTALLS


class Grant(models.Model):
    """The access of one partner admin or viewer to one install."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="grants")
    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="grants")
    granted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "install"], name="grant_once_per_user_and_install")]

    def __str__(self) -> str:
        return f"{self.user} on {self.install}"
