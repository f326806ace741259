"""Errors as JSON, for programs that ask the console for an address of the receiver. People get pages."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from dashboard.rules.site_paths import is_for_programs


def bad_request(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.BAD_REQUEST, "Bad request.")


def permission_denied(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.FORBIDDEN, "You don't have permission to do this.")


def not_found(_request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django passes it
    return _say(HTTPStatus.NOT_FOUND, "Not found.")


def failed(_request: HttpRequest) -> HttpResponse:
    return _say(HTTPStatus.INTERNAL_SERVER_ERROR, "Redeliver failed. The error is in its log. Try again later.")


def or_page(bare: Callable[..., HttpResponse], page: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return an error handler that answers programs with `bare` and people with `page`."""

    def answer(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:  # noqa: ANN401 - Django's
        chosen = bare if is_for_programs(request.path_info) else page
        return chosen(request, *arguments, **named)

    return answer


def _say(status: HTTPStatus, words: str) -> HttpResponse:
    return JsonResponse({"error": words}, status=status)
