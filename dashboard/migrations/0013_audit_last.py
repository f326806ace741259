"""The newest entry of an endpoint, by one read of an index."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("dashboard", "0012_list_indexes")]

    operations = [
        AddIndexConcurrently(
            "auditentry",
            models.Index(
                models.F("endpoint"),
                models.F("id") * -1,
                condition=models.Q(endpoint__isnull=False),
                name="audit_endpoint_last",
            ),
        ),
    ]
