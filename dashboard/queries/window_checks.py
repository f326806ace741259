"""What people checked of times in which nothing was sent: of endpoints, and of all that a user may see."""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from dashboard.models import Endpoint, User, WindowCheck
from dashboard.rules.window_checks import Check

LATELY = 50
"""Most checks that `settled_lately` looks at, those of the times that ended last."""


def checks_of(endpoints: Collection[int]) -> dict[int, list[Check]]:
    """Return the checks of each endpoint, by its primary key."""
    found: dict[int, list[Check]] = defaultdict(list)
    for row in WindowCheck.objects.filter(endpoint__in=endpoints):
        found[row.endpoint_id].append(as_check(row))
    return found


def settled_lately(*, user: User, since: datetime) -> list[Endpoint]:
    """Return the endpoints that were not stopped again after a time since `since` that a person checked.

    They are connected ones that the user may see. Earlier times of theirs may not be checked.
    """
    visible = Endpoint.objects.visible_to(user).registered().connected()
    rows = WindowCheck.objects.filter(until__gte=since, endpoint__in=visible).select_related("endpoint__install")
    newest = rows.defer("endpoint__secret", "endpoint__install__token").order_by("-until", "-id")[:LATELY]
    found = {row.endpoint_id: row.endpoint for row in newest if _is_last(row)}
    return list(found.values())


def as_check(row: WindowCheck) -> Check:
    return Check(row.since, row.until, row.checked_by_name, row.checked_at, row.note, row.pk)


def _is_last(row: WindowCheck) -> bool:
    stopped_at = row.endpoint.stopped_seen_at
    return stopped_at is not None and row.until >= stopped_at
