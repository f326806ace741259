"""Alerts about URLs that were changed outside Redeliver. Choices are Django's alone."""

import django.contrib.postgres.fields
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('dashboard', '0027_alerts_of_receivers'),
    ]

    operations = [
        migrations.AlterField(
            model_name='alert',
            name='kind',
            field=models.CharField(choices=[('disabled', 'Disabled by OpenTrain'), ('at_risk', 'About to be disabled'), ('no_access', 'No access to an install'), ('canary_failed', 'Recovery failed at its first delivery'), ('overdue', 'Deliveries overdue'), ('signatures', 'Signatures refused'), ('log_lags', 'Log lags behind'), ('url_changed', 'URL changed elsewhere')], max_length=20),
        ),
        migrations.AlterField(
            model_name='alertchannel',
            name='kinds',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('disabled', 'Disabled by OpenTrain'), ('at_risk', 'About to be disabled'), ('no_access', 'No access to an install'), ('canary_failed', 'Recovery failed at its first delivery'), ('overdue', 'Deliveries overdue'), ('signatures', 'Signatures refused'), ('log_lags', 'Log lags behind'), ('url_changed', 'URL changed elsewhere')], max_length=20), size=None),
        ),
        AddIndexConcurrently(
            model_name='endpoint',
            index=models.Index(condition=models.Q(('url_changed_at__isnull', False)), fields=['id'], name='endpoint_url_changed_elsewhere'),
        ),
    ]
