"""When an install's endpoints were last listed, and when a page last requested that they are listed anew."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0017_run_by_person")]

    operations = [
        migrations.AddField(
            "install",
            "listed_at",
            models.DateTimeField(
                null=True, blank=True, help_text="When OpenTrain last gave the list of its endpoints."
            ),
        ),
        migrations.AddField(
            "install",
            "refresh_requested_at",
            models.DateTimeField(null=True, blank=True, help_text="When a page requested a refresh that is to come."),
        ),
    ]
