"""Create an account, or change its role and password."""

import getpass
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from dashboard.actions import audit, members
from dashboard.models import Role, User


class Command(BaseCommand):
    help = "Create an account, or change its role and password. Prompts for the password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--email", help="Address that matches an OpenID Connect identity to this account.")
        parser.add_argument("--no-password", action="store_true", help="The account signs in by OpenID Connect only.")
        parser.add_argument("--role", choices=[role.value for role in Role if role], default=Role.SUPPORT.value)

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first() or User(username=options["username"])
        if options["role"] != Role.SUPPORT_LEAD and user.pk is not None and members.is_last_lead(member=user):
            raise CommandError(f"{user.username} is the last support lead. Create another one first.")
        user.role = options["role"]
        if options["email"] is not None:
            user.email = options["email"]
        password = None if options["no_password"] else getpass.getpass("Password: ")
        try:
            user.full_clean(exclude=["password"])
            if password is not None:
                validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        user.set_password(password)  # None sets an unusable password
        user.session_generation += 1
        user.link_made_at = None
        how = "with a new password" if password is not None else "without a password"
        words = f"{user.get_username()} can sign in, as {user.get_role_display().lower()}, {how}."
        with transaction.atomic():
            made = user.pk is None
            user.save()
            audit.note(actor=None, action="make account" if made else "change account", words=words)
        self.stdout.write(f"{user.username} can sign in, as {user.get_role_display().lower()}.")
        if not User.objects.filter(role=Role.SUPPORT_LEAD, is_active=True).exists():
            self.stdout.write("No account can invite others yet. Create one with --role support_lead.")
