"""HTTP headers: valid names and values, and lookup.

Source: RFC 9110, 5.1 and 5.5.
"""

import re
from collections.abc import Iterable, Sequence

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def is_name(text: str) -> bool:
    """Return whether the text is a valid header name."""
    return _NAME.fullmatch(text) is not None


def is_value(text: str) -> bool:
    """Return whether the text is a valid header value."""
    return _VALUE.fullmatch(text) is not None


def values_of(headers: Iterable[Sequence[str]], name: str) -> list[str]:
    """Return every value of a header; the name is case-insensitive."""
    wanted = name.lower()
    return [value for key, value in headers if key.lower() == wanted]


def first_of(headers: Iterable[Sequence[str]], name: str) -> str | None:
    """Return the first value of a header, None if there is none; the name is case-insensitive."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)
