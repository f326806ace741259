"""Remove the second factors of a user who has lost them."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.actions import members
from dashboard.models import User


class Command(BaseCommand):
    help = (
        "Remove every second factor of an account, and end its sessions. Verify the person's identity first: "
        "afterwards the password alone is enough to sign in."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no account named {options['username']}.")
        try:
            members.forget_factors(actor=None, member=user)
        except members.NotPossible as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Removed the second factors of {user.username} and ended every session.")
