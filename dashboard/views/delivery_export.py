"""Exports of a deliveries list as a file (presenters/downloads.py).

Rows are read in chunks of CHUNK. Each chunk is a query of its own that continues after the last row, so no transaction
or cursor stays open during a slow download, and memory use does not depend on the number of rows.
Deliveries that arrive during the download are not in the file: it is the list as of its start, newest first.
"""

import base64
from collections.abc import Collection, Iterator
from datetime import datetime

from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from dashboard.actions import audit
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms import delivery_filters
from dashboard.forms.delivery_filters import Filter
from dashboard.models import Endpoint
from dashboard.presenters import downloads
from dashboard.presenters.downloads import Row
from dashboard.queries import delivery_lists
from dashboard.queries.delivery_lists import Cursor
from dashboard.rules.causes import describe_cause
from dashboard.rules.deliveries import Standing, state_kind
from dashboard.rules.endpoints import EndpointFacts
from dashboard.views.delivery_lists import Place, everything, of_endpoint, of_install, with_names

CHUNK = 1000
"""Rows per query; CHUNK_WITH_BODIES if the export includes bodies, which can be 1 MiB each."""
CHUNK_WITH_BODIES = 20
EXPORT = "export deliveries"
"""Audit action name."""
_DELIVERY = {
    "delivery_id": "opentrain_id",
    "event_id": "event_id",
    "event_type": "event_type",
    "resource_id": "resource_id",
    "install": "endpoint__install__name",
    "endpoint_id": "endpoint__opentrain_id",
    "attempts": "attempt_count",
    "last_status": "last_status",
    "last_cause": "last_cause",
    "last_latency_ms": "last_latency_ms",
    "signature": "last_signature",
    "first_received_at": "first_received_at",
    "last_attempt_at": "last_attempt_at",
    "requested_at": "requested_at",
}
_JUDGED = ("standing", "due_by", "endpoint__status", "pk", "endpoint_id")
_OF_ENDPOINT = ("endpoint_name", "endpoint_url")
"""What pages call the endpoint, and its URL without secrets."""
_REFUSED = ("received_at", "install", "endpoint_id", *_OF_ENDPOINT, "reason", "explanation", "answered_status",
            "claimed_delivery_id", "claimed_event_type", "body_size", "body_sha256")  # fmt: skip


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponseBase:
    return _export(request, everything(request))


@require_safe
@allowed(Permission.SEE)
def install(request: MemberRequest, pk: int) -> HttpResponseBase:
    return _export(request, of_install(request.user, pk))


@require_safe
@allowed(Permission.SEE)
def endpoint(request: MemberRequest, pk: int) -> HttpResponseBase:
    return _export(request, of_endpoint(request.user, pk))


def _export(request: MemberRequest, place: Place) -> HttpResponseBase:
    now = timezone.now()
    filters = delivery_filters.parse(params=request.GET.dict(), now=now)
    kind = request.GET.get("format", "csv")
    if refused := downloads.problem(kind=kind, problems=filters.problems):
        return refused
    bodies = kind == "ndjson" and request.GET.get("bodies") == "1" and not filters.refused
    if request.method == "GET":
        of = with_names(filters, user=request.user).words
        words = f"{kind.upper()}{', with bodies' if bodies else ''}: {of}."
        audit.note(actor=request.user, action=EXPORT, words=words, install=place.install, endpoint=place.endpoint)
    rows = _refused(place, filters) if filters.refused else _deliveries(place, filters, bodies=bodies, now=now)
    name = f"deliveries-{_whose(place)}"
    return downloads.answer(rows=rows, columns=_columns(filters), kind=kind, name=name, now=now)


def _whose(place: Place) -> str:
    """Return "acme-labs-endpoint-7", in plain ASCII."""
    whose = "all" if place.install is None else slugify(place.install.name)[:40] or f"install-{place.install.pk}"
    return whose if place.endpoint is None else f"{whose}-endpoint-{place.endpoint.pk}"


def _columns(filters: Filter) -> list[str]:
    return list(_REFUSED) if filters.refused else ["state", *_DELIVERY, "last_answer", *_OF_ENDPOINT]


def _deliveries(place: Place, filters: Filter, *, bodies: bool, now: datetime) -> Iterator[Row]:
    fields = [*_DELIVERY.values(), *_JUDGED, *(["body"] if bodies else [])]
    limit = CHUNK_WITH_BODIES if bodies else CHUNK
    cursor: Cursor | None = None
    called: dict[int, Row] = {}
    while True:
        page = delivery_lists.page(scope=place.scope, criteria=filters.criteria, now=now, limit=limit, cursor=cursor)
        found = list(page.values(*fields))
        called |= _called({row["endpoint_id"] for row in found} - called.keys())
        for row in found:
            yield _delivery(row, bodies=bodies, now=now) | called.get(row["endpoint_id"], {})
        if len(found) < limit:
            return
        cursor = Cursor(found[-1]["first_received_at"], found[-1]["pk"])


def _called(endpoints: Collection[int]) -> dict[int, Row]:
    """Return the name and the URL of each endpoint, as pages show them."""
    if not endpoints:
        return {}
    found = Endpoint.objects.filter(pk__in=endpoints).defer("secret")
    return {one.pk: _name_and_url(one) for one in found}


def _name_and_url(endpoint: Endpoint) -> Row:
    return dict(zip(_OF_ENDPOINT, (endpoint.title, endpoint.known_as), strict=True))


def _delivery(row: Row, *, bodies: bool, now: datetime) -> Row:
    state = state_kind(
        standing=Standing(row["standing"]),
        due_by=row["due_by"],
        endpoint=EndpointFacts(row["endpoint__status"]),
        now=now,
    )
    known = {"state": state.value, **{name: row[column] for name, column in _DELIVERY.items()}}
    known["last_answer"] = describe_cause(cause=row["last_cause"], status=row["last_status"])
    return known | (_body(row["body"]) if bodies else {})


def _body(raw: bytes | None) -> Row:
    """Return a body as text if it is UTF-8, else as base64; null if retention removed it."""
    if raw is None:
        return {"body": None}
    try:
        return {"body": bytes(raw).decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(raw).decode()}


def _refused(place: Place, filters: Filter) -> Iterator[Row]:
    cursor: Cursor | None = None
    while True:
        found = delivery_lists.refused_page(scope=place.scope, criteria=filters.criteria, limit=CHUNK, cursor=cursor)
        for one in found:
            whose = {"install": one.endpoint.install.name, "endpoint_id": one.endpoint.opentrain_id}
            whose |= _name_and_url(one.endpoint)
            yield {name: whose[name] if name in whose else getattr(one, name) for name in _REFUSED}
        if len(found) < CHUNK:
            return
        cursor = Cursor(found[-1].received_at, found[-1].pk)
