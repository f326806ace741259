"""The lists' indexes for what waits and for causes; both are made, and the old ones dropped, beside what goes on."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0011_cache'),
    ]

    atomic = False
    operations = [
        AddIndexConcurrently(
            model_name='delivery',
            index=models.Index(condition=models.Q(('due_by__isnull', False)), fields=['endpoint', 'standing', 'first_received_at', 'id'], include=('due_by', 'event_type', 'attempt_count', 'last_cause', 'last_status'), name='delivery_waiting_of_endpoint'),
        ),
        AddIndexConcurrently(
            model_name='delivery',
            index=models.Index(condition=models.Q(('due_by__isnull', False)), fields=['standing', 'first_received_at', 'id'], include=('endpoint', 'due_by', 'event_type', 'attempt_count', 'last_cause', 'last_status'), name='delivery_waiting_of_all'),
        ),
        AddIndexConcurrently(
            model_name='delivery',
            index=models.Index(condition=models.Q(('last_cause', ''), _negated=True), fields=['endpoint', 'last_cause', 'last_status', 'standing', 'first_received_at', 'id'], include=('event_type', 'attempt_count'), name='delivery_failures_of_endpoint'),
        ),
        AddIndexConcurrently(
            model_name='delivery',
            index=models.Index(condition=models.Q(('last_cause', ''), _negated=True), fields=['last_cause', 'last_status', 'standing', 'first_received_at', 'id'], include=('event_type', 'attempt_count'), name='delivery_failures_of_all'),
        ),
        RemoveIndexConcurrently(
            model_name='delivery',
            name='delivery_causes_of_endpoint',
        ),
        RemoveIndexConcurrently(
            model_name='delivery',
            name='delivery_causes_of_all',
        ),
    ]
