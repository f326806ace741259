"""Compression of pages."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from dashboard.rules.site_paths import is_for_programs


class CompressPages(GZipMiddleware):
    """Django's gzip middleware (padded against BREACH), for pages only: OpenTrain gets the handler's exact bytes."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_for_programs(request.path_info):
            return response
        return super().process_response(request, response)
