"""Tell the deliveries that there are what their handlers reported of the last signature; and the indexes of that.

The lists' plain indexes are replaced by ones that hold the verdict, too; the old are dropped when the new are there.

In steps of attempts, each a transaction of its own, so that the receiver never waits long for a row. What the code of
before records meanwhile counts as verified until its next attempt.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

STEP = 50_000
REPORTED = """
    UPDATE dashboard_delivery d SET last_signature = a.signature FROM dashboard_attempt a
    WHERE a.id >= %s AND a.id < %s AND a.signature <> 'verified'
        AND d.id = a.delivery_id AND d.last_attempt_at = a.received_at
        AND NOT EXISTS (SELECT FROM dashboard_attempt b
            WHERE b.delivery_id = a.delivery_id AND b.received_at = a.received_at AND b.number > a.number)
"""
NOT_VERIFIED = ~models.Q(last_signature="verified")


def fill(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT min(id), max(id) FROM dashboard_attempt")
        first, last = cursor.fetchone()
        for start in range(first or 0, (last or -1) + 1, STEP):
            cursor.execute(REPORTED, [start, start + STEP])


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dashboard", "0014_delivery_signature")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        AddIndexConcurrently(
            "delivery",
            models.Index(
                condition=NOT_VERIFIED,
                fields=["endpoint", "last_signature", "first_received_at", "id"],
                name="delivery_reports_of_endpoint",
            ),
        ),
        AddIndexConcurrently(
            "delivery",
            models.Index(
                condition=NOT_VERIFIED,
                fields=["last_signature", "first_received_at", "id"],
                name="delivery_reports_of_all",
            ),
        ),
        AddIndexConcurrently(
            "delivery",
            models.Index(fields=["first_received_at", "id"], include=["last_signature"], name="delivery_newest_of_all"),
        ),
        AddIndexConcurrently(
            "delivery",
            models.Index(
                fields=["endpoint", "first_received_at", "id"],
                include=["last_signature"],
                name="delivery_newest_of_endpoint",
            ),
        ),
        RemoveIndexConcurrently("delivery", "delivery_of_endpoint"),
        RemoveIndexConcurrently("delivery", "delivery_of_all"),
    ]
