"""Texts and times from outside, made to fit what stores them.

A text that does not fit is cut and ends with MARK. A marked text is for reading only: never send, copy or compare it as
if it were the original. `is_whole` tells the two apart.
"""

import re
from datetime import UTC, datetime

MARK = "…"
QUOTED = re.compile("\u201c[^\u201d]*(?:\u201d|$)")
"""What others said, within a sentence of ours: it stays as they said it, also where it was cut."""
_BREAKS = re.compile("[\\x00-\\x20\\x7f-\\x9f\\u2028\\u2029]+")
_HALF = re.compile("[\\ud800-\\udfff]")
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)
"""Times outside of these are nonsense. Within them, adding a retry delay or a time zone cannot overflow."""


def cut(text: str, *, most: int) -> str:
    """Return the text, or its beginning with MARK, in no more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}{MARK}"


def storable(text: str, *, most: int) -> str:
    """Return the text, cut to `most` characters, without what PostgreSQL cannot store: NUL and lone surrogates."""
    if not text.isascii() or "\x00" in text:  # few are not, and each header of a delivery comes here
        text = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return cut(text, most=most)


def on_one_line(text: str, *, most: int) -> str:
    """Return the text on one line, without control characters, cut to `most` characters.

    Other characters that nobody sees stay, because pages show them (rules/invisible.py), except half a character, which
    PostgreSQL cannot store.
    """
    begins = text[: most * 4]
    if not begins.isprintable():  # few are not, and a list of endpoints has millions of characters
        begins = _HALF.sub("\ufffd", _BREAKS.sub(" ", begins))
    return cut(" ".join(filter(None, begins.split(" "))), most=most)


def unchanged(text: str, *, most: int) -> str:
    """Return the text unchanged; if that is impossible, return it on one line, cut, and always with MARK."""
    line = on_one_line(text, most=most)
    return line if line == text else f"{line[: most - 1].removesuffix(MARK)}{MARK}"


def is_whole(text: str) -> bool:
    """Return whether the text is the original, neither cut nor altered. A text that ends like MARK counts as cut."""
    return not text.endswith(MARK)


def moment(text: str) -> datetime | None:
    """Return an ISO 8601 time with a zone, in UTC; None if it is anything else, or not from EARLIEST to LATEST."""
    try:
        found = datetime.fromisoformat(text)
        utc = found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return utc if utc is not None and EARLIEST <= utc <= LATEST else None
