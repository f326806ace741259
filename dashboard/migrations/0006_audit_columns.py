"""What an entry of the audit keeps of who acted from where, and of what it speaks of."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0005_alerts")]

    operations = [
        migrations.AddField("auditentry", "address", models.GenericIPAddressField(help_text="Null: the worker, or the command line.", null=True)),
        migrations.AddField("auditentry", "agent", models.CharField(blank=True, db_default="", help_text="The browser's User-Agent.", max_length=300)),
        migrations.AddField("auditentry", "install_name", models.CharField(blank=True, db_default="", max_length=200)),
        migrations.AddField("auditentry", "install_opentrain_id", models.CharField(blank=True, db_default="", max_length=200)),
        migrations.AddField("auditentry", "endpoint_url", models.CharField(blank=True, db_default="", help_text="Without a receiver's key.", max_length=2048)),
        migrations.AddField("auditentry", "endpoint_opentrain_id", models.CharField(blank=True, db_default="", max_length=200)),
        migrations.AlterField("auditentry", "at", models.DateTimeField(default=django.utils.timezone.now)),
    ]
