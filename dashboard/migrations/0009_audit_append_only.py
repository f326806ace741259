"""From here on the audit only grows: nothing that is deleted changes it, and the database refuses whoever tries to.

The trigger is a row's, so that code of before, which on a deletion updates the entries that refer to it, goes on
working wherever there are none. Emptying the table has no rows to ask, so that one is a statement's.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

APPEND_ONLY = """
CREATE FUNCTION dashboard_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit is append-only: % is refused.', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE ON dashboard_auditentry
    FOR EACH ROW EXECUTE FUNCTION dashboard_audit_append_only();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON dashboard_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION dashboard_audit_append_only();
"""
AS_BEFORE = """
DROP TRIGGER audit_stays ON dashboard_auditentry;
DROP TRIGGER audit_entries_stay ON dashboard_auditentry;
DROP FUNCTION dashboard_audit_append_only();
"""
KEPT = {"on_delete": django.db.models.deletion.DO_NOTHING, "db_constraint": False, "db_index": False, "null": True}


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0008_audit_indexes")]

    operations = [
        migrations.AlterField("auditentry", "actor", models.ForeignKey(related_name="+", to=settings.AUTH_USER_MODEL, **KEPT)),
        migrations.AlterField("auditentry", "install", models.ForeignKey(related_name="audit", to="dashboard.install", **KEPT)),
        migrations.AlterField("auditentry", "endpoint", models.ForeignKey(related_name="audit", to="dashboard.endpoint", **KEPT)),
        migrations.RunSQL(APPEND_ONLY, AS_BEFORE),
    ]
