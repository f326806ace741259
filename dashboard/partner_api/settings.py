"""Settings of the Partner API, a system of its own: `--settings dashboard.partner_api.settings`.

DATABASE: PARTNER_API_DATABASE_URL, or DATABASE_URL. KEYS: PARTNER_API_KEYS, Fernet keys separated by commas, the newest
first. The engine's knobs are the other names of `conf.DEFAULTS`, each an environment variable of the same name.
"""

import os
import secrets

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from dashboard.partner_api import conf

# It signs the sessions of the admin: with a new one at each start, every start ends them.
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
# All but the first are for the admin; a call of the API has no cookie, and so nothing to do with them.
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
# Cookies know no ports: beside a console on the same host they need names of their own.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "partner_api_session", "partner_api_csrf"
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = os.environ.get("PARTNER_API_HTTPS") == "1"
ROOT_URLCONF = "dashboard.partner_api.urls"
WSGI_APPLICATION = "dashboard.partner_api.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

# TLS, and the redirect to it, belong to the proxy in front; PARTNER_API_HTTPS=1 says that there is one.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]

PROCRASTINATE_WORKER_DEFAULTS = {
    # Its own queue, so that a console on the same database neither takes these jobs nor leaves its own here.
    "queues": ["partner_api"],
    "delete_jobs": "successful",
    # A worker that is told to stop cancels its run at once; the engine itself gives what is in flight 8 s to end.
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
