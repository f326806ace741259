"""Take away the second factors of somebody who has lost theirs."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.actions import members
from dashboard.models import User


class Command(BaseCommand):
    help = (
        "Take away every second factor of an account, and end its sessions. Be sure that who asks is who they say: "
        "from then on the password alone lets them in."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no account of the name {options['username']}.")
        try:
            members.forget_factors(actor=None, member=user)
        except members.NotPossible as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"The second factors of {user.username} are gone, and every session of theirs is ended.")
