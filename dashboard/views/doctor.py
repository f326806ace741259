"""The signature doctor: explains why the signature of a refused or pasted request fails.

Pasted data is never stored, logged or put into a URL, and the secret is not even sent back with the form.
"""

import base64
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from dashboard.auth.kept_forms import secret_fields
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms.doctor import DoctorForm
from dashboard.forms.list_filters import ID
from dashboard.models import Attempt, Endpoint, RefusedAttempt
from dashboard.rules.doctor import SAME, Diagnosis, Kind, NamedSecret, Refused, compare, diagnose, from_log
from dashboard.rules.durations import exactly
from dashboard.vault import Unreadable

OTHERS = 20
"""How many of the install's other endpoints, newest first, have their secrets tried."""
_NAMED = ("name", "url", "handler_url", "receiver_key", "routing_since", "bypassed_at", "opentrain_id")
NOT_PROVEN = (
    "No delivery has proven the secret that Redeliver keeps for this endpoint: it may have been entered wrongly. "
    "Compare it with the handler's, and enter it again on the endpoint's page."
)


@dataclass(frozen=True, slots=True)
class DoctorResult:
    """The doctor's diagnosis, with additional notes."""

    diagnosis: Diagnosis
    notes: tuple[str, ...] = ()


@never_cache
@secret_fields("secret", "body", "headers")
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.SEE)
def examine(request: MemberRequest, pk: int) -> HttpResponse:
    rows = Endpoint.objects.visible_to(request.user).select_related("install").defer("secret", "install__token")
    endpoint = get_object_or_404(rows, pk=pk)
    refused = _refused(request, endpoint)
    attempt = None if refused else _attempt(request, endpoint)
    filled = _pasted(refused) if attempt is None else _filled(attempt)
    form = DoctorForm(request.POST if request.method == "POST" else None, now=timezone.now(), initial=filled)
    result = _examined(form, endpoint=endpoint, refused=refused) if form.is_bound and form.is_valid() else None
    context = {"endpoint": endpoint, "install": endpoint.install, "form": form, "result": result, "refused": refused}
    if request.htmx and form.is_bound:
        return render(request, "doctor/examine.html#answer", context)
    log = {
        "logged": from_log(refused=_facts(refused)) if refused else None,
        "attempt": attempt,
        "now": timezone.now(),
    }
    return render(request, "doctor/examine.html", context | log, status=422 if form.errors else 200)


def _refused(request: MemberRequest, endpoint: Endpoint) -> RefusedAttempt | None:
    """Return the refused request named in the URL, if any. Raises: Http404."""
    pk = request.GET.get("refused", "")
    return get_object_or_404(endpoint.refused_attempts, pk=int(pk)) if ID.fullmatch(pk) else None


def _attempt(request: MemberRequest, endpoint: Endpoint) -> Attempt | None:
    """Return the attempt of the delivery named in the URL, if any; the newest, if only its delivery is named.

    None without headers: a handler that reports an attempt need not send them. Raises: Http404.
    """
    pk, number = request.GET.get("delivery", ""), request.GET.get("attempt", "")
    if not ID.fullmatch(pk):
        return None
    rows = get_object_or_404(endpoint.deliveries, pk=int(pk)).attempts.select_related("delivery").order_by("-number")
    found = (rows.filter(number=int(number)) if ID.fullmatch(number) else rows).first()
    return found if found is not None and found.request_headers else None


def _pasted(refused: RefusedAttempt | None) -> dict[str, Any]:
    return {} if refused is None else _logged(refused)


def _filled(attempt: Attempt) -> dict[str, Any]:
    """Return the form's fields for an attempt: its headers and time, and its delivery's body, if that is kept."""
    if attempt.delivery.body is None:
        return _logged(attempt)
    body = base64.b64encode(bytes(attempt.delivery.body)).decode()
    return _logged(attempt) | {"body": body, "encoding": DoctorForm.BASE64}


def _logged(row: RefusedAttempt | Attempt) -> dict[str, Any]:
    lines = (f"{name}: {value}" for name, value in row.request_headers)
    return {"headers": "\n".join(lines), "arrived_at": exactly(row.received_at)}


def _facts(refused: RefusedAttempt) -> Refused:
    return Refused(
        reason=refused.reason,
        headers=[(name, value) for name, value in refused.request_headers],
        arrived=int(refused.received_at.timestamp()),
        body_sha256=refused.body_sha256,
    )


def _examined(form: DoctorForm, *, endpoint: Endpoint, refused: RefusedAttempt | None) -> DoctorResult | None:
    """Return the diagnosis, or None with a form error if there is no secret to try."""
    stored, pasted = _stored(endpoint), form.cleaned_data["secret"]
    if not pasted and stored is None:
        form.add_error("secret", "Redeliver doesn't have this endpoint's secret, or can't read it. Paste it here.")
        return None
    found = _diagnosis(form, endpoint=endpoint, secret=pasted or stored or "")
    notes, explained = [], found.genuine or found.kind is Kind.SECRET_FORM
    if not pasted and found.kind is Kind.WRONG_SECRET and endpoint.proof == Endpoint.Proof.WAITING:
        notes.append(NOT_PROVEN)
    if pasted and stored and not explained and _diagnosis(form, endpoint=endpoint, secret=stored).genuine:
        notes.append(
            "The signature is valid with the secret that Redeliver keeps for this endpoint, so you pasted another one."
        )
    same = compare(bodies=form.bodies, sha256=refused.body_sha256) if refused else ""
    notes += [same] if same else []
    exact = form.is_exact or same == SAME
    return DoctorResult(found, (*notes, *_doubts(form, found, exact=exact)))


def _doubts(form: DoctorForm, found: Diagnosis, *, exact: bool) -> list[str]:
    """Return what remains uncertain; `exact` says whether the bytes are known to be the original ones."""
    doubts = []
    if form.cleaned_data["arrived_at"] is None and found.kind not in {Kind.MISSING, Kind.DOUBLED, Kind.MALFORMED}:
        doubts.append("No arrival time was given, so the age is measured until now.")
    if not exact and found.kind in {Kind.BODY_CHANGED, Kind.WRONG_SECRET}:
        doubts.append(
            "The body was pasted as text and checked with both LF and CRLF line endings. "
            "Copying can change text: paste it as base64 to be sure."
        )
    return doubts


def _diagnosis(form: DoctorForm, *, endpoint: Endpoint, secret: str) -> Diagnosis:
    arrived = form.cleaned_data["arrived_at"] or timezone.now()
    headers = form.cleaned_data["headers"]
    return diagnose(
        headers=headers,
        body=form.bodies[0],
        also_as=form.bodies[1:],
        secret=secret,
        other_secrets=_others(endpoint),
        delivery_id=next((value for name, value in headers if name.lower() == "x-opentrain-delivery"), ""),
        now=int(arrived.timestamp()),
    )


def _stored(endpoint: Endpoint) -> str | None:
    try:
        secret = Endpoint.objects.only("secret").get(pk=endpoint.pk).secret
    except Unreadable:
        return None
    return secret.reveal() if secret is not None else None


def _others(endpoint: Endpoint) -> list[NamedSecret]:
    """Return the secrets of the install's other endpoints; none if any of them can't be read."""
    rows = Endpoint.objects.filter(install=endpoint.install_id, secret__isnull=False).exclude(pk=endpoint.pk)
    try:
        found = list(rows.only("secret", *_NAMED).order_by("-id")[:OTHERS])
    except Unreadable:
        return []
    return [NamedSecret(_name(one), one.secret.reveal()) for one in found if one.secret is not None]


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.base_title} ({endpoint.opentrain_id or 'being registered'})"
