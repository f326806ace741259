"""Writes what receivers say of themselves."""

from collections.abc import Collection
from datetime import datetime

from dashboard.models import ReceiverPresence, ReceiverReport


def report(*, name: str, held: int, now: datetime) -> None:
    """Record how many attempts a receiver holds that are not in the log. Raises: django.db.Error."""
    said = {"held": held, "heard_at": now}
    ReceiverReport.objects.bulk_create(
        [ReceiverReport(name=name, **said)], update_conflicts=True, unique_fields=["name"], update_fields=list(said)
    )


def mark_present(*, name: str, began_at: datetime, now: datetime) -> None:
    """Record that a receiver's process, which started at `began_at`, runs. Raises: django.db.Error."""
    ReceiverPresence.objects.bulk_create(
        [ReceiverPresence(name=name, began_at=began_at, last_at=now)],
        update_conflicts=True,
        unique_fields=["name", "began_at"],
        update_fields=["last_at"],
    )


def forget(*, names: Collection[str]) -> None:
    """Take away the reports of receivers that hold nothing any more. Raises: django.db.Error."""
    ReceiverReport.objects.filter(name__in=names).delete()
