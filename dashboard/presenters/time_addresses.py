"""Addresses of lists whose times are in UTC, however they were typed: a shared link means the same to everybody."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from dashboard.auth.permissions import MemberRequest
from dashboard.forms.list_filters import times_to_address

P = ParamSpec("P")
Answering = Callable[Concatenate[MemberRequest, P], HttpResponse]


def with_times_in_utc(clock: Callable[[], datetime]) -> "Callable[[Answering[P]], Answering[P]]":
    """Redirect a list to the address with its times in UTC. Messages say which moment was taken if there were two."""

    def wrap(view: "Answering[P]") -> "Answering[P]":
        @wraps(view)
        def answer(request: MemberRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            times, taken = times_to_address(params=request.GET.dict(), now=clock())
            if not times:
                return view(request, *args, **kwargs)
            for words in taken:
                messages.warning(request, words)
            query = request.GET.copy()
            for name, text in times.items():
                query[name] = text
            return redirect(f"{request.path}?{query.urlencode()}")

        return answer

    return wrap
