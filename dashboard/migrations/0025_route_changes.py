"""The database notifies receivers of an endpoint whose route changed, and of nothing else.

Receivers hold routes in memory. The poller writes endpoints all the time, so the conditions stand in the triggers: for
a change that is none, PostgreSQL calls no function. A notification is sent with the commit.
"""

from django.db import migrations

NOTIFY = """
CREATE FUNCTION dashboard_route_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('dashboard_routes', CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END::text);
    RETURN NULL;
END $$;
CREATE TRIGGER route_made AFTER INSERT ON dashboard_endpoint FOR EACH ROW
    WHEN (NEW.receiver_key IS NOT NULL OR NEW.secret IS NOT NULL)
    EXECUTE FUNCTION dashboard_route_changed();
CREATE TRIGGER route_changed AFTER UPDATE ON dashboard_endpoint FOR EACH ROW
    WHEN ((OLD.receiver_key, OLD.handler_url, OLD.secret, OLD.registering_since, OLD.proof)
          IS DISTINCT FROM (NEW.receiver_key, NEW.handler_url, NEW.secret, NEW.registering_since, NEW.proof))
    EXECUTE FUNCTION dashboard_route_changed();
CREATE TRIGGER route_gone AFTER DELETE ON dashboard_endpoint FOR EACH ROW
    WHEN (OLD.receiver_key IS NOT NULL OR OLD.secret IS NOT NULL)
    EXECUTE FUNCTION dashboard_route_changed();
"""
AS_BEFORE = """
DROP TRIGGER route_gone ON dashboard_endpoint;
DROP TRIGGER route_changed ON dashboard_endpoint;
DROP TRIGGER route_made ON dashboard_endpoint;
DROP FUNCTION dashboard_route_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0024_routed_endpoints")]

    operations = [migrations.RunSQL(NOTIFY, AS_BEFORE)]
