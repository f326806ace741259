"""The history of endpoints and installs: OpenTrain's status over time, and when deliveries stopped."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from dashboard.models.endpoints import Endpoint, severity_column
from dashboard.models.installs import Install
from dashboard.rules.endpoints import Severity


class EndpointSnapshot(models.Model):
    """OpenTrain's status from `at` until the endpoint's next row. There is a row for each change, and one per hour.

    Columns that an earlier release did not write are null.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="history", db_index=False)
    at = models.DateTimeField()
    status = models.CharField(max_length=50, blank=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    severity = severity_column()
    not_before = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When it was last seen as the row before says. Between that and `at` it changed.",
    )
    event_types = ArrayField(models.CharField(max_length=100), null=True, blank=True)
    is_received = models.BooleanField(null=True, blank=True, help_text="Whether it was delivered to its receiver.")

    class Meta:
        indexes = [
            models.Index(fields=["endpoint", "at"], name="snapshot_of_endpoint"),
            # Retention.
            models.Index(fields=["at", "id"], name="snapshot_oldest_first"),
            # When the last problem was.
            models.Index(fields=["at"], condition=models.Q(severity__lt=Severity.PAUSED), name="snapshot_of_trouble"),
        ]

    def __str__(self) -> str:
        return f"{self.status} ({self.consecutive_failures}) at {self.at:%Y-%m-%d %H:%M:%S}"


class InstallSnapshot(models.Model):
    """An install's status from `at` until its next row. There is a row for each change, and for the first time."""

    install = models.ForeignKey(Install, on_delete=models.CASCADE, related_name="history", db_index=False)
    at = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True, help_text="As in EndpointSnapshot.")
    status = models.CharField(max_length=50, blank=True)

    class Meta:
        indexes = [models.Index(fields=["install", "at"], name="snapshot_of_install")]

    def __str__(self) -> str:
        return f"{self.status} at {self.at:%Y-%m-%d %H:%M:%S}"


class Silence(models.Model):
    """An endpoint whose regular deliveries (`rules.silence`) have stopped, as noticed at `noticed_at`.

    A later delivery ends the silence, so readers must check whether one has arrived since.
    """

    endpoint = models.OneToOneField(Endpoint, on_delete=models.CASCADE, primary_key=True, related_name="silence")
    last_at = models.DateTimeField(help_text="When the last delivery arrived.")
    rhythm = models.CharField(max_length=10, help_text="The name of the rhythm that it kept.")
    noticed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"silent since {self.last_at:%Y-%m-%d %H:%M:%S}"
