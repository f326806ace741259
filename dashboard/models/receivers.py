"""What each receiver last said of its spool, when receivers ran, and the handlers that receivers are asked to check."""

from django.db import models
from django.db.models.functions import Now

from dashboard.db.fields import MaskedTextField
from dashboard.models.endpoints import Endpoint

NAME_LIMIT = 100


class ReceiverReport(models.Model):
    """A receiver's report. A receiver that ends with an empty spool takes its report away.

    So a report that is not renewed is one of a receiver that cannot reach the database, or that was killed: how many
    attempts it holds is not known then.
    """

    name = models.CharField(max_length=NAME_LIMIT, unique=True, help_text="Its spool's folder.")
    held = models.PositiveBigIntegerField(help_text="Attempts in its spool that were not in the log then.")
    heard_at = models.DateTimeField(help_text="When it reported. Its own clock.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name}: {self.held}"


class ReceiverPresence(models.Model):
    """A process of a receiver, from its start until it was last heard of. Between processes, nothing was received.

    A process that is killed while it cannot reach the database ran longer than its row says.
    """

    name = models.CharField(max_length=NAME_LIMIT, help_text="Its spool's folder.")
    began_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "began_at"], name="presence_once_per_process")]
        indexes = [models.Index(fields=["last_at"], name="presence_newest")]

    def __str__(self) -> str:
        return f"{self.name} until {self.last_at:%Y-%m-%d %H:%M:%S}"


class HandlerCheck(models.Model):
    """A handler that the console asks a receiver to check. Rows last for seconds (actions/handler_checks.py).

    It has no URL: the receiver reads the endpoint's. `status` is null and `cause` says why, if the handler did not
    respond.
    """

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="+")
    asked_at = models.DateTimeField(db_default=Now(), help_text="The database's clock.")
    taken_by = models.CharField(max_length=NAME_LIMIT, blank=True, help_text="The receiver; empty until one takes it.")
    answered_at = models.DateTimeField(null=True, blank=True, help_text="When the receiver knew.")
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    cause = models.CharField(max_length=30, blank=True)
    words = MaskedTextField(blank=True)

    def __str__(self) -> str:
        return f"check of {self.endpoint_id}"
