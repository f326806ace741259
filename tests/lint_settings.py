"""The production settings with every app, for the checks of `make lint`: what a deployment gets by default."""

import secrets

from dashboard.settings import *  # noqa: F403
from dashboard.settings import INSTALLED_APPS

SECRET_KEY = secrets.token_urlsafe(50)
INSTALLED_APPS = [*INSTALLED_APPS, "dashboard.partner_api"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "nowhere", "HOST": "/nonexistent"}}
