"""The production settings with every app enabled, as a deployment has by default; for the checks of `make lint`."""

import secrets

from dashboard.settings import *  # noqa: F403
from dashboard.settings import INSTALLED_APPS

SECRET_KEY = secrets.token_urlsafe(50)
INSTALLED_APPS = [*INSTALLED_APPS, "dashboard.partner_api"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "nowhere", "HOST": "/nonexistent"}}
