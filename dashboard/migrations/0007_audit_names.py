"""Give the entries that there are the names of what they speak of, before nothing can be changed any more.

By itself, so that no lock of a table is held meanwhile.
"""

from django.db import migrations

NAMES = r"""
    UPDATE dashboard_auditentry SET
        install_name = dashboard_install.name, install_opentrain_id = dashboard_install.opentrain_id
    FROM dashboard_install WHERE dashboard_install.id = install_id;
    UPDATE dashboard_auditentry SET
        endpoint_url = regexp_replace(
            coalesce(nullif(dashboard_endpoint.handler_url, ''), dashboard_endpoint.url), '/hooks/[^/?#]+', '/hooks/[key]'
        ),
        endpoint_opentrain_id = coalesce(dashboard_endpoint.opentrain_id, '')
    FROM dashboard_endpoint WHERE dashboard_endpoint.id = endpoint_id;
"""


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0006_audit_columns")]

    operations = [migrations.RunSQL(NAMES, migrations.RunSQL.noop)]
