"""What an endpoint is called: the name that people gave it, or else the host and path of its URL.

Several endpoints of an install may have the same URL, as during a rotation. A mark after the title tells them apart.
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from dashboard.rules.outside_texts import MARK, cut

NAME_CHARS = 80
"""Maximum length of a name that people give."""
SHORT_CHARS = 40
"""Maximum length of a title without its mark, where there is little room, as in breadcrumbs."""
MARK_CHARS = 30
"""Maximum length of a mark."""
TAIL = 6
"""Characters at the end of an ID that tell two endpoints apart, unless they share these."""
OLD_SECRET, NEW_SECRET = "old secret", "new secret"
"""Marks of the two endpoints of a rotation."""
REGISTERING = "being registered"
"""Mark of an endpoint that has no ID yet."""


@dataclass(frozen=True, slots=True)
class Titled:
    """An endpoint of an install, with its title before a mark. `secret` is OLD_SECRET or NEW_SECRET in a rotation."""

    pk: int
    base: str
    opentrain_id: str
    is_deleted: bool = False
    secret: str = ""


def place(url: str, *, hides_end: bool = False) -> str:
    """Return the host and path of a URL, masked or not. `hides_end`: the last part of the path is a receiver key."""
    _scheme, slashes, rest = url.partition("://")
    text = (rest if slashes else url).partition("?")[0].partition("#")[0].rstrip("/")
    host, slash, path = text.partition("/")
    text = f"{host.rpartition('@')[2]}{slash}{path}"
    if hides_end and slash:
        text = f"{text.rpartition('/')[0]}/{MARK}"
    return text


def base_title(*, name: str, place: str, most: int = NAME_CHARS) -> str:
    """Return the title without its mark, in no more than `most` characters."""
    return cut(name or place, most=most)


def with_mark(base: str, mark: str | None) -> str:
    """Return the title with what tells it apart, if anything does."""
    return f"{base} ({mark})" if mark else base


def looks(title: str) -> str:
    """Return a text that titles share which people cannot tell apart: of other case, width or composition."""
    return unicodedata.normalize("NFKC", title).casefold()


def to_type(title: str) -> str:
    """Return what people type to confirm that they mean this endpoint: its title without MARK."""
    return " ".join(title.replace(MARK, "").split())


def marks(endpoints: Iterable[Titled]) -> dict[int, str]:
    """Return the mark of each endpoint of one install by its key; empty if its title is the only one.

    A deleted endpoint takes no title from one that exists: only its own title is marked.
    """
    alike: dict[str, list[Titled]] = defaultdict(list)
    for one in endpoints:
        alike[looks(one.base)].append(one)
    found: dict[int, str] = {}
    for group in alike.values():
        existing = sum(not one.is_deleted for one in group)
        tails = Counter(_tail(one) for one in group)
        for one in group:
            is_alone = len(group) == 1 if one.is_deleted else existing == 1
            most = TAIL if tails[_tail(one)] == 1 else MARK_CHARS - len(MARK)
            found[one.pk] = one.secret or ("" if is_alone else _tail(one, most=most))
    return found


def _tail(one: Titled, *, most: int = TAIL) -> str:
    if not one.opentrain_id:
        return REGISTERING
    return one.opentrain_id if len(one.opentrain_id) <= most else f"{MARK}{one.opentrain_id[-most:]}"
