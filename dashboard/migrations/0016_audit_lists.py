"""What the activity pages need at a million entries: which operations have no answer, and wider or further indexes.

The trigger is there before the table is filled, so that no request is missed; what was answered while it was filled is
taken out again.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Upper

KEEP = """
CREATE FUNCTION dashboard_audit_unanswered() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.phase = 'requested' THEN
        INSERT INTO dashboard_unanswered (entry_id, operation) VALUES (NEW.id, NEW.operation);
    ELSE
        DELETE FROM dashboard_unanswered WHERE operation = NEW.operation;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_unanswered AFTER INSERT ON dashboard_auditentry
    FOR EACH ROW EXECUTE FUNCTION dashboard_audit_unanswered();
"""
FORGET = """
DROP TRIGGER audit_unanswered ON dashboard_auditentry;
DROP FUNCTION dashboard_audit_unanswered();
"""
ANSWERED = "EXISTS (SELECT FROM dashboard_auditentry a WHERE a.operation = {}.operation AND a.phase <> 'requested')"
FILL = f"""
INSERT INTO dashboard_unanswered (entry_id, operation)
SELECT id, operation FROM dashboard_auditentry e WHERE phase = 'requested' AND NOT {ANSWERED.format("e")}
ON CONFLICT DO NOTHING
"""
SETTLE = f"DELETE FROM dashboard_unanswered u WHERE {ANSWERED.format('u')}"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dashboard", "0015_delivery_reports")]

    operations = [
        migrations.CreateModel(
            "Unanswered",
            [
                ("entry_id", models.BigIntegerField(help_text="The request.", primary_key=True, serialize=False)),
                ("operation", models.UUIDField(unique=True)),
            ],
            options={"verbose_name_plural": "unanswered operations"},
        ),
        migrations.RunSQL(KEEP, FORGET),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(SETTLE, migrations.RunSQL.noop),
        AddIndexConcurrently(
            "auditentry",
            models.Index(
                fields=["install", "-at", "-id"],
                include=("phase", "action", "actor_name", "operation"),
                name="audit_list_of_install",
            ),
        ),
        RemoveIndexConcurrently("auditentry", "audit_of_install"),
        AddIndexConcurrently("auditentry", models.Index(fields=["install_opentrain_id"], name="audit_by_install_id")),
        AddIndexConcurrently("auditentry", models.Index(Upper("install_name"), name="audit_by_install_name")),
        AddIndexConcurrently("auditentry", models.Index(fields=["endpoint_opentrain_id"], name="audit_by_endpoint_id")),
    ]
