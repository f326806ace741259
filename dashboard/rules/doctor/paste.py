"""Headers as people paste them: a raw block, lines of a curl command or its -v, of a log, or of JSON."""

import re

from dashboard.signatures import HEADER

HEADERS = 200
"""So many are read."""
_CURL = re.compile(r"""(?:-H|--header)[ =]*(?P<quote>['"])(?P<header>.{0,4000}?)(?P=quote)""")
_LINE = re.compile(r"""[\s<>*"'$]*(?P<name>[A-Za-z][A-Za-z0-9_-]{0,199})["']?\s*[:=]\s*(?P<value>.*)""")
_BARE = re.compile(r"\s*t=[0-9].*v1=.*")
_REQUEST = re.compile(r"[\s<>]*(?:[A-Z]{3,10} \S+ HTTP/|HTTP/[0-9.]+ [0-9]{3})")


class NotHeaders(ValueError):
    """Nothing of the text is a header."""


def parse_headers(text: str) -> list[tuple[str, str]]:
    """Return the headers in their order, doubled ones too.

    Names as servers spell them in variables (HTTP_X_OPENTRAIN_SIGNATURE) are spelled as headers again; a line that is
    nothing but a signature is taken for its header.
    Raises: NotHeaders, for a text that is not empty and has none.
    """
    found = [pair for line in text.splitlines() for pair in _of_line(line)][:HEADERS]
    if text.strip() and not found:
        raise NotHeaders
    return found


def _of_line(line: str) -> list[tuple[str, str]]:
    if _BARE.fullmatch(line):
        return [(HEADER, line.strip())]
    if _REQUEST.match(line):
        return []
    curl = [match["header"] for match in _CURL.finditer(line)]
    return [pair for part in curl or [line] for pair in _pair(part)]


def _pair(line: str) -> list[tuple[str, str]]:
    match = _LINE.fullmatch(line)
    return [(_name(match["name"]), _unquoted(match["value"]))] if match else []


def _name(name: str) -> str:
    spelled = name.replace("_", "-")
    return re.sub(r"^http-(?=x-)", "", spelled, flags=re.IGNORECASE)


def _unquoted(value: str) -> str:
    """Return a value without what a log or JSON puts around it; quotation marks that do not pair stay."""
    bare = value.strip().removesuffix(",").rstrip()
    for mark in "\"'":
        if bare.startswith(mark) and bare.endswith(mark) and len(bare) > 1:
            return bare[1:-1]
    return value.strip()
