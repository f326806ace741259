"""What each receiver last said of its spool."""

from django.db import models

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
