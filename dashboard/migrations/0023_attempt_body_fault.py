"""What was wrong with the body of a handler's response whose status decided. Of earlier attempts nothing is known."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0022_attempt_once")]

    operations = [
        migrations.AddField(
            "attempt",
            "body_fault",
            models.CharField(
                max_length=30,
                blank=True,
                default="",
                db_default="",
                help_text="What was wrong with the body of the handler's response; empty if nothing, or if unknown.",
            ),
        ),
    ]
