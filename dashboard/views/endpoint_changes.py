"""Edit, pause, repair and delete an endpoint. Each page is a plain form that says what will happen."""

import contextlib
import uuid
from functools import partial
from typing import Any

from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from dashboard.actions import audit, endpoint_changes, names, signing_secrets
from dashboard.actions.outcome import Outcome
from dashboard.auth.kept_forms import secret_fields
from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms.endpoints import DeleteForm, EditForm, KeepUrlForm, SigningSecretForm
from dashboard.forms.names import EndpointNameForm
from dashboard.forms.operation import OperationForm
from dashboard.models import AuditEntry, Endpoint
from dashboard.presenters.lost_window import if_paused
from dashboard.presenters.runs import active_run
from dashboard.queries.same_handler import newly_same
from dashboard.rules.deliveries import Standing
from dashboard.rules.endpoint_titles import to_type
from dashboard.rules.invisible import is_visible
from dashboard.vault import Secret
from dashboard.views import operations


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def edit(request: MemberRequest, pk: int) -> HttpResponse:
    endpoint = _find(request, pk)
    was_asked = AuditEntry.objects.filter(operation=operations.asked(request), actor=request.user).exists()
    form = EditForm(request.POST or None, endpoint=endpoint, was_asked=was_asked)
    if request.method != "POST" or not form.is_valid():
        return _page(request, "endpoints/edit.html", endpoint, form)
    if not (was_asked or form.is_meant_twice):
        address, event_types = form.cleaned_data["address"], form.cleaned_data["event_types"]
        same = newly_same(endpoint=endpoint, handler=address, event_types=event_types)
        if same:
            context = _context(endpoint, form) | {"same": same, "twice": address}
            return render(request, "endpoints/edit.html", context, status=422)
    outcome = endpoint_changes.change(
        actor=request.user,
        endpoint=endpoint,
        address=form.cleaned_data["address"],
        event_types=form.cleaned_data["event_types"],
        clock=timezone.now,
        operation=operation_of(form),
    )
    return _answer(request, "endpoints/edit.html", endpoint, form, outcome)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def rename(request: MemberRequest, pk: int) -> HttpResponse:
    """Give the endpoint a name that people here use. OpenTrain is not called."""
    endpoint = _find(request, pk)
    form = EndpointNameForm(request.POST or None, initial={"name": endpoint.name})
    if request.method == "POST" and form.is_valid() and _rename(request, endpoint, form):
        return redirect(operations.with_answer(operations.page_of(endpoint), operation=operation_of(form)))
    context = {"endpoint": endpoint, "install": endpoint.install, "form": form}
    return render(request, "endpoints/rename.html", context, status=422 if form.errors else 200)


def _rename(request: MemberRequest, endpoint: Endpoint, form: EndpointNameForm) -> bool:
    """Store the name; return False with an error in the form if another endpoint has it."""
    name, operation = form.cleaned_data["name"], operation_of(form)
    try:
        names.rename_endpoint(actor=request.user, endpoint=endpoint, name=name, operation=operation)
    except names.Taken as error:
        form.add_error("name", str(error))
        return False
    except audit.NotedBefore:
        pass  # already renamed
    return True


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def pause(request: MemberRequest, pk: int) -> HttpResponse:
    endpoint = _find(request, pk)
    form = OperationForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _page(request, "endpoints/pause.html", endpoint, form)
    outcome = endpoint_changes.pause(
        actor=request.user, endpoint=endpoint, clock=timezone.now, operation=operation_of(form)
    )
    return _answer(request, "endpoints/pause.html", endpoint, form, outcome)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def delete(request: MemberRequest, pk: int) -> HttpResponse:
    endpoint = _find(request, pk, deleted=True)
    if endpoint.deleted_at is not None and request.method != "POST":
        return redirect(operations.page_of(endpoint))
    form = DeleteForm(request.POST or None, word=confirmation_word(endpoint))
    if request.method != "POST" or not form.is_valid():
        return _page(request, "endpoints/delete.html", endpoint, form)
    outcome = endpoint_changes.delete(
        actor=request.user, endpoint=endpoint, clock=timezone.now, operation=operation_of(form)
    )
    return _answer(request, "endpoints/delete.html", endpoint, form, outcome)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def point_back(request: MemberRequest, pk: int) -> HttpResponse:
    """Explain that OpenTrain will deliver to the receiver again, then request it. Only for a moved endpoint."""
    endpoint = _find(request, pk)
    form = OperationForm(request.POST or None)
    if not endpoint.is_moved and request.method != "POST":
        return redirect(operations.page_of(endpoint))
    if request.method != "POST" or not form.is_valid():
        return _page(request, "endpoints/point_back.html", endpoint, form)
    if endpoint.receiver_key is None:
        raise Http404
    outcome = endpoint_changes.point_back(
        actor=request.user, endpoint=endpoint, clock=timezone.now, operation=operation_of(form)
    )
    return _answer(request, "endpoints/point_back.html", endpoint, form, outcome)


