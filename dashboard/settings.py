"""Settings of the console, the receiver and their worker, all from the environment.

Every default is safe in production: unless HTTPS=0 (as in the demo), cookies are secure and plain http is redirected.
The Partner API has its own settings: dashboard/partner_api/settings.py.
"""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from dashboard import logs
from dashboard.config import mail_url, oidc
from dashboard.config.environment import certificates as _certificates
from dashboard.config.environment import flag as _flag
from dashboard.config.environment import items as _list
from dashboard.config.environment import keys as _keys
from dashboard.config.environment import secret as _secret
from dashboard.config.environment import url as _url
from dashboard.rules import pasted

BASE_DIR = Path(__file__).resolve().parent.parent
DEBUG = False

# --- Redeliver -------------------------------------------------------------------------------------------------------
OPENTRAIN_BASE_URL = _url("OPENTRAIN_BASE_URL", "https://app.opentrain.ai/api/partner/v1")
# OpenTrain's retry schedule (partner-api, "Deliveries"); the demo's Partner API is faster.
OPENTRAIN_RETRY_DELAYS_S = [int(delay) for delay in _list("OPENTRAIN_RETRY_DELAYS_S", "60,300,1800,7200")]
OPENTRAIN_RUN_INTERVAL_S = int(os.environ.get("OPENTRAIN_RUN_INTERVAL_S", "300"))
# How often each install's endpoints are polled, and how many installs at a time (dashboard/actions/installs/poller.py).
POLL_EVERY_S = int(os.environ.get("POLL_EVERY_S", "60"))
POLL_CONCURRENCY = int(os.environ.get("POLL_CONCURRENCY", "8"))
# How often each install's links and contracts are read (dashboard/actions/reconciliation/sweep.py).
RECONCILE_EVERY_S = int(os.environ.get("RECONCILE_EVERY_S", "600"))
# Retention of the delivery log, and of bodies, which may be shorter; 0 keeps them forever
# (dashboard/actions/deliveries/retention.py).
RETENTION_DAYS = int(os.environ.get("RETENTION_DAYS", "90"))
BODY_RETENTION_DAYS = int(os.environ.get("BODY_RETENTION_DAYS", "30"))
# A run's pause between two redeliveries; a 429 from OpenTrain doubles it (dashboard/rules/runs.py).
RUN_PACE_MS = int(os.environ.get("RUN_PACE_MS", "100"))
# Public base URLs of the console and of the receiver, which may have separate hosts.
PUBLIC_URL = _url("PUBLIC_URL", "http://localhost:8000")
RECEIVER_URL = _url("RECEIVER_URL") or PUBLIC_URL
# Before, SERVE had web processes take deliveries. A console in their place would answer 404 to OpenTrain.
if (_serve := os.environ.get("SERVE", "console")) != "console":
    raise ImproperlyConfigured(
        f"SERVE is {_serve!r}, but web processes take no deliveries any more. "
        "See docs/operations.md, 'Move from one web process to receivers'."
    )
