"""The last disable of each endpoint on both clocks, and what endpoints were like before changes that were confirmed."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0019_unread_entries")]

    operations = [
        migrations.AddField(
            "endpoint",
            "auto_disabled_at",
            models.DateTimeField(
                null=True,
                blank=True,
                help_text="disabledAt of the last auto-disable, kept after re-enabling. OpenTrain's clock.",
            ),
        ),
        migrations.AddField(
            "endpoint",
            "disable_learned_at",
            models.DateTimeField(null=True, blank=True, help_text="When Redeliver learned of that auto-disable. Its own clock."),
        ),
        migrations.CreateModel(
            "EndpointWrite",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(help_text="When OpenTrain answered the change, by our own clock.")),
                (
                    "existed",
                    models.BooleanField(
                        help_text="Whether it was at OpenTrain before. The other columns describe how."
                    ),
                ),
                ("url_digest", models.CharField(blank=True, max_length=64)),
                (
                    "event_types",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
                ),
                ("status", models.TextField(blank=True)),
                ("consecutive_failures", models.PositiveIntegerField(default=0)),
                ("disabled_at", models.DateTimeField(null=True, blank=True)),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=models.deletion.CASCADE, related_name="writes", to="dashboard.endpoint"
                    ),
                ),
            ],
        ),
    ]
