"""The part of a page that keeps itself up to date by polling."""

import hashlib
import re
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag

# What differs between two renderings of the same thing: the words of a time, which the browser counts on by itself
# (static/js/app.js), and Django's CSRF token, which is masked anew each time.
_ALWAYS_NEW = re.compile(rb'(?<=data-ago>)[^<]*|(?<=name="csrfmiddlewaretoken" value=")[^"]*')


def live(request: HttpRequest, *, template: str, context: dict[str, Any]) -> HttpResponseBase:
    """Render a partial, or answer 304 when the browser's copy says the same."""
    response = render(request, template, context)
    response["Cache-Control"] = "private, no-cache"
    etag = quote_etag(hashlib.sha256(_ALWAYS_NEW.sub(b"", response.content)).hexdigest())
    response["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or HttpResponse(status=412)
