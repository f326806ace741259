"""How an alert ended, in a column of its own: until now only its sentence told, and a reworded one would have read as
"Resolved".

The sentences are those of before, written out: they stay what they were when the code says others. An alert that the old
code ends after this has no end, and is shown as "Not known". One UPDATE reads the whole table, and needs no index: the
retention keeps it small, and pages of alerts wait until it is done. Backwards, the sentences still tell.
"""

from django.db import migrations, models

FILL = """
UPDATE dashboard_alert SET ended_as = CASE cleared_words
    WHEN 'The endpoint was deleted.' THEN 'deleted'
    WHEN 'The install was disconnected from Redeliver, so whether this goes on is not known.' THEN 'not_known'
    ELSE 'resolved' END
WHERE cleared_at IS NOT NULL AND ended_as = ''
"""


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0034_connected_installs")]

    operations = [
        migrations.AddField(
            "alert",
            "ended_as",
            models.CharField(
                blank=True,
                choices=[("resolved", "Resolved"), ("deleted", "Endpoint deleted"), ("not_known", "Not known")],
                db_default="",
                default="",
                help_text="Empty while it is open.",
                max_length=20,
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
