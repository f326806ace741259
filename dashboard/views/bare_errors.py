"""Errors without a page, for a process that serves the receiver alone: it has no pages and no static files."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse


def bad_request(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.BAD_REQUEST, "This request cannot be taken.")


def permission_denied(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.FORBIDDEN, "You may not do this.")


def not_found(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.NOT_FOUND, "Not found.")


def failed(_request: HttpRequest) -> HttpResponse:
    return _say(HTTPStatus.INTERNAL_SERVER_ERROR, "Redeliver failed; the failure is in its log. Try again later.")


def _say(status: HTTPStatus, words: str) -> HttpResponse:
    return JsonResponse({"error": words}, status=status)
