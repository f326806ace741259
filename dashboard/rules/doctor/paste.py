"""Parsing of pasted headers: a raw block, a curl command or its -v output, log lines, or JSON."""

import re

from dashboard.signatures import HEADER

HEADERS = 200
"""Maximum number of headers to read."""
_CURL = re.compile(r"""(?:-H|--header)[ =]*(?P<quote>['"])(?P<header>.{0,4000}?)(?P=quote)""")
_LINE = re.compile(r"""[\s<>*"'$]*(?P<name>[A-Za-z][A-Za-z0-9_-]{0,199})["']?\s*[:=]\s*(?P<value>.*)""")
_BARE = re.compile(r"\s*t=[0-9].*v1=.*")
_REQUEST = re.compile(r"[\s<>]*(?:[A-Z]{3,10} \S+ HTTP/|HTTP/[0-9.]+ [0-9]{3})")


class NotHeaders(ValueError):
    """The text contains no header."""


def parse_headers(text: str) -> list[tuple[str, str]]:
    """Return the headers in order, including repeated ones.

    Variable names of servers (HTTP_X_OPENTRAIN_SIGNATURE) become header names, and a line with only a signature counts
    as its header.

    Raises: NotHeaders if the text is not empty and contains none.
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
    """Remove what a log or JSON puts around a value; unpaired quotation marks stay."""
    bare = value.strip().removesuffix(",").rstrip()
    for mark in "\"'":
        if bare.startswith(mark) and bare.endswith(mark) and len(bare) > 1:
            return bare[1:-1]
    return value.strip()
