"""The console's settings, with Django's admin beside it to be measured against, and a second, large database."""

import os

import dj_database_url

from dashboard.settings import *  # noqa: F403
from dashboard.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.admin"]
ROOT_URLCONF = "tests.bench.pages_urls"
ALLOWED_HOSTS = ["testserver"]
# The same but for its name and where it is.
DATABASES["large"] = DATABASES["default"] | dj_database_url.parse(os.environ["LARGE_DATABASE_URL"])
