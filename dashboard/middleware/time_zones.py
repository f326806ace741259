"""The time zone that each request's answer is written in."""

from collections.abc import Callable
from datetime import tzinfo

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from dashboard.middleware.sessions import is_signed_in
from dashboard.rules.time_zones import UTC_NAME, is_known, read_in, zone_named

Answering = Callable[[HttpRequest], HttpResponseBase]

COOKIE = "time_zone"
"""Names the browser's time zone. static/js/theme.js sets it; without JavaScript there is none."""


def write_in_readers_zone(get_response: Answering) -> Answering:
    """Have a request's times written in the reader's zone.

    It ends with the view: what is streamed after that, such as an export, is in UTC.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        zone = zone_of(request)
        with read_in(zone), timezone.override(zone):
            return get_response(request)

    return answer


def zone_of(request: HttpRequest) -> tzinfo:
    """Return the zone that the signed-in user chose, else the browser's, else UTC."""
    chosen = getattr(request.user, "time_zone", "") if is_signed_in(request) else ""
    return zone_named(chosen if is_known(chosen) else browsers_zone(request))


def browsers_zone(request: HttpRequest) -> str:
    """Return the name of the browser's zone; "UTC" if it says none, or one that the system does not know."""
    said = request.COOKIES.get(COOKIE, "")
    return said if is_known(said) else UTC_NAME
