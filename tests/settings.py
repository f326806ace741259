"""Both systems in one test database: the console's settings, with the Partner API's app added."""

from cryptography.fernet import Fernet

from dashboard.settings import *  # noqa: F403
from dashboard.settings import INSTALLED_APPS

SECRET_KEY = "only-for-tests"
FIELD_KEYS = [Fernet.generate_key().decode()]
PARTNER_API_KEYS = [Fernet.generate_key().decode()]
OPENTRAIN_BASE_URL = "http://localhost:9/api/partner/v1"  # discard port: refuses tests without a fake
HANDLER_PRIVATE_ADDRESSES = True  # tests run their handlers on loopback
PUBLIC_URL = RECEIVER_URL = "https://redeliver.example.com"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "sessionid", "csrftoken"  # as without HTTPS
HTTPS = SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False

# The name, user and host come from the `django_db_modify_db_settings` fixture in conftest.py.
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "redeliver"}}
INSTALLED_APPS = [*INSTALLED_APPS, "dashboard.partner_api"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_AUTOREFRESH = True  # tests do not run collectstatic, and a missing STATIC_ROOT is a warning
