"""The links between the pages of a list."""

import pytest

from dashboard.presenters.pages import Pager, before, from_newest, numbered


def shown(pager: Pager) -> list[tuple[str, str, str]]:
    return [(link.label, link.rel, link.url) for link in pager.links]


def test_only_page_has_no_pager() -> None:
    assert not from_newest(url="/list/", query="state=failed", newer="", older="", is_first=True)


def test_page_in_the_middle_leads_to_the_newest_and_both_ways() -> None:
    pager = from_newest(url="/list/", query="state=failed", newer="newer=1", older="older=2", is_first=False)
    assert shown(pager) == [
        ("Newest", "", "/list/?state=failed"), ("Newer", "prev", "/list/?newer=1"), ("Older", "next", "/list/?older=2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "older", "links"),
    [
        ("", None, []),
        ("", 9, [("Older", "next", "/runs/?before=9")]),
        ("9", None, [("Newest", "", "/runs/")]),
        ("9", 3, [("Newest", "", "/runs/"), ("Older", "next", "/runs/?before=3")]),
    ],
)
def test_list_that_goes_back_only_leads_to_older_and_to_the_newest(
    asked: str, older: int | None, links: list[tuple[str, str, str]]
) -> None:
    assert shown(before(url="/runs/", before=asked, older=older)) == links


@pytest.mark.parametrize(
    ("page", "pages", "labels"), [(1, 1, []), (1, 3, ["Next"]), (2, 3, ["Previous", "Next"]), (3, 3, ["Previous"])]
)
def test_numbered_pages_lead_to_their_neighbours(page: int, pages: int, labels: list[str]) -> None:
    pager = numbered(page=page, pages=pages, address=lambda number: f"?page={number}", words="9 in all")
    assert [link.label for link in pager.links] == labels
    assert pager  # its words are shown even on a single page


def test_numbered_page_keeps_its_address() -> None:
    pager = numbered(page=2, pages=3, address=lambda number: f"?q=a&page={number}", words="")
    assert shown(pager) == [("Previous", "prev", "?q=a&page=1"), ("Next", "next", "?q=a&page=3")]
