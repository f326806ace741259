"""What OpenTrain says of links and contracts, what became of their events, and the history that tells why."""

import django.contrib.postgres.fields
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0029_handler_checks'),
    ]

    operations = [
        migrations.AddField(
            model_name='endpoint',
            name='hands_over',
            field=models.BooleanField(db_default=False, default=False, help_text='Whether a partner admin allows that Redeliver sends missing events to its handler.'),
        ),
        migrations.AddField(
            model_name='endpointsnapshot',
            name='event_types',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), blank=True, null=True, size=None),
        ),
        migrations.AddField(
            model_name='endpointsnapshot',
            name='is_received',
            field=models.BooleanField(blank=True, help_text='Whether it was delivered to its receiver.', null=True),
        ),
        migrations.AddField(
            model_name='endpointsnapshot',
            name='not_before',
            field=models.DateTimeField(blank=True, help_text='When it was last seen as the row before says. Between that and `at` it changed.', null=True),
        ),
        migrations.CreateModel(
            name='Contract',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('opentrain_id', models.CharField(max_length=200)),
                ('status', models.CharField(blank=True, help_text='active, ended, or a future status; empty: not said.', max_length=50)),
                ('job_id', models.CharField(blank=True, max_length=200)),
                ('title', models.CharField(blank=True, max_length=300)),
                ('start_date', models.DateTimeField(blank=True, null=True)),
                ('end_date', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(blank=True, null=True)),
                ('link_ids', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=200), default=list, size=None)),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('active_seen_at', models.DateTimeField(blank=True, help_text='When it was last listed as active.', null=True)),
                ('ended_seen_at', models.DateTimeField(blank=True, help_text='When it was first listed as ended.', null=True)),
                ('gone_at', models.DateTimeField(blank=True, help_text='When lists that were complete first lacked it. Our own clock.', null=True)),
                ('budget_state', models.CharField(blank=True, help_text='OK, LOW, DEPLETED; empty: not known.', max_length=50)),
                ('budget_consumed', models.FloatField(blank=True, help_text='The fraction that is consumed.', null=True)),
                ('budget_read_at', models.DateTimeField(blank=True, null=True)),
                ('known_from', models.DateTimeField(blank=True, help_text='Retention may have removed its deliveries from before this time unseen.', null=True)),
                ('judged_as', models.CharField(blank=True, db_default='', default='', help_text='Digest of what its verdicts were made from.', max_length=32)),
                ('install', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='contracts', to='dashboard.install')),
            ],
        ),
        migrations.CreateModel(
            name='Evidence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_type', models.CharField(max_length=100)),
                ('opentrain_id', models.CharField(help_text="The delivery's.", max_length=200)),
                ('event_id', models.CharField(blank=True, max_length=200)),
                ('event_created_at', models.DateTimeField(blank=True, null=True)),
                ('link_id', models.CharField(blank=True, help_text='The project link that the body names; empty: it names none; null: no body was read.', max_length=200, null=True)),
                ('first_received_at', models.DateTimeField()),
                ('last_attempt_at', models.DateTimeField()),
                ('attempt_count', models.PositiveIntegerField(db_default=0, default=0)),
                ('taken_at', models.DateTimeField(blank=True, help_text='When the handler took it first; null: never.', null=True)),
                ('standing', models.PositiveSmallIntegerField(help_text="The delivery's, when it was last looked at.")),
                ('due_by', models.DateTimeField(blank=True, null=True)),
                ('last_cause', models.CharField(blank=True, max_length=30)),
                ('last_status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('contract', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='evidence', to='dashboard.contract')),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='evidence', to='dashboard.endpoint')),
            ],
            options={
                'verbose_name_plural': 'evidence',
            },
        ),
        migrations.CreateModel(
            name='Finding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_type', models.CharField(max_length=100)),
                ('kind', models.CharField(choices=[('not_due', 'Not due'), ('taken', 'Taken'), ('taken_in_part', 'Taken in part'), ('retrying', 'Retrying'), ('requested', 'Requested'), ('not_seen_yet', 'Not seen yet'), ('failed', 'Failed'), ('refused', 'Refused'), ('out_of_order', 'Out of order'), ('missing', 'Missing'), ('not_known', 'Not known')], max_length=20)),
                ('reason', models.CharField(blank=True, choices=[('', 'NONE'), ('registered_after', 'REGISTERED_AFTER'), ('not_subscribed', 'NOT_SUBSCRIBED'), ('disabled', 'DISABLED'), ('paused', 'PAUSED'), ('linked_after', 'LINKED_AFTER'), ('no_link', 'NO_LINK'), ('install_not_active', 'INSTALL_NOT_ACTIVE'), ('receiver_away', 'RECEIVER_AWAY'), ('unproven', 'UNPROVEN'), ('no_log', 'NO_LOG'), ('out_of_path', 'OUT_OF_PATH'), ('before_log', 'BEFORE_LOG'), ('status_unknown', 'STATUS_UNKNOWN'), ('not_listed', 'NOT_LISTED'), ('not_in_log_yet', 'NOT_IN_LOG_YET')], max_length=20)),
                ('consequence', models.CharField(blank=True, choices=[('', 'NONE'), ('access', 'ACCESS'), ('provision', 'PROVISION')], max_length=20)),
                ('happened_at', models.DateTimeField(blank=True, help_text='When the contract started or ended, as far as is known.', null=True)),
                ('until', models.DateTimeField(blank=True, help_text='Until when it may still come by itself.', null=True)),
                ('refused_at', models.DateTimeField(blank=True, help_text='When a request of its type was refused that may have been it.', null=True)),
                ('found_at', models.DateTimeField()),
                ('changed_at', models.DateTimeField(help_text='When its kind or reason last changed.')),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('closed_words', models.CharField(blank=True, max_length=300)),
                ('contract', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='findings', to='dashboard.contract')),
                ('endpoint', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='findings', to='dashboard.endpoint')),
                ('install', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='findings', to='dashboard.install')),
            ],
        ),
        migrations.CreateModel(
            name='Handover',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('contract_opentrain_id', models.CharField(max_length=200)),
                ('event_type', models.CharField(max_length=100)),
                ('link_id', models.CharField(blank=True, max_length=200)),
                ('delivery_id', models.CharField(help_text='X-OpenTrain-Delivery: the same each time it is sent.', max_length=200)),
                ('operation', models.UUIDField(default=uuid.uuid4, help_text='A form that is sent twice sends once.', unique=True)),
                ('batch', models.UUIDField(blank=True, help_text='The form of a selection; null: sent one by one.', null=True)),
                ('body', models.BinaryField(help_text='The raw bytes, as signed; null: not sent, or not kept any more.', null=True)),
                ('body_gone_at', models.DateTimeField(blank=True, help_text='When retention took the body.', null=True)),
                ('request_headers', models.JSONField(default=list, help_text='[[name, value], …] as sent.')),
                ('handler_url', models.CharField(blank=True, max_length=2048)),
                ('actor_name', models.CharField(max_length=150)),
                ('asked_at', models.DateTimeField()),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ok', models.BooleanField(default=False)),
                ('result', models.CharField(blank=True, choices=[('', 'Sending'), ('ok', 'Handed over'), ('failed', 'Failed'), ('unknown', 'Not known'), ('not_sent', 'Not sent')], max_length=20)),
                ('status', models.PositiveSmallIntegerField(blank=True, help_text="The handler's.", null=True)),
                ('cause', models.CharField(blank=True, max_length=30)),
                ('words', models.CharField(blank=True, max_length=400)),
                ('latency_ms', models.PositiveIntegerField(blank=True, null=True)),
                ('response_headers', models.JSONField(default=list)),
                ('response_head', models.BinaryField(help_text="The first bytes of the handler's response.", null=True)),
                ('actor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('contract', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='handovers', to='dashboard.contract')),
                ('endpoint', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='handovers', to='dashboard.endpoint')),
                ('install', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='handovers', to='dashboard.install')),
            ],
            options={
                'ordering': ['-asked_at', '-id'],
            },
        ),
        migrations.CreateModel(
            name='InstallSnapshot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('not_before', models.DateTimeField(blank=True, help_text='As in EndpointSnapshot.', null=True)),
                ('status', models.CharField(blank=True, max_length=50)),
                ('install', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='history', to='dashboard.install')),
            ],
        ),
        migrations.CreateModel(
            name='ProjectLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('opentrain_id', models.CharField(max_length=200)),
                ('job_id', models.CharField(blank=True, help_text='Empty: none. Then no contract events come.', max_length=200)),
                ('external_project_id', models.CharField(blank=True, max_length=200)),
                ('external_project_name', models.CharField(blank=True, max_length=300)),
                ('external_project_url', models.CharField(blank=True, max_length=2048)),
                ('provisioning_mode', models.CharField(blank=True, max_length=50)),
                ('created_at', models.DateTimeField(blank=True, null=True)),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('gone_at', models.DateTimeField(blank=True, help_text='When a list first lacked it. Our own clock.', null=True)),
                ('install', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='project_links', to='dashboard.install')),
            ],
        ),
        migrations.CreateModel(
            name='ContractChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('what', models.CharField(help_text='The field; or gone, or back.', max_length=30)),
                ('before', models.CharField(blank=True, max_length=300)),
                ('after', models.CharField(blank=True, max_length=300)),
                ('not_before', models.DateTimeField(help_text='When it was last seen as before.')),
                ('seen_at', models.DateTimeField(help_text='When it was first seen as after.')),
                ('contract', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='dashboard.contract')),
                ('install', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='dashboard.install')),
                ('link', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='dashboard.projectlink')),
            ],
        ),
        migrations.CreateModel(
            name='ReceiverPresence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text="Its spool's folder.", max_length=100)),
                ('began_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('name', 'began_at'), name='presence_once_per_process')],
                'indexes': [models.Index(fields=['last_at'], name='presence_newest')],
            },
        ),
        migrations.CreateModel(
            name='Reconciliation',
            fields=[
                ('install', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='reconciliation', serialize=False, to='dashboard.install')),
                ('due_at', models.DateTimeField(blank=True, help_text='It is left alone until then. Null: due.', null=True)),
                ('failures', models.PositiveSmallIntegerField(default=0, help_text='Consecutive reads without a result.')),
                ('error', models.TextField(blank=True, help_text='Why the last read failed, in words; empty when it did not.')),
                ('links_read_at', models.DateTimeField(blank=True, help_text='When the request began that gave the last list of project links.', null=True)),
                ('contracts_read_at', models.DateTimeField(blank=True, help_text='When the first request began that gave the last lists of contracts.', null=True)),
                ('out_of_reach', models.TextField(blank=True, help_text='What of the contracts the last read could not reach, in words; empty if nothing.')),
                ('judged_at', models.DateTimeField(blank=True, help_text='Until when the log was whole that its findings were last updated from.', null=True)),
                ('log_kept_since', models.DateTimeField(blank=True, help_text='Retention may have removed deliveries from before this time.', null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['due_at'], name='reconciliation_due')],
            },
        ),
        migrations.AddIndex(
            model_name='contract',
            index=models.Index(models.F('install'), models.OrderBy(django.db.models.functions.comparison.Coalesce('created_at', 'first_seen_at'), descending=True), models.OrderBy(models.F('id'), descending=True), name='contract_newest_of_install'),
        ),
        migrations.AddIndex(
            model_name='contract',
            index=models.Index(fields=['opentrain_id'], name='contract_by_opentrain_id'),
        ),
        migrations.AddIndex(
            model_name='contract',
            index=models.Index(fields=['job_id'], name='contract_of_job'),
        ),
        migrations.AddConstraint(
            model_name='contract',
            constraint=models.UniqueConstraint(fields=('install', 'opentrain_id'), name='contract_once_per_install'),
        ),
        migrations.AddIndex(
            model_name='evidence',
            index=models.Index(fields=['contract', 'endpoint', 'event_type'], name='evidence_of_contract'),
        ),
        migrations.AddConstraint(
            model_name='evidence',
            constraint=models.UniqueConstraint(fields=('endpoint', 'opentrain_id'), name='evidence_once'),
        ),
        migrations.AddIndex(
            model_name='finding',
            index=models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['install', 'consequence', 'kind'], name='finding_open_of_install'),
        ),
        migrations.AddIndex(
            model_name='finding',
            index=models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['endpoint', 'kind'], name='finding_open_of_endpoint'),
        ),
        migrations.AddIndex(
            model_name='finding',
            index=models.Index(condition=models.Q(('closed_at__isnull', True), models.Q(('kind', 'missing'), _negated=True)), fields=['until'], name='finding_that_may_change'),
        ),
        migrations.AddConstraint(
            model_name='finding',
            constraint=models.UniqueConstraint(fields=('contract', 'endpoint', 'event_type'), name='finding_once_per_event'),
        ),
        migrations.AddIndex(
            model_name='handover',
            index=models.Index(fields=['endpoint', '-asked_at'], name='handover_of_endpoint'),
        ),
        migrations.AddIndex(
            model_name='handover',
            index=models.Index(fields=['contract', 'endpoint', 'event_type'], name='handover_of_event'),
        ),
        migrations.AddIndex(
            model_name='handover',
            index=models.Index(condition=models.Q(('ended_at__isnull', True)), fields=['asked_at'], name='handover_waiting'),
        ),
        migrations.AddIndex(
            model_name='handover',
            index=models.Index(fields=['asked_at', 'id'], name='handover_oldest_first'),
        ),
        migrations.AddIndex(
            model_name='handover',
            index=models.Index(fields=['delivery_id'], name='handover_by_delivery_id'),
        ),
        migrations.AddIndex(
            model_name='installsnapshot',
            index=models.Index(fields=['install', 'at'], name='snapshot_of_install'),
        ),
        migrations.AddIndex(
            model_name='projectlink',
            index=models.Index(fields=['install', 'job_id'], name='link_of_job'),
        ),
        migrations.AddIndex(
            model_name='projectlink',
            index=models.Index(fields=['opentrain_id'], name='link_by_opentrain_id'),
        ),
        migrations.AddIndex(
            model_name='projectlink',
            index=models.Index(fields=['external_project_id'], name='link_of_project'),
        ),
        migrations.AddConstraint(
            model_name='projectlink',
            constraint=models.UniqueConstraint(fields=('install', 'opentrain_id'), name='link_once_per_install'),
        ),
        migrations.AddConstraint(
            model_name='contractchange',
            constraint=models.CheckConstraint(condition=models.Q(('contract__isnull', True), ('link__isnull', True), _connector='XOR'), name='change_of_one_thing'),
        ),
        migrations.AddField(
            model_name='projectlink',
            name='contracts_read_at',
            field=models.DateTimeField(blank=True, help_text='When its own contracts were last read, where the lists of all are too long.', null=True),
        ),
        migrations.AddIndex(
            model_name='evidence',
            index=models.Index(fields=['opentrain_id'], name='evidence_by_opentrain_id'),
        ),
        migrations.AddIndex(
            model_name='evidence',
            index=models.Index(fields=['event_id'], name='evidence_of_event'),
        ),
        migrations.AddIndex(
            model_name='projectlink',
            index=models.Index(fields=['job_id'], name='link_by_job'),
        ),
        migrations.AddIndex(
            model_name='finding',
            index=models.Index(condition=models.Q(('closed_at__isnull', True), models.Q(('reason__in', ['registered_after', 'not_subscribed']), _negated=True)), fields=['install', 'consequence', 'kind'], name='finding_of_inbox'),
        ),
        migrations.AddIndex(
            model_name='contract',
            index=models.Index(condition=models.Q(('gone_at__isnull', False)), fields=['gone_at', 'id'], name='contract_gone'),
        ),
        migrations.AddIndex(
            model_name='projectlink',
            index=models.Index(condition=models.Q(('gone_at__isnull', False)), fields=['gone_at', 'id'], name='link_gone'),
        ),
        migrations.AddField(
            model_name='runitem',
            name='after',
            field=models.PositiveIntegerField(blank=True, help_text='The position of the item that must be settled first: an earlier event of the same resource.', null=True),
        ),
        migrations.AddField(
            model_name='runitem',
            name='is_overtaken',
            field=models.BooleanField(db_default=False, default=False, help_text='A later event of its resource has overtaken it: it is left out, or a person chose it all the same.'),
        ),
        migrations.AddIndex(
            model_name='runitem',
            index=models.Index(condition=models.Q(('after__isnull', True), ('state', 'waiting')), fields=['run', 'position'], name='item_to_claim'),
        ),
    ]
