"""Request IDs, security headers and the audit's request source, for every response."""

from collections.abc import Callable

from django.conf import settings
from django.core.signals import request_finished
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from dashboard import logs
from dashboard.auth import request_source

Answering = Callable[[HttpRequest], HttpResponseBase]

_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer", "ambient-light-sensor", "autoplay", "browsing-topics", "camera", "display-capture",
        "encrypted-media", "fullscreen", "geolocation", "gyroscope", "hid", "idle-detection", "local-fonts",
        "magnetometer", "microphone", "midi", "payment", "picture-in-picture", "screen-wake-lock", "serial",
        "sync-xhr", "usb", "xr-spatial-tracking",
    )
)  # fmt: skip


def request_ids(get_response: Answering) -> Answering:
    """Assign each request an ID, which its log lines and its X-Request-ID response header carry.

    The header of the request is used only where a trusted proxy or the front sets it (TRUSTS_FORWARDED).
    """

    def answer(request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "") if settings.TRUSTS_FORWARDED else ""
        chosen = logs.begin_request(given)
        response = get_response(request)
        response["X-Request-ID"] = chosen
        return response

    # Not when `answer` returns: Django logs a 404 or 500 after that, and a streamed response is still being written.
    request_finished.connect(_forget, dispatch_uid="forget-request-id")
    return answer


def _forget(**_: object) -> None:
    logs.request_id.set("")


def permissions_policy(get_response: Answering) -> Answering:
    """Disable browser features that no page uses. Clipboard writing is not listed because copy buttons use it."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response["Permissions-Policy"] = _POLICY
        response["Cross-Origin-Resource-Policy"] = "same-origin"
        return response

    return answer


def sources(get_response: Answering) -> Answering:
    """Set the audit's request source (auth/request_source.py) while the view runs."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        before = request_source.current.set(
            request_source.source_of(
                peer=request.META.get("REMOTE_ADDR", ""),
                forwarded_for=request.headers.get("X-Forwarded-For", "") if settings.TRUSTS_FORWARDED else None,
                agent=request.headers.get("User-Agent", ""),
            )
        )
        try:
            return get_response(request)
        finally:
            request_source.current.reset(before)

    return answer
