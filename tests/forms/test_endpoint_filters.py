"""The filters of an install's endpoints in the address of its page."""

import pytest

from dashboard.forms.endpoint_filters import TEXT_CHARS, parse
from dashboard.queries.endpoint_lists import EndpointCriteria, Show


@pytest.mark.parametrize(
    ("params", "criteria", "page", "address"),
    [
        ({}, EndpointCriteria(), 1, "?"),
        ({"q": " a b ", "show": "need", "page": "3"}, EndpointCriteria("a b", Show.NEED), 3, "?q=a+b&show=need&page=3"),
        ({"q": "a\0b" + "x" * 300}, EndpointCriteria(("ab" + "x" * 300)[:TEXT_CHARS]), 1, "?q=ab" + "x" * 198),
        ({"q": "“whe_1”"}, EndpointCriteria("whe_1"), 1, "?q=whe_1"),
        ({"show": "NEED", "page": "-1"}, EndpointCriteria(), 1, "?"),
        ({"show": "gone", "page": "0"}, EndpointCriteria(), 1, "?"),
        ({"page": "9999999"}, EndpointCriteria(), 1, "?"),
        ({"page": "²"}, EndpointCriteria(), 1, "?"),
    ],
)
def test_address_is_read_and_written(
    params: dict[str, str], criteria: EndpointCriteria, page: int, address: str
) -> None:
    filters = parse(params=params)
    assert (filters.criteria, filters.page) == (criteria, page)
    assert filters.address(page=page) == address


def test_changed_filter_begins_with_the_first_page() -> None:
    filters = parse(params={"q": "a", "page": "3"})
    assert filters.address(show="paused") == "?q=a&show=paused"
    assert filters.address(page=4) == "?q=a&page=4"
