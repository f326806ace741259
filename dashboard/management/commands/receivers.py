"""`manage receivers`: what receivers last reported, and how to forget one whose machine is gone for good."""

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from dashboard.actions import receivers as actions
from dashboard.queries import receivers
from dashboard.rules.durations import ago


class Command(BaseCommand):
    help = "Show what receivers last reported: attempts that they hold and that are not in the log yet."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forget",
            metavar="NAME",
            help="Forget a receiver that will never report again. What its spool still holds is in no log.",
        )

    def handle(self, *, forget: str | None, **_options: object) -> None:
        now, found = timezone.now(), receivers.reports()
        if forget is None:
            for report in found:
                heard = ago(then=report.heard_at, now=now)
                self.stdout.write(report.words(now=now) or f"Receiver {report.name} holds nothing (reported {heard}).")
            if not found:
                self.stdout.write("No receiver has reported.")
            return
        named = next((one for one in found if one.name == forget), None)
        if named is None:
            raise CommandError(f"No receiver named {forget} has reported.")
        if not named.is_silent(now=now):
            raise CommandError(f"Receiver {forget} still reports, so it is not forgotten.")
        actions.forget(names=[forget])
        self.stdout.write(f"Receiver {forget} is forgotten. Its last report: {named.held:,} held.")
