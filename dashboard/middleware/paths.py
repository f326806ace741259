"""What a request's path decides before its view: which hosts it is answered for, and what counts as its address."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware

Answering = Callable[[HttpRequest], HttpResponseBase]

PROBES = frozenset({"/healthz", "/readyz"})
"""Probes are sent to a process by its address, such as a pod's IP, so they are answered for any Host."""

_FOR_PROGRAMS = re.compile(r"/+(?:hooks|api)(?:/|$)")
_RECEIVER = re.compile(r"/+hooks/+([^/]+)/*")
_OBSERVATIONS = re.compile(r"/+api/+v1/+observations/*")


def is_for_programs(path: str) -> bool:
    """Return whether the receiver or the observations API answers this path: with JSON, never with a page."""
    return _FOR_PROGRAMS.match(path) is not None


def forgive_slashes(get_response: Answering) -> Answering:
    """Take the receiver's and the observations API's addresses with missing or extra slashes.

    OpenTrain follows no redirect, and a client that follows one to the right address sends a GET without the body.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        address = _address(request.path_info)
        if address is not None:
            request.path = request.path.removesuffix(request.path_info) + address
            request.path_info = address
        return get_response(request)

    return answer


def _address(path: str) -> str | None:
    if receiver := _RECEIVER.fullmatch(path):
        return f"/hooks/{receiver[1]}/"
    return "/api/v1/observations" if _OBSERVATIONS.fullmatch(path) else None


class HostCheck(CommonMiddleware):
    """Django's CommonMiddleware, which refuses hosts that are not in ALLOWED_HOSTS, except for probes."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]
        if request.path_info in PROBES:
            return None
        return super().process_request(request)
