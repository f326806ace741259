"""Alert channels: list, create, edit, test and delete."""

import uuid
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from dashboard.actions.alerts import channels as alert_channels
from dashboard.actions.outcome import OutcomeKind
from dashboard.auth.kept_forms import secret_fields
from dashboard.auth.permissions import MemberRequest, Permission, allowed, may
from dashboard.forms.alerts import ChannelForm
from dashboard.forms.list_filters import ID
from dashboard.models import AlertChannel, AlertDelivery, Grant, Install, User
from dashboard.presenters.alert_audience import NEEDS_MAIL_SERVER, audience, sends
from dashboard.presenters.operations import operation_id
from dashboard.rules.alerts import AlertKind
from dashboard.rules.time_zones import time_zones
from dashboard.services.alerts import can_mail
from dashboard.views import operations
from dashboard.views.alerts import MESSAGES, messages_of

CHOICES = 200
"""Installs in the form's list. The page of any other install links here with it selected."""


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """A channel in the list, its alert kinds, and its newest message.

    `maker_is` says why its creator can no longer change it; empty if they can. `is_silent`: nobody can be notified.
    """

    channel: AlertChannel
    labels: list[str]
    last: AlertDelivery | None
    maker_is: str
    is_silent: bool

    @property
    def takes_all(self) -> bool:
        return len(self.labels) == len(AlertKind)


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    newest = AlertDelivery.objects.filter(channel=OuterRef("pk")).order_by("-created_at", "-pk").values("pk")[:1]
    rows = _visible(request).select_related("install", "made_by").defer("install__token", "url", "secret")
    channels = list(rows.annotate(newest=Subquery(newest)))
    last = AlertDelivery.objects.in_bulk([one.newest for one in channels])
    granted = set(Grant.objects.filter(user__in=_makers(channels)).values_list("user", "install"))
    context = {
        "rows": [
            ChannelRow(one, _labels(one), last.get(one.newest), _maker_is(one, granted), is_silent=_is_silent(one))
            for one in channels
        ],
        "with_quiet_hours": any(one.quiet_start for one in channels),
        "audience": audience(user=request.user, channels=channels, can_mail=can_mail()),
        "lacks_mail": may(request.user, Permission.MANAGE_CHANNELS) and not can_mail(),
        "answer": operations.kept(request),
        "now": timezone.now(),
    }
    return render(request, "alerts/channels.html", context)


@never_cache
@secret_fields("url")
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_CHANNELS)
def create(request: MemberRequest) -> HttpResponse:
    """Create a channel. A webhook's signing secret is shown only on the page that follows."""
    named = request.GET.get("install", "")
    form = ChannelForm(request.POST or None, user=request.user, install_id=int(named) if ID.fullmatch(named) else None)
    if request.method != "POST" or not form.is_valid():
        return _page(request, form)
    operation = _operation(form)
    outcome, channel = alert_channels.create(
        actor=request.user, details=form.details, now=timezone.now(), operation=operation
    )
    if channel is None:  # the form was sent before: the list shows its outcome
        return redirect(f"{reverse('alert-channel-list')}?{urlencode({'operation': operation})}")
    if channel.secret is not None:
        return render(request, "alerts/created.html", {"channel": channel, "outcome": outcome})
    return redirect(_address(channel, operation))


@never_cache
@secret_fields("url")
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_CHANNELS, of=AlertChannel)
def edit(request: MemberRequest, pk: int) -> HttpResponse:
    channel = _find(request, pk)
    form = ChannelForm(request.POST or None, user=request.user, channel=channel)
    if request.method != "POST" or not form.is_valid():
        return _page(request, form, channel=channel, answer=_saved(channel, operations.kept(request)))
    operation = _operation(form)
    alert_channels.change(actor=request.user, channel=channel, details=form.details, operation=operation)
    return redirect(_address(channel, operation))


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Permission.MANAGE_CHANNELS, of=AlertChannel)
def delete(request: MemberRequest, pk: int) -> HttpResponse:
    channel = _find(request, pk)
    if request.method != "POST":
        # The same in every tab and for every user, so a channel is deleted once.
        operation = operation_id(user_id=0, action="delete channel", subject=str(channel.pk), last_answer=0)
        return render(request, "alerts/delete.html", {"channel": channel, "operation": operation})
    operation = operations.asked(request)
    alert_channels.delete(actor=request.user, channel=channel, now=timezone.now(), operation=operation)
    return redirect(f"{reverse('alert-channel-list')}?{urlencode({'operation': operation})}")


