"""The Partner API's WSGI entry point: `gunicorn dashboard.partner_api.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

# Not setdefault: this module needs these settings, even if the environment has the console's.
os.environ["DJANGO_SETTINGS_MODULE"] = "dashboard.partner_api.settings"
application = get_wsgi_application()
