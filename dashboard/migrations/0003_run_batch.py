from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('dashboard', '0002_observation_pace'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='batch',
            field=models.UUIDField(blank=True, help_text='Runs that one form started together have the same.', null=True),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('batch__isnull', False)), fields=['batch'], name='run_of_batch'),
        ),
    ]
