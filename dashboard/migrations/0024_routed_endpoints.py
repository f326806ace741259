"""What it takes to put an endpoint that exists behind the receiver, and to take it out of the path again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0023_attempt_body_fault")]

    operations = [
        migrations.AddField(
            "endpoint",
            "proof",
            models.CharField(
                choices=[("proven", "Proven"), ("waiting", "Waiting"), ("none", "None")],
                db_default="proven",
                default="proven",
                help_text="Whether the receiver refuses what does not verify.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            "endpoint",
            "routing_since",
            models.DateTimeField(
                blank=True,
                null=True,
                help_text="When OpenTrain was asked to deliver through Redeliver, without a clear answer yet.",
            ),
        ),
        migrations.AddField(
            "endpoint",
            "routed_at",
            models.DateTimeField(
                blank=True, null=True, help_text="When it was put behind the receiver, if it existed before."
            ),
        ),
        migrations.AddField(
            "endpoint",
            "bypassed_at",
            models.DateTimeField(
                blank=True, null=True, help_text="When it was taken out of the receiver's path, if it is not in it."
            ),
        ),
        migrations.AddField(
            "endpoint",
            "url_changed_at",
            models.DateTimeField(
                blank=True, null=True, help_text="When Redeliver learned that its URL was changed elsewhere."
            ),
        ),
        migrations.AddField(
            "endpoint",
            "url_before",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Its URL before that, without secrets.",
                max_length=2048,
            ),
        ),
    ]
