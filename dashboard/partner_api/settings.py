"""Settings of the Partner API, which is a separate system: `--settings dashboard.partner_api.settings`.

Database: PARTNER_API_DATABASE_URL, or DATABASE_URL. Keys: PARTNER_API_KEYS, comma-separated Fernet keys, the newest
first. The engine's options are the other names in `conf.DEFAULTS`, each an environment variable of the same name.
"""

import os
import secrets

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from dashboard.partner_api import conf

# Signs the admin's sessions. Without the variable each start generates a new key, which ends all sessions.
SECRET_KEY = os.environ.get("PARTNER_API_SECRET_KEY") or secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = os.environ.get("PARTNER_API_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

_database_url = os.environ.get("PARTNER_API_DATABASE_URL") or os.environ.get("DATABASE_URL")
if not _database_url:
    raise ImproperlyConfigured(
        "The Partner API needs a PostgreSQL database: set PARTNER_API_DATABASE_URL (or DATABASE_URL) "
        "to postgresql://user:password@host/name."
    )
DATABASES = {"default": dj_database_url.parse(_database_url, conn_max_age=60, conn_health_checks=True)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "procrastinate.contrib.django",
    "dashboard.partner_api",
]
# All but the first serve the admin only; API calls have no cookies, so these do nothing for them.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# Cookies are shared by all ports of a host, so these need different names from those of a console on the same host.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "partner_api_session", "partner_api_csrf"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("PARTNER_API_HTTPS") == "1"
# gunicorn believes no header of a proxy (gunicorn.conf.py).
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SESSION_COOKIE_SECURE else None
ROOT_URLCONF = "dashboard.partner_api.urls"
WSGI_APPLICATION = "dashboard.partner_api.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

# The proxy in front handles TLS and the redirect to it; set PARTNER_API_HTTPS=1 if there is one.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]

PROCRASTINATE_WORKER_DEFAULTS = {
    # A separate queue, so that this worker and that of a console on the same database do not take each other's jobs.
    "queues": ["partner_api"],
    "delete_jobs": "successful",
    # A stopping worker cancels its run at once; the engine then gives attempts in flight 8 s to end.
    "shutdown_graceful_timeout": 0.1,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"procrastinate": {"level": "WARNING"}},
}

_knobs = conf.from_environment(os.environ)
PARTNER_API_RUN_INTERVAL_S = _knobs["PARTNER_API_RUN_INTERVAL_S"]
PARTNER_API_RETRY_DELAYS_S = _knobs["PARTNER_API_RETRY_DELAYS_S"]
PARTNER_API_TIMEOUT_S = _knobs["PARTNER_API_TIMEOUT_S"]
PARTNER_API_DISABLE_AFTER = _knobs["PARTNER_API_DISABLE_AFTER"]
PARTNER_API_LEASE_S = _knobs["PARTNER_API_LEASE_S"]
PARTNER_API_ALLOW_HTTP_LOCALHOST = _knobs["PARTNER_API_ALLOW_HTTP_LOCALHOST"]
PARTNER_API_MAX_IN_FLIGHT = _knobs["PARTNER_API_MAX_IN_FLIGHT"]
PARTNER_API_MAX_PER_ENDPOINT = _knobs["PARTNER_API_MAX_PER_ENDPOINT"]
PARTNER_API_RUN_BUDGET_S = _knobs["PARTNER_API_RUN_BUDGET_S"]
PARTNER_API_KEYS = _knobs["PARTNER_API_KEYS"]
PARTNER_API_CALLS_PER_MINUTE = _knobs["PARTNER_API_CALLS_PER_MINUTE"]