# Where the receiver listens: host:port, or fd://3 for a socket that it inherits (dashboard/receiver/__main__.py).
_HOST, _PORT = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", "8000")
RECEIVER_BIND = os.environ.get("RECEIVER_BIND") or f"{_HOST}:{_PORT}"
# The console's private Unix socket. With it the receiver is the front: what is not the receiver's goes there, and
# gunicorn listens nowhere else (gunicorn.conf.py).
RECEIVER_CONSOLE = os.environ.get("RECEIVER_CONSOLE", "")
# Keys for tokens and secrets at rest, the newest first (dashboard/vault.py).
FIELD_KEYS = _keys("FIELD_KEYS", _secret("FIELD_KEYS"))
# Bearer token for /metrics; without it /metrics does not exist.
METRICS_TOKEN = _secret("METRICS_TOKEN")
# Whether handlers may have private or local addresses. Partners enter those URLs, so only the operator can allow it.
HANDLER_PRIVATE_ADDRESSES = _flag("HANDLER_PRIVATE_ADDRESSES", default=False)
# The same for alert channels, whose URLs are entered by anyone who can manage channels.
ALERT_PRIVATE_ADDRESSES = _flag("ALERT_PRIVATE_ADDRESSES", default=False)
# A PEM file of certificate authorities to trust beside the public ones, for handlers and alert channels.
EXTRA_CA_BUNDLE = _certificates("EXTRA_CA_BUNDLE")
# Calls per minute of one endpoint to the observations API. The default allows one call per delivery at five deliveries
# per second; beyond that, send several observations per call.
OBSERVATION_CALLS_PER_MINUTE = int(os.environ.get("OBSERVATION_CALLS_PER_MINUTE", "300"))
# The receivers' own folder on this machine: their file of routes and their spools (dashboard/receiver/). How large each
# spool may become, and the machine's name in the names of its receivers, which no other machine may have.
RECEIVER_SPOOL_DIR = os.environ.get("RECEIVER_SPOOL_DIR", "").strip()
RECEIVER_SPOOL_MAX_MB = int(os.environ.get("RECEIVER_SPOOL_MAX_MB", "1024"))
RECEIVER_NAME = os.environ.get("RECEIVER_NAME", "").strip() or socket.gethostname()
# Set by the demo only: its data folder, and the URL and token that control its handler.
DEMO_FOLDER = os.environ.get("DEMO_FOLDER", "")
DEMO_HANDLER_URL = os.environ.get("DEMO_HANDLER_URL", "")
DEMO_HANDLER_TOKEN = _secret("DEMO_HANDLER_TOKEN")

# --- Django ----------------------------------------------------------------------------------------------------------
SECRET_KEY = _secret("SECRET_KEY")
# Host names that the console answers to. Probes are answered for any (dashboard/middleware/paths.py).
_OWN_HOST = urlsplit(PUBLIC_URL).hostname or "localhost"
ALLOWED_HOSTS = _list("ALLOWED_HOSTS") or sorted({"localhost", "127.0.0.1", _OWN_HOST})
CSRF_TRUSTED_ORIGINS = _list("CSRF_TRUSTED_ORIGINS") or [PUBLIC_URL]
ROOT_URLCONF = "dashboard.urls"
WSGI_APPLICATION = "dashboard.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "csp",
    "django_htmx",
    "template_partials",
    "procrastinate.contrib.django",
    "dashboard",
]
MIDDLEWARE = [
    "dashboard.middleware.request.request_ids",
    "dashboard.middleware.request.sources",
    "dashboard.middleware.request.permissions_policy",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # padded against BREACH
    "dashboard.middleware.caching.keep_no_pages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "dashboard.middleware.paths.HostCheck",
    "dashboard.middleware.visible_text.show_invisible_characters",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dashboard.middleware.time_zones.write_in_readers_zone",
    "dashboard.middleware.sessions.SessionLimits",
    "dashboard.middleware.kept_forms.KeptForms",
    "dashboard.middleware.sessions.SecondFactor",
    "dashboard.middleware.wrong_method.explain_to_people",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.auth.permissions.can",
            ],
        },
    },
]

# --- Database: PostgreSQL, with a pool, so that requests don't open connections --------------------------------------
DATABASES = {}
if database_url := pasted.bare(_secret("DATABASE_URL")):
    DATABASES["default"] = dj_database_url.parse(database_url)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # drops connections that a restart has closed
    # The receiver's statements are prepared once (db/prepared.py).
    DATABASES["default"].setdefault("OPTIONS", {}).setdefault("prepare_threshold", 5)
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 20, "timeout": 5}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Above the receiver's own limit of 1 MiB; every form is far smaller.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# --- Email for alerts (dashboard/services/alerts.py); without EMAIL_URL none is sent ----------------------------------
_MAIL = mail_url.parse(pasted.bare(_secret("EMAIL_URL")))
EMAIL_HOST, EMAIL_PORT = _MAIL.host, _MAIL.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _MAIL.user, _MAIL.password
EMAIL_USE_TLS, EMAIL_USE_SSL = _MAIL.starttls, _MAIL.tls
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("EMAIL_FROM", "Redeliver <redeliver@localhost>")

