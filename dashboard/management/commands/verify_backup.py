"""Check the integrity of a restored database."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dashboard.queries import health_checks, integrity


class Command(BaseCommand):
    help = (
        "Check the database in DATABASE_URL after a restore: migrations, constraints, indexes, orphaned rows, every "
        "secret against FIELD_KEYS, the audit. It changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--save", type=Path, metavar="FILE", help="Save the row counts, at the time of the backup.")
        parser.add_argument("--against", type=Path, metavar="FILE", help="Compare the row counts with saved ones.")

    def handle(self, *_args: Any, **options: Any) -> None:
        found = integrity.counts()
        for table, rows in found.items():
            self.stdout.write(f"{table}: {rows} rows")
        faults = list(integrity.faults())
        if pending := health_checks.pending_migrations():
            faults.append(f"{pending} migrations are not applied: run migrate")
        if options["against"]:
            faults += _differences(_read(options["against"]), found)
        if options["save"]:
            options["save"].write_text(json.dumps(found))
        if faults:
            raise CommandError("This copy is incomplete:\n" + "\n".join(f"- {fault}" for fault in faults))
        self.stdout.write("This copy is complete: constraints hold, every secret can be read, the audit is complete.")


def _read(path: Path) -> dict[str, int]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CommandError(f"{path} does not contain row counts of 'verify_backup --save': {error}") from None


def _differences(saved: dict[str, int], found: dict[str, int]) -> list[str]:
    """Return a fault for each table with fewer rows than saved; more rows are fine."""
    return [
        f"{table} has {found.get(table, 0)} rows; the backup had {rows}"
        for table, rows in saved.items()
        if found.get(table, 0) < rows
    ]
