"""What a request's path decides before its view: which hosts it is answered for, and what counts as its address."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware

from dashboard.rules.site_paths import PROBES, receiver_key

Answering = Callable[[HttpRequest], HttpResponseBase]


def forgive_slashes(get_response: Answering) -> Answering:
    """Take the receiver's addresses with missing or extra slashes."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        key = receiver_key(request.path_info)
        if key is not None:
            address = f"/hooks/{key}/"
            request.path = request.path.removesuffix(request.path_info) + address
            request.path_info = address
        return get_response(request)

    return answer


class HostCheck(CommonMiddleware):
    """Django's CommonMiddleware, which refuses hosts that are not in ALLOWED_HOSTS, except for probes."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:  # type: ignore[override]
        if request.path_info in PROBES:
            return None
        return super().process_request(request)
