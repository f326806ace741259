"""What the last attempt's signature came to, on the delivery, so that lists can be filtered by it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0013_audit_last")]

    operations = [
        migrations.AddField(
            "delivery",
            "last_signature",
            models.CharField(
                blank=True,
                db_default="verified",
                default="verified",
                help_text="The verdict on the last attempt's signature; empty where its handler did not say.",
                max_length=30,
            ),
        ),
    ]
