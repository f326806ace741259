"""Rotations of a signing secret, with their progress, so that people can leave and continue later."""

from typing import Self

from django.conf import settings
from django.db import models

from dashboard.models.endpoints import Endpoint


class RotationQuerySet(models.QuerySet["Rotation"]):
    def under_way(self) -> Self:
        return self.exclude(step__in=[Rotation.Step.DONE, Rotation.Step.ABORTED])

    def of(self, *, endpoint: Endpoint) -> Self:
        """Keep those with the endpoint as the old or the new one, newest first."""
        mine = models.Q(old=endpoint) | models.Q(new=endpoint)
        return self.filter(mine).order_by("-id").select_related("old", "new").defer("old__secret", "new__secret")


class Rotation(models.Model):
    """The replacement of an endpoint by a new one with another secret. Source: partner-api, "Operations", PATCH.

    The row is created with the new endpoint's row, before the call to OpenTrain, so that an endpoint that OpenTrain has
    registered is not lost if this process dies.
    """

    class Step(models.TextChoices):
        CREATE = "create", "Creating the new endpoint"
        PROVE = "prove", "Waiting for the first delivery"
        DELETE = "delete", "Deleting the old endpoint"
        DONE = "done", "Done"
        ABORTED = "aborted", "Aborted"

    old = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="rotations")
    new = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="rotations_to")
    step = models.CharField(max_length=10, choices=Step, default=Step.CREATE)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    started_by_name = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    created_at = models.DateTimeField(null=True, blank=True, help_text="When OpenTrain had made the new endpoint.")
    proved_at = models.DateTimeField(null=True, blank=True, help_text="When its first delivery had succeeded.")
    unproven = models.BooleanField(default=False, help_text="Whether a person continued without that.")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by_name = models.CharField(max_length=150, blank=True)

    objects = RotationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["old"], condition=~models.Q(step__in=["done", "aborted"]), name="rotation_one_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"rotation of {self.old_id} ({self.step})"

    @property
    def is_under_way(self) -> bool:
        return self.step not in {self.Step.DONE, self.Step.ABORTED}

    @property
    def is_mistaken(self) -> bool:
        """Whether OpenTrain answered the creation of the new endpoint with the ID of another one."""
        return self.new.opentrain_id is None and self.new.deleted_at is not None
