"""A 405 page for people who open an action URL, for example by a reload. Django's own response is empty."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import render

Answering = Callable[[HttpRequest], HttpResponseBase]


def explain_to_people(get_response: Answering) -> Answering:
    """Replace a 405 by a page for browsers; other clients get it unchanged."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not isinstance(response, HttpResponseNotAllowed) or not _wants_page(request):
            return response
        page = render(request, "405.html", status=response.status_code)
        page["Allow"] = response["Allow"]
        return page

    return answer


def _wants_page(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "")
