"""PyPI's django-webhook on Celery, set up as in its README: `celery -A webhook_celery_app worker`.

Runs in a separate virtual environment (created by `webhook_celery`), so it imports nothing from this project.
`python webhook_celery_app.py COUNT URL` queues deliveries.
"""

import json
import os
import sys

import django
from celery import Celery

BODY_BYTES = 600

app = Celery("webhooks", broker=os.environ["BENCH_BROKER"])
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=16)
app.set_default()  # django-webhook's tasks bind to the application that exists when they are imported
django.setup()
app.autodiscover_tasks(["django_webhook"])


def main(count: int, url: str) -> None:
    from django.core.management import call_command
    from django_webhook.models import Webhook, WebhookSecret
    from django_webhook.tasks import fire_webhook

    call_command("migrate", verbosity=0)
    webhook = Webhook.objects.create(url=url)
    WebhookSecret.objects.create(webhook=webhook, token="whsec_" + "a" * 43)
    payload = json.dumps({"note": "x" * (BODY_BYTES - 12)})
    for _ in range(count):
        fire_webhook.delay(webhook.id, payload, topic="bench.Thing/create", object_type="bench.Thing")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
