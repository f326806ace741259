"""Filters of the list of an install's endpoints, in the address of its page."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from dashboard.queries.endpoint_lists import EndpointCriteria, Show
from dashboard.rules import pasted

TEXT_CHARS = 200
"""Characters of a search text that are used."""
PAGE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class EndpointFilters:
    """The criteria, and the number of the page, from 1."""

    criteria: EndpointCriteria
    page: int

    def address(self, **changes: str | int) -> str:
        """Return the query string of the list with changes; page 1 unless a page is given."""
        asked = {"q": self.criteria.text, "show": str(self.criteria.show), "page": 1} | changes
        plain = {"q": "", "show": "", "page": 1}
        return "?" + urlencode({name: value for name, value in asked.items() if value != plain[name]})


def parse(*, params: Mapping[str, str]) -> EndpointFilters:
    """Read the filters of an address; a value that makes no sense falls back to its default."""
    text = pasted.term(params.get("q", "").replace("\0", ""))[:TEXT_CHARS]
    show, page = params.get("show", ""), params.get("page", "")
    is_number = page.isascii() and page.isdigit() and len(page) <= PAGE_DIGITS
    criteria = EndpointCriteria(text, Show(show) if show in set(Show) else Show.ALL)
    return EndpointFilters(criteria, max(int(page), 1) if is_number else 1)
