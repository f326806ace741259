"""The links between the pages of a list: one component draws them all (components/_pager.html)."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link to another page of the list. `rel` is "prev" or "next"; empty for its first page."""

    label: str
    url: str
    rel: str = ""


@dataclass(frozen=True, slots=True)
class Pager:
    """The links, and `words` on what the page shows of the whole."""

    links: tuple[PageLink, ...]
    words: str = ""

    def __bool__(self) -> bool:
        return bool(self.links or self.words)


def from_newest(*, url: str, query: str, newer: str, older: str, is_first: bool) -> Pager:
    """Return the pager of a list that is read from its newest row on.

    `query` asks for the first page; `newer` and `older` are whole queries, empty where there is no such page.
    """
    links = [] if is_first else [PageLink("Newest", _address(url, query))]
    links += [PageLink("Newer", _address(url, newer), "prev")] if newer else []
    links += [PageLink("Older", _address(url, older), "next")] if older else []
    return Pager(tuple(links))


def before(*, url: str, before: str, older: int | None) -> Pager:
    """Return the pager of a list that goes back only: `before` is the row that the page was asked for by, if any."""
    query = "" if older is None else urlencode({"before": older})
    return from_newest(url=url, query="", newer="", older=query, is_first=not before)


def numbered(*, page: int, pages: int, address: Callable[[int], str], words: str) -> Pager:
    """Return the pager of a list whose pages are counted from 1; `address` gives a page's address."""
    links = [PageLink("Previous", address(page - 1), "prev")] if page > 1 else []
    links += [PageLink("Next", address(page + 1), "next")] if page < pages else []
    return Pager(tuple(links), words)


def _address(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url