# --- Sign-in ---------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "dashboard.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "dashboard.auth.adapters.Accounts"
ACCOUNT_FORMS = {"login": "dashboard.forms.sign_in.Login"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300  # seconds for which a repeated password or code is enough
# Limits for wrong passwords and codes: per address, and per name, which is then locked for LOCKOUT_S.
LOCKOUT_S = 300
ACCOUNT_RATE_LIMITS = {"login_failed": f"10/m/ip,5/{LOCKOUT_S}s/key"}
# Sign-in attempts are counted across all processes, so in the database; nothing else uses the cache. The default
# maximum of 300 entries would let an attacker evict their own attempts by trying 300 names.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "dashboard_cacheentry",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
# Behind a trusted proxy the client's address is the last entry of X-Forwarded-For (dashboard/auth/request_source.py).
BEHIND_PROXY = _flag("BEHIND_PROXY", default=False)
# Behind the receiver's front the console has one client, the front, which says what Redeliver knows of the real one.
TRUSTS_FORWARDED = BEHIND_PROXY or bool(RECEIVER_CONSOLE)
# Maximum idle time and age of a session (dashboard/middleware/sessions.py).
SESSION_IDLE_MINUTES = int(os.environ.get("SESSION_IDLE_MINUTES", "720"))
SESSION_MAX_HOURS = int(os.environ.get("SESSION_MAX_HOURS", "168"))
SESSION_ENGINE = "dashboard.auth.encrypted_sessions"
SESSION_COOKIE_AGE = SESSION_MAX_HOURS * 3600
# Roles that require a second factor.
MFA_REQUIRED_ROLES = _list("MFA_REQUIRED_ROLES")
MFA_ADAPTER = "dashboard.auth.adapters.SecondFactors"
MFA_FORMS = {
    "authenticate": "dashboard.forms.sign_in.Authenticate",
    "reauthenticate": "dashboard.forms.sign_in.Reauthenticate",
    "activate_totp": "dashboard.forms.sign_in.ActivateTotp",
    "add_webauthn": "dashboard.forms.passkeys.Add",
    "authenticate_webauthn": "dashboard.forms.passkeys.Authenticate",
    "login_webauthn": "dashboard.forms.passkeys.Login",
    "reauthenticate_webauthn": "dashboard.forms.passkeys.Reauthenticate",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "Redeliver"
MFA_TOTP_PERIOD = 30  # seconds
# A code is valid once, within its 30 s. With a tolerance it could outlive allauth's record of used codes.
MFA_TOTP_TOLERANCE = 0
# Users cannot set their own address, so none needs verification before a second factor is set up.
MFA_ALLOW_UNVERIFIED_EMAIL = True
# Sign-in by an OpenID Connect provider, if configured (rules in dashboard/auth/adapters.py).
OIDC = oidc.read()
OIDC_NAME = OIDC.name if OIDC else ""
SOCIALACCOUNT_ADAPTER = "dashboard.auth.adapters.Identities"
SOCIALACCOUNT_REAUTHENTICATION_REQUIRED = True
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [OIDC.as_app()] if OIDC else []}}

# --- Browser ---------------------------------------------------------------------------------------------------------
HTTPS = _flag("HTTPS", default=True)
SECURE_SSL_REDIRECT = HTTPS
# Addresses of the receiver and of the observations API are answered 404 here, also by plain http: a redirect would have
# clients send a key in the clear again. Probes come without TLS, from the machine or its network.
SECURE_REDIRECT_EXEMPT = [r"^(hooks|api)(/|$)", r"^(healthz|readyz|metrics)$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTS_FORWARDED else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
# No referrer to other sites. "no-referrer" would make browsers send `Origin: null` with forms, which CSRF refuses.
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "dashboard.middleware.csrf_failure.explain"
CSRF_COOKIE_HTTPONLY = True  # forms carry the token; no script reads the cookie
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
if HTTPS:  # other hosts of the domain cannot set cookies with this prefix
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # Tabler's style sheet has small images as data: URLs
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    },
}

# --- Static files, language, time, log -------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("STATIC_ROOT", str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {"staticfiles": {"BACKEND": "dashboard.middleware.compression.StaticFiles"}}
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
LOGGING = logs.config(form=os.environ.get("LOG_FORMAT", "text"), level=os.environ.get("LOG_LEVEL", "INFO"))
