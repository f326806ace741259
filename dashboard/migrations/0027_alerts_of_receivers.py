"""Alerts about Redeliver's own receivers: they belong to no install. Choices are Django's alone."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0026_receiver_reports'),
    ]

    operations = [
        migrations.AlterField(
            model_name='alert',
            name='install',
            field=models.ForeignKey(blank=True, help_text="Null: none of an install.", null=True, on_delete=django.db.models.deletion.CASCADE, related_name='alerts', to='dashboard.install'),
        ),
        migrations.AlterField(
            model_name='alert',
            name='kind',
            field=models.CharField(choices=[('disabled', 'Disabled by OpenTrain'), ('at_risk', 'About to be disabled'), ('no_access', 'No access to an install'), ('canary_failed', 'Recovery failed at its first delivery'), ('overdue', 'Deliveries overdue'), ('signatures', 'Signatures refused'), ('log_lags', 'Log lags behind')], max_length=20),
        ),
        migrations.AlterField(
            model_name='alertchannel',
            name='kinds',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('disabled', 'Disabled by OpenTrain'), ('at_risk', 'About to be disabled'), ('no_access', 'No access to an install'), ('canary_failed', 'Recovery failed at its first delivery'), ('overdue', 'Deliveries overdue'), ('signatures', 'Signatures refused'), ('log_lags', 'Log lags behind')], max_length=20), size=None),
        ),
    ]
