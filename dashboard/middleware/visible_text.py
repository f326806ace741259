"""Pages show characters that nobody sees as their codes, such as ⟨U+202E⟩: outsiders' text can hide them.

A page can hold outsiders' text anywhere, so the whole page is read, and no template has to remember it. The values of
fields and what copy buttons copy stay as they are: they go back to Redeliver or to the clipboard.
"""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from dashboard.rules.invisible import is_visible, visible

Answering = Callable[[HttpRequest], HttpResponseBase]

_PLAIN = bytes([*b"\n\r\t", *range(0x20, 0x7F)])
# A quotation mark in text is escaped, so each of these begins in a tag.
_PARTS = re.compile(r"""\s(?:value|data-copy)="[^"]*"|<textarea\b.*?</textarea>|[^\n\r\t\x20-\x7e]""", re.DOTALL)


def show_invisible_characters(get_response: Answering) -> Answering:
    """Show invisible characters on every page. Line ends stay, because browsers treat all of them as spaces."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if isinstance(response, HttpResponse) and _is_page(response):
            response.content = shown_page(response.content)
        return response

    return answer


def _is_page(response: HttpResponse) -> bool:
    return response.get("Content-Type", "").startswith("text/html")


def shown_page(page: bytes) -> bytes:
    """Return a page in UTF-8 with codes for its invisible characters."""
    if all(map(is_visible, set(page.translate(None, _PLAIN).decode()))):  # nearly every page: most of it is skipped
        return page
    return _PARTS.sub(lambda part: part[0] if len(part[0]) > 1 else visible(part[0]), page.decode()).encode()
