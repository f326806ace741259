"""Re-encrypt stored secrets after a rotation of FIELD_KEYS."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dashboard.actions import audit, reencryption
from dashboard.actions.reencryption import KeyMissing
from dashboard.models import ReceiverReport
from dashboard.queries import stored_secrets
from dashboard.receiver import routes_file
from dashboard.receiver.routes_file import RoutesUnreadable
from dashboard.receiver.spool_folder import SpoolFailed, spools
from dashboard.receiver.spool_keys import KeyUse, needs_key

TOLD_EVERY = 1000
"""Number of secrets between two progress lines."""


class Command(BaseCommand):
    help = (
        "Re-encrypt every stored token, signing secret and second factor under the first of FIELD_KEYS, and the "
        "receivers' file of routes in RECEIVER_SPOOL_DIR; say which spools there need an older key. Safe while the "
        "site runs; it can be stopped and run again. Remove the older keys when it says that you can."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Count them, and change nothing.")

    def handle(self, *_args: Any, **options: Any) -> None:
        self._seen = 0
        try:
            unreadable = sum(self._place(place, dry_run=options["dry_run"]) for place in stored_secrets.places())
        except KeyMissing as error:
            raise CommandError(str(error)) from None
        if unreadable:
            raise CommandError(
                f"{unreadable} secrets cannot be read with any of FIELD_KEYS. Append the key that encrypted them to "
                "FIELD_KEYS and run this again, or replace those tokens. Remove no key until then."
            )
        self._routes(dry_run=options["dry_run"])
        spools_wait = self._spools()
        if spools_wait and not options["dry_run"]:
            raise CommandError("Older keys are still needed by what is named above. Remove none, and run this again.")
        if not options["dry_run"]:
            self._verify()

    def _routes(self, *, dry_run: bool) -> None:
        """Re-encrypt the receiver's file of routes, if it is on this machine, and print the result."""
        path = routes_file.path_in(settings.RECEIVER_SPOOL_DIR)
        if path is None or not path.exists():
            self.stdout.write("Routes file: none here. A receiver on another machine has its own.")
            return
        try:
            found = routes_file.count(path)
            if not dry_run:
                routes_file.reencrypt(path)
        except RoutesUnreadable as error:
            raise CommandError(str(error)) from None
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        words = "would be re-encrypted" if dry_run else "re-encrypted"
        self.stdout.write(
            f"{path}: {found.total} secrets: {found.left} {words}, {found.current} already under the first key, "
            f"{found.unreadable} unreadable"
        )

    def _spools(self) -> bool:
        """Print which of the receivers' spools on this machine need an older key, and return whether any does."""
        folder = settings.RECEIVER_SPOOL_DIR
        if not folder:
            self.stdout.write("Spools: RECEIVER_SPOOL_DIR is not set here.")
            return False
        try:
            uses = needs_key(Path(folder), keys=settings.FIELD_KEYS)
        except SpoolFailed as error:
            raise CommandError(str(error)) from None
        for use in uses:
            self.stdout.write(f"{use.folder}: {_in_words(use)}")
        if not uses:
            self.stdout.write(f"Spools in {folder}: none needs an older key")
        return bool(uses)

    def _place(self, place: stored_secrets.Place, *, dry_run: bool) -> int:
        """Re-encrypt a place, print the result, and return how many of its secrets cannot be read."""
        done = reencryption.reencrypt(place=place, dry_run=dry_run, on_row=self._tell)
        words = "would be re-encrypted" if dry_run else "re-encrypted"
        self.stdout.write(
            f"{place}: {done.total} secrets: {done.changed} {words}, {done.current} already under the first key, "
            f"{done.overtaken} replaced in the meantime, {len(done.unreadable)} unreadable"
        )
        if done.unreadable:
            self.stdout.write(f"  unreadable: {', '.join(str(pk) for pk in done.unreadable[:50])}")
        return len(done.unreadable)

    def _verify(self) -> None:
        left = sum(reencryption.left(place=place) for place in stored_secrets.places()) + self._left_in_file()
        if left:
            raise CommandError(f"{left} secrets are not yet under the first key. Run this again.")
        words = "Every secret is encrypted under the first of FIELD_KEYS."
        audit.note(actor=None, action="re-encrypt secrets", words=words)
        if elsewhere := _receivers_elsewhere():
            self.stdout.write(
                "The first key reads every secret of the database and of this machine. Before you remove the older "
                "keys, run this where these receivers are too, with their RECEIVER_SPOOL_DIR: "
                f"{', '.join(elsewhere)}."
            )
        else:
            self.stdout.write("Verified: the first key reads every secret. You can remove the older keys.")

    def _left_in_file(self) -> int:
        """Return how many secrets of the routes file need another key: a receiver may have written it again."""
        path = routes_file.path_in(settings.RECEIVER_SPOOL_DIR)
        try:
            found = None if path is None else routes_file.count(path)
        except RoutesUnreadable as error:
            raise CommandError(str(error)) from None
        return 0 if found is None else found.total - found.current

    def _tell(self) -> None:
        self._seen += 1
        if self._seen % TOLD_EVERY == 0:
            self.stdout.write(f"So far {self._seen} secrets.")


def _in_words(use: KeyUse) -> str:
    """Say what a spool needs of the older keys, and what to do."""
    said = []
    if use.writes_older:
        said.append("its receiver still encrypts with an older key: restart it")
    if use.older:
        said.append(f"{use.older} files need an older key: wait until they are in the log, or delete files in .aside")
    if use.unreadable:
        said.append(f"{use.unreadable} files cannot be read with FIELD_KEYS, or by this release")
    return "; ".join(said)


def _receivers_elsewhere() -> list[str]:
    """Return the receivers that reported from another folder than this machine's."""
    folder = settings.RECEIVER_SPOOL_DIR
    here = {spool.name for spool in spools(Path(folder))} if folder else set()
    return [name for name in ReceiverReport.objects.values_list("name", flat=True) if name not in here]
