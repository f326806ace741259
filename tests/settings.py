"""Both systems in one test database: the console's settings, and the Partner API's app beside it."""

from cryptography.fernet import Fernet

from dashboard.settings import *  # noqa: F403
from dashboard.settings import INSTALLED_APPS

SECRET_KEY = "only-for-tests"
FIELD_KEYS = [Fernet.generate_key().decode()]
PARTNER_API_KEYS = [Fernet.generate_key().decode()]
OPENTRAIN_BASE_URL = "http://localhost:9/api/partner/v1"  # the discard port: a test that forgets its fake is refused
HANDLER_PRIVATE_ADDRESSES = True  # the handlers of tests are on loopback
PUBLIC_URL = RECEIVER_URL = "https://redeliver.example.com"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "sessionid", "csrftoken"  # as without HTTPS
HTTPS = SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False

# Name, user and host come from the `django_db_modify_db_settings` fixture in conftest.py.
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "redeliver"}}
INSTALLED_APPS = [*INSTALLED_APPS, "dashboard.partner_api"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_AUTOREFRESH = True  # nothing is collected for a test, and a missing STATIC_ROOT is a warning