@never_cache
@require_POST
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def keep_url(request: MemberRequest, pk: int) -> HttpResponse:
    """Take note that a URL is intended that was set outside Redeliver."""
    endpoint, form = _find(request, pk), KeepUrlForm(request.POST)
    if not form.is_valid():
        return redirect(operations.page_of(endpoint))
    operation = operation_of(form)
    with contextlib.suppress(audit.NotedBefore):  # already kept
        endpoint_changes.keep_url(
            actor=request.user, endpoint=endpoint, changed_at=form.cleaned_data["changed_at"], operation=operation
        )
    return redirect(operations.with_answer(operations.page_of(endpoint), operation=operation))


@never_cache
@secret_fields("secret")
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_ENDPOINTS, of=Endpoint)
def signing_secret(request: MemberRequest, pk: int) -> HttpResponse:
    """Take the signing secret of an endpoint whose deliveries the receiver can't verify."""
    endpoint = _find(request, pk)
    form = SigningSecretForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _enter(request, endpoint, form):
        operation = operation_of(form)
        return redirect(operations.with_answer(operations.page_of(endpoint), operation=operation))
    context = {"endpoint": endpoint, "install": endpoint.install, "form": form}
    return render(request, "endpoints/secret.html", context, status=422 if form.errors else 200)


@sensitive_variables("secret")
def _enter(request: MemberRequest, endpoint: Endpoint, form: SigningSecretForm) -> bool:
    """Store the secret; return False with an error in the form if it cannot be used."""
    secret = Secret(form.cleaned_data["secret"])
    try:
        signing_secrets.enter(actor=request.user, endpoint=endpoint, secret=secret, operation=operation_of(form))
    except signing_secrets.NotPossible as error:
        form.add_error(None, str(error))
        return False
    except audit.NotedBefore:
        pass  # already entered
    return True


def visible(request: MemberRequest, pk: int) -> Endpoint:
    """Return the endpoint, deleted or not, without its secrets, which pages don't need. Raises: Http404."""
    rows = Endpoint.objects.visible_to(request.user).select_related("install")
    return get_object_or_404(rows.defer("secret", "install__token"), pk=pk)


def operation_of(form: OperationForm) -> uuid.UUID:
    """Return the operation ID in the form, or a new one."""
    named: uuid.UUID | None = form.cleaned_data["operation"]
    return named or uuid.uuid4()


def confirmation_word(endpoint: Endpoint) -> str:
    """Return the text to type to confirm deletion: the endpoint's title, or "delete" if it can't be typed."""
    word = to_type(endpoint.title)
    return word if word and is_visible(word) else "delete"


def at_stake(endpoint: Endpoint) -> dict[str, int]:
    """Count the waiting and failed deliveries in the log that a deletion discards."""
    undelivered = [standing for standing in Standing if standing is not Standing.DELIVERED]
    failed = Q(standing=Standing.FAILED)
    # Listed one by one so that an index is used.
    found = endpoint.deliveries.filter(standing__in=undelivered).order_by()
    return found.aggregate(waiting=Count("id", filter=~failed), failed=Count("id", filter=failed))


def _find(request: MemberRequest, pk: int, *, deleted: bool = False) -> Endpoint:
    """Return an endpoint registered with OpenTrain. Raises: Http404."""
    rows = Endpoint.objects.visible_to(request.user).select_related("install").filter(opentrain_id__isnull=False)
    rows = rows if deleted else rows.registered()
    return get_object_or_404(rows.defer("secret", "install__token"), pk=pk)


def _page(request: MemberRequest, template: str, endpoint: Endpoint, form: OperationForm) -> HttpResponse:
    return render(request, template, _context(endpoint, form), status=422 if form.errors else 200)


def _answer(
    request: MemberRequest, template: str, endpoint: Endpoint, form: OperationForm, outcome: Outcome
) -> HttpResponse:
    """Redirect to the endpoint's page on success; otherwise show the form again with the outcome above it."""
    operation = operation_of(form)
    if outcome.ok and outcome.unrequested:
        return operations.lead(request, outcome=outcome, page=operations.page_of(endpoint))
    if outcome.ok:
        return redirect(operations.with_answer(operations.page_of(endpoint), operation=operation))
    answer = operations.build(outcome=outcome, operation=operation, endpoint=endpoint, user_id=request.user.pk)
    # With the same operation ID, the form would get the same answer again.
    return render(request, template, _context(endpoint, form) | {"answer": answer, "operation": uuid.uuid4()})


def _context(endpoint: Endpoint, form: OperationForm) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "install": endpoint.install,
        "delivers_to": "no handler" if endpoint.is_received and not endpoint.handler_url else endpoint.known_as,
        "form": form,
        "operation": form["operation"].value(),
        "stake": at_stake(endpoint) if endpoint.is_logged else None,
        "active": active_run(endpoint),
        # Only one of the pages calls it, and it asks the database.
        "contracts": partial(if_paused, endpoint),
    }
