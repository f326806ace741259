"""“Why didn't it come?”: the answer for an ID that people paste."""

from datetime import datetime

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms import search_text
from dashboard.forms.search_text import LONGEST, SearchText
from dashboard.presenters.log_lag import log_lag
from dashboard.presenters.why import Why, of_endpoints, of_refused, unknown, why
from dashboard.queries.search import find_endpoints, find_refused
from dashboard.queries.why import event_of, looked_through, named
from dashboard.rules.pasted import spellings


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    now = timezone.now()
    asked = search_text.read(request.GET.get("q", ""), what="ID")
    context = {
        "asked": asked,
        "longest": LONGEST,
        "why": _answer(request, asked, now) if asked.sought else None,
        "log_lag": log_lag(user=request.user, now=now),
        "now": now,
    }
    return render(request, "why/index.html", context)


def _answer(request: MemberRequest, asked: SearchText, now: datetime) -> Why:
    user, text = request.user, asked.sought
    found = named(user=user, text=text, now=now)
    if found:
        return why(text=text, named=found, event=event_of(found, now=now), user=user, now=now)
    refused = find_refused(user=user, delivery_id=text)
    if refused:
        return of_refused(text=text, refused=refused, now=now)
    endpoints = find_endpoints(user=user, ids=spellings(text), words=asked.words or text)
    if endpoints:
        return of_endpoints(text=text, endpoints=endpoints, now=now)
    return unknown(text=text, looked_through=looked_through(user=user), user=user, now=now)
