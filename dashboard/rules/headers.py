"""HTTP headers: which can be sent, how one is found, and which are credentials.

Source: RFC 9110, 5.1 and 5.5.
"""

import re
from collections.abc import Iterable, Sequence

CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})
"""Headers whose values are never kept or shown; the log has REDACTED in their place."""
REDACTED = "[redacted]"

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def is_name(text: str) -> bool:
    """Whether it can be sent as a header's name."""
    return _NAME.fullmatch(text) is not None


def is_value(text: str) -> bool:
    """Whether it can be sent as a header's value."""
    return _VALUE.fullmatch(text) is not None


def values_of(headers: Iterable[Sequence[str]], name: str) -> list[str]:
    """Return every value of a header, by its name in any case."""
    wanted = name.lower()
    return [value for key, value in headers if key.lower() == wanted]


def first_of(headers: Iterable[Sequence[str]], name: str) -> str | None:
    """Return the first value of a header, by its name in any case."""
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)
