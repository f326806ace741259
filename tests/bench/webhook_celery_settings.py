"""Django settings of `webhook_celery_app`.

DJANGO_SETTINGS_MODULE names them, so Celery detects Django and its processes do not share a database connection.
"""

import os

SECRET_KEY = "only-for-benchmarks"
INSTALLED_APPS = ["django.contrib.contenttypes", "django_webhook"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["BENCH_DATABASE"],
        "USER": os.environ["BENCH_USER"],
        "HOST": os.environ["BENCH_HOST"],
        "CONN_MAX_AGE": 60,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DJANGO_WEBHOOK = {"MODELS": []}
USE_TZ = True
