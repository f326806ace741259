"""Exports of an install's list of contracts as a file (presenters/downloads.py), with a row for each endpoint.

Contracts are read in chunks of CHUNK, as in exports of deliveries: nothing stays open during a slow download.
"""

from collections.abc import Iterator
from datetime import datetime

from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from dashboard.actions import audit
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.presenters import downloads
from dashboard.presenters.contract_downloads import COLUMNS, file_rows
from dashboard.presenters.downloads import Row
from dashboard.queries import contract_lists
from dashboard.queries.delivery_lists import Cursor
from dashboard.views.contract_lists import Place, judged, place_of, shown

CHUNK = 200
"""Most contracts per query; less if the install has many endpoints, so that a chunk has at most PAIRS rows."""
PAIRS = 2000
EXPORT = "export contracts"
"""Audit action name."""


@require_safe
@allowed(Permission.SEE)
def install(request: MemberRequest, pk: int) -> HttpResponseBase:
    now = timezone.now()
    place, kind = place_of(request, pk, now=now), request.GET.get("format", "csv")
    if refused := downloads.problem(kind=kind, problems=place.filters.problems):
        return refused
    if request.method == "GET":
        words = f"{kind.upper()}: {place.filters.words}."
        audit.note(actor=request.user, action=EXPORT, words=words, install=place.install)
    name = f"contracts-{slugify(place.install.name)[:40] or f'install-{pk}'}"
    return downloads.answer(rows=_rows(place, now=now), columns=COLUMNS, kind=kind, name=name, now=now)


def _rows(place: Place, *, now: datetime) -> Iterator[Row]:
    cursor: Cursor | None = None
    chunk = max(1, min(CHUNK, PAIRS // max(place.install.endpoint_count, 1)))
    while True:
        found = contract_lists.page(install=place.install, criteria=place.filters.criteria, limit=chunk, cursor=cursor)
        yield from file_rows(judged(place, found, shown(place, found, limit=None).endpoints, now=now))
        if len(found) < chunk:
            return
        cursor = contract_lists.cursor_of(found[-1])
