"""Create the demo's scenario: two installs and four endpoints, connected over HTTP like any other."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from dashboard.demo.story import tell


class Command(BaseCommand):
    help = "Create the demo's scenario, or update its ports after a restart."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        tell(folder=Path(settings.DEMO_FOLDER))
