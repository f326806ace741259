"""What endpoints were over time: their status and streak as OpenTrain said it, and when their deliveries stopped."""

from django.db import models

from dashboard.models.endpoints import Endpoint, severity_column
from dashboard.rules.endpoints import Severity


class EndpointSnapshot(models.Model):
    """What OpenTrain said from `at` on, until the endpoint's next row: one for each change, and one an hour."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="history", db_index=False)
    at = models.DateTimeField()
    status = models.CharField(max_length=50, blank=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    severity = severity_column()

    class Meta:
        indexes = [
            models.Index(fields=["endpoint", "at"], name="snapshot_of_endpoint"),
            # Retention.
            models.Index(fields=["at", "id"], name="snapshot_oldest_first"),
            # When something was wrong last.
            models.Index(fields=["at"], condition=models.Q(severity__lt=Severity.PAUSED), name="snapshot_of_trouble"),
        ]

    def __str__(self) -> str:
        return f"{self.status} ({self.consecutive_failures}) at {self.at:%Y-%m-%d %H:%M:%S}"


class Silence(models.Model):
    """An endpoint to which deliveries came regularly (`rules.silence`) and have stopped coming, as of `noticed_at`.

    One delivery ends it: whoever reads this looks whether there was one.
    """

    endpoint = models.OneToOneField(Endpoint, on_delete=models.CASCADE, primary_key=True, related_name="silence")
    last_at = models.DateTimeField(help_text="When the last delivery came.")
    rhythm = models.CharField(max_length=10, help_text="The name of the rhythm that it kept.")
    noticed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"silent since {self.last_at:%Y-%m-%d %H:%M:%S}"
