"""Who may sign in, and which installs they may see."""

from django.contrib.auth.models import AbstractUser
from django.db import models

from dashboard.models.installs import Install


class Role(models.TextChoices):
    SUPPORT = "support", "Support"
    PARTNER_ADMIN = "partner_admin", "Partner admin"
    NONE = "", "No access"


class User(AbstractUser):
    """A person. Without a role they can sign in and see nothing."""

    role = models.CharField(max_length=20, choices=Role, default=Role.NONE, blank=True)
    installs = models.ManyToManyField(Install, through="Grant", related_name="members")

    @property
    def is_support(self) -> bool:
        return self.role == Role.SUPPORT


class Grant(models.Model):
    """One partner admin's access to one install."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="grants")
    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="grants")
    granted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "install"], name="grant_once_per_user_and_install")]

    def __str__(self) -> str:
        return f"{self.user} on {self.install}"
