"""The time zone that each request's answer is written in."""

from collections.abc import Callable
from datetime import UTC, tzinfo

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone

from dashboard.middleware.sessions import is_signed_in
from dashboard.rules.time_zones import UTC_NAME, is_known, read_in, zone_named

Answering = Callable[[HttpRequest], HttpResponseBase]

COOKIE = "time_zone"
"""Names the browser's time zone. static/js/theme.js sets it; without JavaScript there is none."""
IN_UTC_COOKIE = "times_in_utc"
"""Shows all times in UTC for now, whatever zone was chosen. The switch below each page sets it (static/js/app.js)."""
OF_PAGE = "X-Time-Zone"
"""Header of a script's request: the zone of the page that the answer becomes a part of."""


def write_in_readers_zone(get_response: Answering) -> Answering:
    """Have a request's times written in the reader's zone.

    It ends with the view: what is streamed after that, such as an export, is in UTC.
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        zone = zone_of(request)
        request.other_zone = _other_zone(request)  # type: ignore[attr-defined]
        with read_in(zone), timezone.override(zone):
            return get_response(request)

    return answer


def zone_of(request: HttpRequest) -> tzinfo:
    """Return the zone to write times in: that of the page for its parts, UTC while it is switched on, else the own.

    A page keeps its zone, though another one was chosen in another tab: its chart and its fields name it.
    """
    of_page = request.headers.get(OF_PAGE, "")
    if is_known(of_page):
        return zone_named(of_page)
    return UTC if is_in_utc(request) else zone_named(own_zone(request))


def is_in_utc(request: HttpRequest) -> bool:
    """Return whether the reader wants all times in UTC for now."""
    return request.COOKIES.get(IN_UTC_COOKIE) == "1"


def own_zone(request: HttpRequest) -> str:
    """Return the name of the zone that the signed-in user chose, else of the browser's, else "UTC"."""
    chosen = getattr(request.user, "time_zone", "") if is_signed_in(request) else ""
    return chosen if is_known(chosen) else browsers_zone(request)


def browsers_zone(request: HttpRequest) -> str:
    """Return the name of the browser's zone; "UTC" if it says none, or one that the system does not know."""
    return request.COOKIES[COOKIE] if is_browsers_zone_known(request) else UTC_NAME


def is_browsers_zone_known(request: HttpRequest) -> bool:
    """Return whether the browser said its zone, and the system knows it."""
    return is_known(request.COOKIES.get(COOKIE, ""))


def _other_zone(request: HttpRequest) -> str:
    """Return the zone that the page can be switched to: UTC and back to the own. Empty if the own is UTC."""
    own = own_zone(request)
    if own == UTC_NAME:
        return ""
    return own if is_in_utc(request) else UTC_NAME
