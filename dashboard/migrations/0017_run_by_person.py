"""Whether a person paused, stopped or cancelled a run: until now only the beginning of a sentence told.

What the code of before pauses or stops while this is applied counts as a fault of the run's until it is resumed.
"""

from django.db import migrations, models

FILL = """
UPDATE dashboard_run SET by_person = true
WHERE (state = 'paused' AND why LIKE 'Paused by %') OR (state = 'stopped' AND why LIKE 'Stopped by %')
    OR (state = 'cancelled' AND why LIKE 'Cancelled by %')
"""


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0016_audit_lists")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="by_person",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Whether a person paused, stopped or cancelled it.",
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
