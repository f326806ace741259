"""An endpoint's observation key: issue, replace and revoke it, with examples for handlers."""

import json
import shlex
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.actions import audit, observation_keys
from dashboard.actions.observation_keys import ISSUE, REVOKE
from dashboard.actions.operation import last_done
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms.observation_keys import ObservationKeyForm
from dashboard.models import Endpoint
from dashboard.presenters.operations import operation_id
from dashboard.vault import Secret
from dashboard.views import operations
from dashboard.views.endpoint_changes import operation_of, visible

SENT_BEFORE = "This form was already sent, here, in another tab or by someone else. Nothing changed."
_PYTHON = """import json, os, urllib.request

URL = {url}
HEADERS = {{
    "Authorization": "Bearer " + os.environ["OBSERVATION_KEY"],
    "Content-Type": "application/json",
}}


def report(*seen):
    # After no response, a 429 or a 503, send the same request again.
    body = json.dumps({{"observations": seen}}).encode()
    call = urllib.request.Request(URL, body, HEADERS)
    with urllib.request.urlopen(call, timeout=10) as answer:
        return json.load(answer)


report({seen})
"""


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples of a handler reporting one delivery. The key is in an environment variable."""

    curl: str
    python: str


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def issue(request: MemberRequest, pk: int) -> HttpResponse:
    """Show the page, or issue a key. The key appears only in the response to this POST."""
    endpoint = visible(request, pk)
    form = ObservationKeyForm(request.POST or None, replaces=endpoint.is_observed)
    if request.method != "POST" or not form.is_valid():
        return _page(request, endpoint, issuing=form)
    if endpoint.deleted_at is not None:
        raise Http404
    try:
        key = observation_keys.issue(
            actor=request.user, endpoint=endpoint, now=timezone.now(), operation=operation_of(form)
        )
    except audit.NotedBefore:
        form.add_error(None, f"{SENT_BEFORE} Its key was shown once, then. If it is lost, replace it.")
        return _page(request, visible(request, pk), issuing=form)
    return _shown_once(request, endpoint, key)


@never_cache
@require_POST
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def revoke(request: MemberRequest, pk: int) -> HttpResponse:
    endpoint = visible(request, pk)
    form = ObservationKeyForm(request.POST, replaces=True)
    if not form.is_valid():
        return _page(request, endpoint, revoking=form)
    operation = operation_of(form)
    try:
        if endpoint.is_observed:
            observation_keys.revoke(actor=request.user, endpoint=endpoint, operation=operation)
    except audit.NotedBefore:
        form.add_error(None, f"{SENT_BEFORE} The key below was issued after it.")
        return _page(request, endpoint, revoking=form)
    return redirect(operations.with_answer(operations.page_of(endpoint), operation=operation))


def _page(
    request: MemberRequest,
    endpoint: Endpoint,
    *,
    issuing: ObservationKeyForm | None = None,
    revoking: ObservationKeyForm | None = None,
) -> HttpResponse:
    failed = next((form for form in (issuing, revoking) if form is not None and form.errors), None)
    context = _context(endpoint) | {"issuing": issuing, "revoking": revoking, "problem": failed, "now": timezone.now()}
    context |= {"operations": {"issue": _operation_of(endpoint, ISSUE), "revoke": _operation_of(endpoint, REVOKE)}}
    return render(request, "observation_keys/detail.html", context, status=422 if failed else 200)


def _operation_of(endpoint: Endpoint, action: str) -> uuid.UUID:
    """Return the ID of a button's operation: the same in every tab and for every user until the key changes.

    A key that someone has just copied is therefore not replaced from a tab that was opened before.
    """
    last = last_done(endpoint=endpoint, actions=(ISSUE, REVOKE))
    return operation_id(user_id=0, action=action, subject=str(endpoint.pk), last_answer=last.pk if last else 0)


def _shown_once(request: MemberRequest, endpoint: Endpoint, key: Secret) -> HttpResponse:
    return render(request, "observation_keys/issued.html", _context(endpoint) | {"key": key})


def _context(endpoint: Endpoint) -> dict[str, Any]:
    examples = examples_of(url=address(), event_types=endpoint.event_types, at=timezone.now())
    return {"endpoint": endpoint, "install": endpoint.install, "examples": examples, "address": address()}


def address() -> str:
    """Return the URL for observations. Not by `reverse`: this process may serve only the console."""
    return f"{settings.RECEIVER_URL}/api/v1/observations"


def examples_of(*, url: str, event_types: list[str], at: datetime) -> Examples:
    """Return the examples for an endpoint. Its event types are external data, so they are always quoted."""
    seen = {
        "deliveryId": "dlv_example",
        "eventType": (event_types or ["contract.started"])[0],
        "receivedAt": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "status": 200,
        "latencyMs": 35,
    }
    parts = [
        f"curl --include --url {shlex.quote(url)}",
        '--header "Authorization: Bearer $OBSERVATION_KEY"',
        "--header 'Content-Type: application/json'",
        f"--data-raw {shlex.quote(json.dumps({'observations': [seen]}))}",
    ]
    return Examples(
        curl=" \\\n  ".join(parts), python=_PYTHON.format(url=json.dumps(url), seen=json.dumps(seen, indent=4))
    )
