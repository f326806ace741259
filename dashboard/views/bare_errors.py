"""JSON errors for a process that serves only the receiver, which has no pages and no static files."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse, JsonResponse


def bad_request(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.BAD_REQUEST, "Bad request.")


def permission_denied(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.FORBIDDEN, "You don't have permission to do this.")


def not_found(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.NOT_FOUND, "Not found.")


def failed(_request: HttpRequest) -> HttpResponse:
    return _say(HTTPStatus.INTERNAL_SERVER_ERROR, "Redeliver failed. The error is in its log. Try again later.")


def _say(status: HTTPStatus, words: str) -> HttpResponse:
    return JsonResponse({"error": words}, status=status)
