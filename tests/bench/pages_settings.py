"""The console's settings, plus Django's admin for comparison and a second, large database."""

import os

import dj_database_url

from dashboard.settings import *  # noqa: F403
from dashboard.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.admin"]
ROOT_URLCONF = "tests.bench.pages_urls"
ALLOWED_HOSTS = ["testserver"]
# Like the default database, except for its name and location.
DATABASES["large"] = DATABASES["default"] | dj_database_url.parse(os.environ["LARGE_DATABASE_URL"])
