"""The production settings, with static files whose names need no manifest: nothing is collected for a test."""

from dashboard.settings import *  # noqa: F403

STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_AUTOREFRESH = True
