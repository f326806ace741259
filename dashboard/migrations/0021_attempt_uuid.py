"""A name for each attempt, and whether OpenTrain was answered in time. Neither is known of earlier attempts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0020_endpoint_writes")]

    operations = [
        migrations.AddField(
            "attempt",
            "uuid",
            models.UUIDField(
                null=True,
                blank=True,
                help_text="Names the receiver's attempt before it is in the log; null if observed.",
            ),
        ),
        migrations.AddField(
            "attempt",
            "answered_in_time",
            models.BooleanField(
                null=True,
                blank=True,
                help_text="Whether OpenTrain got our answer in time; null if that is not known.",
            ),
        ),
    ]
