"""The history of endpoints and installs: status over time, when deliveries stopped, and what people checked of that."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from dashboard.db.fields import MaskedCharField
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


class WindowCheck(models.Model):
    """A person's word that they checked what may be missing from a time in which an endpoint was sent nothing.

    It is of exactly the time from `since` to `until` that the history shows, and proves nothing. Undone by deleting it;
    the audit keeps both.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="window_checks", db_index=False)
    since = models.DateTimeField()
    until = models.DateTimeField()
    checked_at = models.DateTimeField()
    checked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    checked_by_name = models.CharField(max_length=150)
    note = MaskedCharField(max_length=300, blank=True, help_text="How, in the words of who checked it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "since", "until"], name="window_check_once")]
        indexes = [
            # The inbox, and retention.
            models.Index(fields=["until", "id"], name="window_check_by_end"),
        ]

    def __str__(self) -> str:
        return f"checked by {self.checked_by_name} at {self.checked_at:%Y-%m-%d %H:%M:%S}"