@never_cache
@require_POST
@allowed(Permission.MANAGE_CHANNELS, of=AlertChannel)
def test(request: MemberRequest, pk: int) -> HttpResponse:
    """Send a test now, and show the outcome next to the button."""
    channel, operation = _find(request, pk), operations.asked(request)
    outcome = alert_channels.test(actor=request.user, channel=channel, clock=timezone.now, operation=operation)
    if not request.htmx:
        return redirect(_address(channel, operation))
    answer = operations.build(outcome=outcome, operation=operation, endpoint=None, user_id=request.user.pk)
    context = {"answer": answer, "channel": channel, "operation": uuid.uuid4(), "now": timezone.now()}
    context["messages_sent"] = messages_of(channel=channel, most=MESSAGES)
    return render(request, "alerts/channel.html#tested", context)


def _is_silent(channel: AlertChannel) -> bool:
    return not sends(channel, can_mail=can_mail())


def _saved(channel: AlertChannel, answer: operations.ShownOutcome | None) -> operations.ShownOutcome | None:
    """Return the answer as a warning, if the channel was saved and nobody can be notified by it."""
    if answer is None or not answer.outcome.ok or not _is_silent(channel):
        return answer
    words = f"Saved. Nobody is told by it {NEEDS_MAIL_SERVER}. {answer.outcome.words}"
    return replace(answer, outcome=replace(answer.outcome, kind=OutcomeKind.UNAVAILABLE, words=words))


def _visible(request: MemberRequest) -> Any:  # noqa: ANN401 - a QuerySet whose class Django makes
    return AlertChannel.objects.visible_to(request.user)


def _find(request: MemberRequest, pk: int) -> AlertChannel:
    """Return the channel without its secrets. Raises: Http404."""
    rows = AlertChannel.objects.visible_to(request.user).select_related("install")
    return get_object_or_404(rows.defer("url", "secret", "install__token"), pk=pk)


def _address(channel: AlertChannel, operation: uuid.UUID) -> str:
    return operations.with_answer(reverse("alert-channel-edit", args=[channel.pk]), operation=operation)


def _operation(form: ChannelForm) -> uuid.UUID:
    named: uuid.UUID | None = form.cleaned_data["operation"]
    return named or uuid.uuid4()


def _page(
    request: MemberRequest,
    form: ChannelForm,
    *,
    channel: AlertChannel | None = None,
    answer: operations.ShownOutcome | None = None,
) -> HttpResponse:
    context = {
        "form": form,
        "channel": channel,
        "answer": answer,
        "operation": uuid.uuid4(),
        "installs": _choices(request, form),
        "time_zones": time_zones(),
        "lacks_mail": form.chosen_way == AlertChannel.Way.EMAIL and not can_mail(),
        "is_silent": channel is not None and _is_silent(channel),
        "takes": {str(way): channel is None or channel.way == way for way in AlertChannel.Way},
        "messages_sent": messages_of(channel=channel, most=MESSAGES) if channel is not None else [],
        "now": timezone.now(),
    }
    return render(request, "alerts/channel.html", context, status=422 if form.errors else 200)


def _choices(request: MemberRequest, form: ChannelForm) -> list[Install]:
    """Return the installs for the form's list: the first by name, plus the selected one."""
    visible = Install.objects.visible_to(request.user).defer("token").order_by("name", "pk")
    chosen = str(form["install"].value() or "")
    found = list(visible[:CHOICES])
    if ID.fullmatch(chosen) and int(chosen) not in {install.pk for install in found}:
        found += list(visible.filter(pk=int(chosen)))
    return found


def _makers(channels: list[AlertChannel]) -> set[User]:
    return {channel.made_by for channel in channels if channel.made_by is not None}


def _maker_is(channel: AlertChannel, granted: set[tuple[int, int]]) -> str:
    """Say why the channel's creator can no longer change it. `granted` holds (user, install) pairs."""
    maker = channel.made_by
    if maker is None:
        return "account deleted"
    if not maker.is_active:
        return "deactivated"
    sees = maker.sees_every_install or (maker.pk, channel.install_id) in granted
    return "" if sees and may(maker, Permission.MANAGE_CHANNELS) else "can no longer change it"


def _labels(channel: AlertChannel) -> list[str]:
    return [kind.label for kind in AlertKind if kind in channel.kinds]
