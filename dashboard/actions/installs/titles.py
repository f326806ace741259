"""Works out what tells endpoints apart whose titles are the same (rules/endpoint_titles.py).

It is stored with the endpoints, so that no page compares an endpoint with all others of its install.
"""

from django.db import connection

from dashboard.models import Endpoint, Rotation
from dashboard.rules.endpoint_titles import NEW_SECRET, OLD_SECRET, Titled, marks

_MARK = """
    UPDATE dashboard_endpoint SET told_apart_by = marks.mark
    FROM unnest(%s::bigint[], %s::text[]) AS marks (id, mark) WHERE dashboard_endpoint.id = marks.id
"""
_READ = (
    "opentrain_id", "name", "url", "handler_url", "receiver_key", "routing_since", "bypassed_at", "deleted_at",
    "told_apart_by",
)  # fmt: skip
"""Columns that a title depends on, and the mark."""


def tell_apart(*, install_id: int) -> None:
    """Mark the install's endpoints that have the same title, and those of a rotation.

    Call it after an endpoint was added, renamed, deleted or got another URL, with the install's row locked
    (`snapshots.hold`).
    """
    rows = list(Endpoint.objects.filter(install=install_id).only(*_READ).order_by("pk"))
    secrets = _secrets(rows, install_id=install_id)
    found = marks(
        Titled(
            pk=row.pk,
            base=row.base_title,
            opentrain_id=row.opentrain_id or "",
            is_deleted=row.deleted_at is not None,
            secret=secrets.get(row.pk, ""),
        )
        for row in rows
    )
    changed = [row.pk for row in rows if row.told_apart_by != found[row.pk]]
    if changed:
        with connection.cursor() as cursor:
            cursor.execute(_MARK, [changed, [found[pk] for pk in changed]])


def _secrets(rows: list[Endpoint], *, install_id: int) -> dict[int, str]:
    """Return OLD_SECRET or NEW_SECRET for the endpoints of rotations under way, while both exist."""
    existing = {row.pk for row in rows if row.deleted_at is None}
    pairs = Rotation.objects.under_way().filter(old__install=install_id).values_list("old_id", "new_id")
    found: dict[int, str] = {}
    for old, new in pairs:
        if {old, new} <= existing:
            found |= {old: OLD_SECRET, new: NEW_SECRET}
    return found
