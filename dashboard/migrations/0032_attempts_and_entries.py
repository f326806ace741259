"""What charts of attempts, activity with folded runs and the search need, in tables that receivers write to.

The indexes are built while the tables are used.
"""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dashboard", "0031_names_and_time_zones")]

    operations = [
        AddIndexConcurrently(
            "delivery",
            models.Index(
                fields=["endpoint", "last_attempt_at"],
                include=["id", "attempt_count", "last_ok", "last_cause", "last_latency_ms"],
                name="delivery_attempted_of_endpoint",
            ),
        ),
        AddIndexConcurrently(
            "auditentry",
            models.Index(condition=models.Q(folded=False), fields=["-at", "-id"], name="audit_newest_rows"),
        ),
        AddIndexConcurrently(
            "auditentry",
            models.Index(
                condition=models.Q(run__isnull=False), fields=["run", "folded", "-at", "-id"], name="audit_of_run"
            ),
        ),
        # The quick search: the delivery IDs that refused requests claimed.
        AddIndexConcurrently(
            "refusedattempt",
            models.Index(
                condition=~models.Q(claimed_delivery_id=""),
                fields=["claimed_delivery_id"],
                name="refused_by_delivery_id",
            ),
        ),
    ]
