"""The tests' settings, with Django's admin beside the console to be measured against."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.admin"]
ROOT_URLCONF = "tests.bench.pages_urls"
ALLOWED_HOSTS = ["testserver"]
