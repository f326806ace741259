"""An index of the connected installs: their list counts them without reading each."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0033_window_checks")]

    operations = [
        migrations.AddIndex(
            "install",
            models.Index(fields=["id"], condition=Q(disconnected_at__isnull=True), name="install_connected"),
        )
    ]
