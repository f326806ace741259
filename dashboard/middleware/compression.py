"""Compression of pages."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

NOT_PAGES = frozenset({"receiver", "observations"})


class CompressPages(GZipMiddleware):
    """Django's gzip middleware (padded against BREACH), for pages only: OpenTrain gets the handler's exact bytes."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        match = request.resolver_match
        if match is not None and match.url_name in NOT_PAGES:
            return response
        return super().process_response(request, response)
