"""Run the demo's handler until SIGTERM."""

import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand

from dashboard.demo.handler import DemoServer, Switches


class Command(BaseCommand):
    help = "Run the demo's handler at DEMO_HANDLER_URL."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        port = urlsplit(settings.DEMO_HANDLER_URL).port or 0
        switches = Switches(Path(settings.DEMO_FOLDER) / "handler.json")
        DemoServer(port=port, token=settings.DEMO_HANDLER_TOKEN, switches=switches).serve_forever()
