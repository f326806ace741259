"""Say how to create the first account, if there is none."""

from typing import Any

from django.core.management.base import BaseCommand

from dashboard.models import User

NO_ACCOUNT = "There is no account yet. Create one in a second terminal: make account NAME=ada ROLE=support_lead"


class Command(BaseCommand):
    help = "Say how to create the first account, if there is none."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if not User.objects.exists():
            self.stdout.write(NO_ACCOUNT)
