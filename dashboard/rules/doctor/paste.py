"""Parsing of pasted headers: a raw block, a curl command or its -v output, log lines, or a printed dictionary or list.

A header's name and its value may be on two lines, as browsers copy them, and a long value may be wrapped. A header
cannot contain a line break, so lines that belong together are joined.
"""

import re

from dashboard.rules.pasted import MARKS, without_invisible
from dashboard.signatures import DIGEST_CHARS, HEADER

HEADERS = 200
"""Maximum number of headers to read."""
_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,199}"
_CURL = re.compile(r"""(?:-H|--header)[ =]*\$?(?P<quote>['"])(?P<header>.{0,4000}?)(?P=quote)""")
_CURL_BARE = re.compile(rf"""(?:-H|--header)[ =]+(?P<header>{_NAME}:[^\s'"]{{0,4000}})""")
_LINE = re.compile(
    rf"""[\s<>*"'$\[({{`-]*(?P<name>{_NAME})["'`\])]*\s*(?::|=>|=)\s*(?P<value>.*)""",
)
_QUOTED = re.compile(
    rf"""(?P<q>["'])(?P<name>{_NAME})(?P=q)\s*(?::|=>|=|,)\s*\[?\s*(?P<r>["'])(?P<value>[^"'\n]{{0,4000}})(?P=r)"""
)
_ALONE = re.compile(rf"""[\s<>*"'$`]*(?P<name>{_NAME})["'`]*\s*(?:(?::|=>|=)\s*)?""")
_ITS_NAME = re.compile(r"(?:http[-_])?x[-_]opentrain[-_]signature", re.IGNORECASE)
_IN_TEXT = re.compile(
    r"""(?:HTTP_)?X[-_]OpenTrain[-_]Signature["'\])]*\s*(?::|=>|=|,|\s)\s*["'\[({]*"""
    r"""(?P<value>t=[0-9]{1,12},v1=[0-9a-f]{64}(?![0-9A-Za-z,;=])|(?:t|v1)=[^"'\])}]{0,400})""",
    re.IGNORECASE,
)
_BARE = re.compile(r"\s*t=[0-9].*v1=.*")
_TIME = re.compile(r"\s*t\s*=\s*[0-9]+\s*[,;]?\s*")
_SIGNATURE = re.compile(r"\s*v1\s*=\s*[0-9A-Fa-f]*\s*[,;]?\s*")
_HEX = re.compile(r"\s*[0-9a-f]{1,64}\s*")
_CUT = re.compile(r".*v1=(?P<digest>[0-9a-f]*)")
_REQUEST = re.compile(r"[\s<>]*(?:[A-Z]{3,10} \S+ HTTP/|HTTP/[0-9.]+ [0-9]{3})")


class NotHeaders(ValueError):
    """The text contains no header."""


def parse_headers(text: str) -> list[tuple[str, str]]:
    """Return the headers in order, including repeated ones.

    Variable names of servers (HTTP_X_OPENTRAIN_SIGNATURE) become header names, and a line with only a signature counts
    as its header.

    Raises: NotHeaders if the text is not empty and contains none.
    """
    text = without_invisible(text)
    found = _named([pair for line in _joined(text.splitlines()) for pair in _of_line(line)])[:HEADERS]
    if text.strip() and not found:
        raise NotHeaders
    return found


def _named(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers; those of a HAR file ("name": …, "value": …) under their own names."""
    found: list[tuple[str, str]] = []
    for name, value in pairs:
        if name.lower() == "value" and found and found[-1][0].lower() in {"name", "key"}:
            found[-1] = _name(found[-1][1]), value
        else:
            found.append((name, value))
    return found


def _joined(lines: list[str]) -> list[str]:
    """Join the lines of one header: its name and its value, its time and its signature, or a wrapped signature."""
    joined: list[str] = []
    for line in filter(str.strip, lines):
        if joined and _continues(joined[-1], line):
            before = joined.pop()
            alone = _ALONE.fullmatch(before)
            is_name = alone is not None and not _HEX.fullmatch(before)
            joined.append(f"{_name(alone['name'])}: {line.strip()}" if is_name and alone else _appended(before, line))
        else:
            joined.append(line)
    return joined


def _continues(before: str, line: str) -> bool:
    """Return whether the line belongs to the header of the line before it."""
    alone = _ALONE.fullmatch(before)
    is_part = _BARE.fullmatch(line) or _TIME.fullmatch(line) or _SIGNATURE.fullmatch(line)
    if alone is not None:
        is_its_name = _ITS_NAME.fullmatch(alone["name"]) is not None
        is_empty = before.rstrip().endswith((":", "=", "=>"))
        return bool(is_part) if is_its_name else is_empty and _LINE.fullmatch(line) is None and not _is_noise(line)
    if _HEX.fullmatch(line):
        cut = _CUT.fullmatch(before.rstrip())
        return cut is not None and len(cut["digest"]) + len(line.strip()) <= DIGEST_CHARS
    begun = before.rpartition(":")[2] if ":" in before else before
    return bool(
        (_TIME.fullmatch(begun) and _SIGNATURE.fullmatch(line))
        or (_SIGNATURE.fullmatch(begun) and _TIME.fullmatch(line))
    )


def _is_noise(line: str) -> bool:
    return _REQUEST.match(line) is not None or _CURL.search(line) is not None


def _appended(before: str, line: str) -> str:
    before, line = before.rstrip(), line.strip()
    if _HEX.fullmatch(line) or before.endswith((",", ";")):
        return before + line
    return f"{before},{line}"


def _of_line(line: str) -> list[tuple[str, str]]:
    line = _whole_unquoted(line)
    if _BARE.fullmatch(_unquoted(line)):
        return [(HEADER, _unquoted(line))]
    if _REQUEST.match(line):
        return []
    curl = [match["header"] for match in (*_CURL.finditer(line), *_CURL_BARE.finditer(line))]
    if curl:
        return [pair for part in curl for pair in _pair(part)]
    quoted = [(_name(match["name"]), match["value"].strip()) for match in _QUOTED.finditer(_straight(line))]
    found = quoted or _pair(line)
    if not any(_ITS_NAME.fullmatch(name) for name, _value in found):
        found += [(HEADER, match["value"].strip()) for match in _IN_TEXT.finditer(line)]
    return found


def _straight(line: str) -> str:
    """Return the line with plain quotation marks."""
    return "".join('"' if char in MARKS[0] else "'" if char in MARKS[1] else char for char in line)


def _pair(line: str) -> list[tuple[str, str]]:
    match = _LINE.fullmatch(line)
    return [(_name(match["name"]), _unquoted(match["value"]))] if match else []


def _name(name: str) -> str:
    spelled = name.replace("_", "-")
    return re.sub(r"^http-(?=x-)", "", spelled, flags=re.IGNORECASE)


def _whole_unquoted(line: str) -> str:
    """Return a line without the quotation marks or backticks around all of it, which are no marks of its value."""
    inner = line.strip().removesuffix(",")[1:-1]
    if inner and _unquoted(line) == inner and not any(mark in inner for marks in MARKS for mark in marks):
        return inner
    return line


def _unquoted(value: str) -> str:
    """Remove what a log or JSON puts around a value; unpaired quotation marks stay."""
    bare = value.strip().removesuffix(",").rstrip()
    for marks in MARKS:
        if len(bare) > 1 and bare[0] in marks and bare[-1] in marks:
            return bare[1:-1]
    return value.strip()
