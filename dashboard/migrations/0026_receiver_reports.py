"""What each receiver last said of its spool."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0025_route_changes")]

    operations = [
        migrations.CreateModel(
            "ReceiverReport",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(help_text="Its spool's folder.", max_length=100, unique=True)),
                (
                    "held",
                    models.PositiveBigIntegerField(help_text="Attempts in its spool that were not in the log then."),
                ),
                ("heard_at", models.DateTimeField(help_text="When it reported. Its own clock.")),
            ],
            options={"ordering": ["name"]},
        ),
    ]
