"""Addresses of lists whose times are in UTC, however they were typed: a shared link means the same to everybody."""

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from dashboard.auth.permissions import MemberRequest
from dashboard.forms.list_filters import times_to_address
from dashboard.rules.time_zones import is_known, read_in, readers_zone, zone_named

P = ParamSpec("P")
OF_FORM = "zone"
"""Field of filters: the zone that the form names. Another tab may have chosen another one since."""
Answering = Callable[Concatenate[MemberRequest, P], HttpResponse]


def with_times_in_utc(clock: Callable[[], datetime]) -> "Callable[[Answering[P]], Answering[P]]":
    """Redirect a list to the address with its times in UTC. Messages say which moment was taken if there were two."""

    def wrap(view: "Answering[P]") -> "Answering[P]":
        @wraps(view)
        def answer(request: MemberRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            with read_in(_zone_of_form(request)):
                times, taken = times_to_address(params=request.GET.dict(), now=clock())
            if not times and OF_FORM not in request.GET:
                return view(request, *args, **kwargs)
            for words in taken:
                messages.warning(request, words)
            query = request.GET.copy()
            query.pop(OF_FORM, None)
            for name, text in times.items():
                query[name] = text
            return redirect(f"{request.path}?{query.urlencode()}".rstrip("?"))

        return answer

    return wrap


def _zone_of_form(request: MemberRequest) -> tzinfo:
    """Return the zone that typed times are of: the form's, or the reader's for an address that is written by hand."""
    said = request.GET.get(OF_FORM, "")
    return zone_named(said) if is_known(said) else readers_zone()
