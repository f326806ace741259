"""Which entries of OpenTrain's list of endpoints could not be read, and which endpoints these are."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0018_refresh")]

    operations = [
        migrations.AddField(
            "endpoint",
            "unread_why",
            models.TextField(
                blank=True,
                default="",
                db_default="",
                help_text="Why its entry in OpenTrain's last list could not be read; empty if it could.",
            ),
        ),
        migrations.AddField(
            "install",
            "unread_entries",
            models.TextField(
                blank=True, default="", db_default="", help_text="Which entries of that list could not be read, in words."
            ),
        ),
        migrations.AddIndex(
            "install",
            models.Index(fields=["id"], condition=models.Q(("unread_entries", ""), _negated=True), name="install_unread"),
        ),
    ]
