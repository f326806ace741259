"""The sender's view of an install's deliveries. A command, because the contract has no operation that lists them."""

import argparse
import json
from typing import Any

from django.core.management.base import CommandError

from dashboard.partner_api.management.migrated import MigratedCommand
from dashboard.partner_api.models import Attempt, Delivery, Install, wire_time


class Command(MigratedCommand):
    help = "Show an install's newest deliveries, one JSON line each, with all their attempts."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--install", required=True, metavar="ID")
        parser.add_argument("--status", choices=Delivery.Status.values)
        parser.add_argument("--limit", type=int, default=20, metavar="N", help="default: 20")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 - Django's signature
        if not Install.objects.filter(pk=options["install"]).exists():
            raise CommandError(f"There is no install {options['install']}. Create one with create_install.")
        found = Delivery.objects.filter(endpoint__install_id=options["install"]).select_related("event", "endpoint")
        if options["status"]:
            found = found.filter(status=options["status"])
        newest = list(found.order_by("-event_id", "id")[: max(1, options["limit"])])
        attempts: dict[str, list[Attempt]] = {delivery.pk: [] for delivery in newest}
        for attempt in Attempt.objects.filter(delivery__in=newest).order_by("number"):
            attempts[attempt.delivery_id].append(attempt)
        if not newest:
            self.stderr.write(
                "No deliveries found. An event creates one for each ACTIVE endpoint that is subscribed to it."
            )
        for delivery in newest:
            self.stdout.write(json.dumps(_line(delivery, attempts[delivery.pk]), ensure_ascii=False))


def _line(delivery: Delivery, attempts: list[Attempt]) -> dict[str, Any]:
    due = delivery.next_attempt_at
    return {
        "delivery": delivery.pk,
        "event": delivery.event.wire_id,
        "type": delivery.event.type,
        "endpoint": delivery.endpoint_id,
        "url": delivery.endpoint.url,
        "status": delivery.status,
        "nextAttemptAt": None if due is None else wire_time(due),
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "at": wire_time(attempt.started_at),
        "durationMs": attempt.duration_ms,
        "status": attempt.status_code,
        "cause": attempt.cause or None,
        "detail": attempt.detail or None,
        # The receiver's own bytes: anything that is not UTF-8 becomes a replacement character.
        "responseHead": bytes(attempt.response_head).decode(errors="replace"),
    }
