"""Handlers that receivers are asked to check. Receivers of the old code take none; then the console checks itself."""

import django.db.models.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0028_url_changed_alerts")]

    operations = [
        migrations.CreateModel(
            "HandlerCheck",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "asked_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.Now(), help_text="The database's clock."
                    ),
                ),
                (
                    "taken_by",
                    models.CharField(blank=True, help_text="The receiver; empty until one takes it.", max_length=100),
                ),
                (
                    "answered_at",
                    models.DateTimeField(blank=True, help_text="When the receiver knew.", null=True),
                ),
                ("status", models.PositiveSmallIntegerField(blank=True, null=True)),
                ("latency_ms", models.PositiveIntegerField(blank=True, null=True)),
                ("cause", models.CharField(blank=True, max_length=30)),
                ("words", models.TextField(blank=True)),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=models.deletion.CASCADE, related_name="+", to="dashboard.endpoint"
                    ),
                ),
            ],
        ),
    ]
