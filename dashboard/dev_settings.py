"""Settings of `make dev` alone: Django's debug pages, and templates and static files as they are on the disk.

A debug page shows code, settings and requests to everyone who can make a page fail, so these settings refuse any
address that is not this machine's own. No environment variable turns DEBUG on: `make demo`, `make run` and a deployment
use dashboard/settings.py.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from dashboard.config.environment import LOOPBACK, is_loopback
from dashboard.settings import *  # noqa: F403
from dashboard.settings import PUBLIC_URL, RECEIVER_URL, TEMPLATES

for _name, _url in (("PUBLIC_URL", PUBLIC_URL), ("RECEIVER_URL", RECEIVER_URL)):
    if not is_loopback(_url):
        raise ImproperlyConfigured(f"{_name} is {_url!r}: dashboard.dev_settings is for http://localhost only.")

DEBUG = True
ALLOWED_HOSTS = list(LOOPBACK)
# Without Django's cached loader, which keeps a template until the process ends.
_LOADERS = ["django.template.loaders.filesystem.Loader", "django.template.loaders.app_directories.Loader"]
_ENGINE: dict[str, Any] = TEMPLATES[0]
_OPTIONS = {**_ENGINE["OPTIONS"], "loaders": [("template_partials.loader.Loader", _LOADERS)]}
TEMPLATES = [{**_ENGINE, "APP_DIRS": False, "OPTIONS": _OPTIONS}]
