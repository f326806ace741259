"""“Why didn't it come?”: the answer for an ID that people paste."""

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard.auth.permissions import MemberRequest, Permission, allowed
from dashboard.forms import search_text
from dashboard.forms.search_text import LONGEST


@require_safe
@allowed(Permission.SEE)
def index(request: MemberRequest) -> HttpResponse:
    asked = search_text.read(request.GET.get("q", ""), what="ID")
    return render(request, "why/index.html", {"asked": asked, "longest": LONGEST})
