"""No attempt is in the log twice. The index is built beside what goes on, and earlier attempts are not in it.

A build that was broken off leaves an index that is not valid: the next try drops it first.
"""

from django.db import migrations, models

NAME = "attempt_once"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dashboard", "0021_attempt_uuid")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    [
                        f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}",
                        f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON dashboard_attempt (uuid) WHERE uuid IS NOT NULL",
                    ],
                    [f"DROP INDEX CONCURRENTLY IF EXISTS {NAME}"],
                ),
            ],
            state_operations=[
                migrations.AddConstraint(
                    "attempt",
                    models.UniqueConstraint(
                        fields=["uuid"], condition=models.Q(uuid__isnull=False), name=NAME
                    ),
                ),
            ],
        ),
    ]
