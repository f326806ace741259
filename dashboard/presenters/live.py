"""Parts of pages that update by polling."""

import hashlib
import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

# Differences between two renderings of the same content: relative times, which the browser updates itself
# (static/js/app.js), and Django's CSRF token, which gets a new mask each time.
_ALWAYS_NEW = re.compile(rb'(?<=data-ago>)[^<]*|(?<=name="csrfmiddlewaretoken" value=")[^"]*')


def live(request: HttpRequest, *, template: str, context: dict[str, Any]) -> HttpResponseBase:
    """Render a partial; return 304 if the browser's copy has the same content."""
    response = render(request, template, context)
    response["Cache-Control"] = "private, no-cache"
    etag = quote_etag(hashlib.sha256(_ALWAYS_NEW.sub(b"", response.content)).hexdigest())
    response["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or HttpResponse(status=412)
