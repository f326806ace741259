"""Compression of pages and of static files."""

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware
from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage

from dashboard.rules.site_paths import is_for_programs


class CompressPages(GZipMiddleware):
    """Django's gzip middleware (padded against BREACH), for pages only: OpenTrain gets the handler's exact bytes."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if is_for_programs(request.path_info):
            return response
        return super().process_response(request, response)


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """WhiteNoise's storage, with gzip alone: each start waits for `collectstatic`, which takes nine times as long with
    Brotli, for files that are a sixth smaller.
    """

    def create_compressor(self, **options: Any) -> Compressor:  # noqa: ANN401 - WhiteNoise's
        return Compressor(use_brotli=False, **options)
