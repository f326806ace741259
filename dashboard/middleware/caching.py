"""No browser and no proxy keeps a page, so that Back shows none to the next person after someone has signed out."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

Answering = Callable[[HttpRequest], HttpResponseBase]


def keep_no_pages(get_response: Answering) -> Answering:
    """Forbid storing a response, unless its view says otherwise: what pages poll is revalidated by its ETag."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return answer
