"""What people checked of times in which nothing was sent. The old code does not know the table, and shows these times."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0032_attempts_and_entries")]

    operations = [
        migrations.CreateModel(
            "WindowCheck",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("checked_at", models.DateTimeField()),
                ("checked_by_name", models.CharField(max_length=150)),
                (
                    "note",
                    models.CharField(blank=True, help_text="How, in the words of who checked it.", max_length=300),
                ),
                (
                    "checked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="window_checks",
                        to="dashboard.endpoint",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["until", "id"], name="window_check_by_end")],
                "constraints": [
                    models.UniqueConstraint(fields=("endpoint", "since", "until"), name="window_check_once")
                ],
            },
        ),
    ]
