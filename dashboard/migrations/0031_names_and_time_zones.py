"""Names of endpoints, installs that people disconnect, the time zone that each reads times in, and entries of runs."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import migrations, models

STOPPED = """
    UPDATE dashboard_endpoint SET stopped_seen_at = seen.at FROM (
        SELECT endpoint_id, max(at) AS at FROM dashboard_endpointsnapshot
        WHERE status = 'DISABLED' AND at > now() - interval '30 days' GROUP BY endpoint_id
    ) AS seen WHERE seen.endpoint_id = dashboard_endpoint.id
"""


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0030_contracts_and_findings")]

    operations = [
        migrations.AddField(
            "endpoint",
            "name",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="What people call it; empty until one says.",
                max_length=80,
            ),
        ),
        migrations.AddField(
            "endpoint",
            "told_apart_by",
            models.CharField(
                blank=True,
                help_text="What follows its title where another of the install has the same; null until that is worked "
                "out.",
                max_length=30,
                null=True,
            ),
        ),
        migrations.AddField(
            "install",
            "disconnected_at",
            models.DateTimeField(
                blank=True, help_text="When a person disconnected it here; its log stays until retention.", null=True
            ),
        ),
        migrations.AddField(
            "install",
            "disconnected_by_name",
            models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
        migrations.AddField(
            "user",
            "time_zone",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="An IANA name; empty is the browser's.",
                max_length=60,
            ),
        ),
        migrations.AddField(
            "auditentry",
            "endpoint_name",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Its title then; empty in older entries.",
                max_length=150,
            ),
        ),
        migrations.AddField(
            "alert",
            "endpoint_url",
            models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Empty in alerts from before names existed.",
                max_length=200,
            ),
        ),
        migrations.AddIndex(
            "endpoint",
            GinIndex(
                SearchVector(
                    models.Func(
                        "name",
                        models.Value("-._~:/?#[]@!$&'()*+,;=%|<>{}^`\\\""),
                        models.Value(" " * 32),
                        function="translate",
                        output_field=models.TextField(),
                    ),
                    config="simple",
                ),
                condition=~models.Q(name=""),
                name="endpoint_name_words",
            ),
        ),
        migrations.AddField(
            "auditentry",
            "run",
            models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=models.deletion.DO_NOTHING,
                related_name="+",
                to="dashboard.run",
            ),
        ),
        migrations.AddField(
            "auditentry",
            "folded",
            models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whether lists show it as a part of its run, and not as a row.",
            ),
        ),
        migrations.AddField(
            "endpoint",
            "stopped_seen_at",
            models.DateTimeField(
                blank=True, help_text="When it was last seen disabled or paused, or active again after that.", null=True
            ),
        ),
        migrations.AddIndex(
            "endpoint",
            models.Index(
                condition=models.Q(("stopped_seen_at__isnull", False)),
                fields=["stopped_seen_at"],
                name="endpoint_stopped_lately",
            ),
        ),
        migrations.RunSQL(STOPPED, migrations.RunSQL.noop),
    ]
