"""Links between the pages of a list, drawn by components/_pager.html."""

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
    """The links, and `words` about which part of the list the page shows."""

    links: tuple[PageLink, ...]
    words: str = ""

    def __bool__(self) -> bool:
        return bool(self.links or self.words)


def from_newest(*, url: str, query: str, newer: str, older: str, is_first: bool) -> Pager:
    """Return the pager of a list that starts with its newest row.

    `query` is the query of the first page; `newer` and `older` are complete queries, empty if there is no such page.
    """
    links = [] if is_first else [PageLink("Newest", _address(url, query))]
    links += [PageLink("Newer", _address(url, newer), "prev")] if newer else []
    links += [PageLink("Older", _address(url, older), "next")] if older else []
    return Pager(tuple(links))


def before(*, url: str, before: str, older: int | None) -> Pager:
    """Return the pager of a list with links to older pages only. `before` is the current page's parameter, or empty."""
    query = "" if older is None else urlencode({"before": older})
    return from_newest(url=url, query="", newer="", older=query, is_first=not before)


def numbered(*, page: int, pages: int, address: Callable[[int], str], words: str) -> Pager:
    """Return the pager of a list with numbered pages, from 1; `address` returns a page's URL."""
    links = [PageLink("Previous", address(page - 1), "prev")] if page > 1 else []
    links += [PageLink("Next", address(page + 1), "next")] if page < pages else []
    return Pager(tuple(links), words)


def _address(url: str, query: str) -> str:
    return f"{url}?{query}" if query else url
