"""What the audit's page is filtered by."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

INDEXES = (
    models.Index(fields=["operation"], name="audit_of_operation"),
    models.Index(fields=["-at", "-id"], name="audit_newest"),
    models.Index(fields=["install", "-at", "-id"], name="audit_of_install"),
    models.Index(fields=["actor", "-at", "-id"], name="audit_of_actor"),
    models.Index(fields=["actor_name", "-at", "-id"], name="audit_of_name"),
    models.Index(fields=["action", "-at", "-id"], name="audit_of_action"),
    models.Index(fields=["phase", "-at", "-id"], name="audit_of_phase"),
    models.Index(condition=~models.Q(request_id=""), fields=["request_id"], name="audit_of_request"),
    models.Index(condition=~models.Q(delivery_id=""), fields=["delivery_id"], name="audit_of_delivery"),
)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dashboard", "0007_audit_names")]

    operations = [AddIndexConcurrently("auditentry", index) for index in INDEXES]
