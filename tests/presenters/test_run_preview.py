"""The title of a bulk run's preview, and where its form goes."""

import pytest

from dashboard.presenters.run_preview import heading, links


def test_links_keep_the_filter() -> None:
    found = links(listed="/deliveries/", here="/deliveries/redeliver/", query="cause=timeout", with_delivered=False)
    assert (found.list, found.here) == ("/deliveries/?cause=timeout", "/deliveries/redeliver/?cause=timeout")
    assert found.failed == "/deliveries/redeliver/?cause=timeout&state=failed"
    assert found.delivered == "/deliveries/redeliver/?cause=timeout&delivered=1"


def test_form_of_the_delivered_ones_too_asks_for_them_again() -> None:
    found = links(listed="/deliveries/", here="/deliveries/redeliver/", query="", with_delivered=True)
    assert (found.list, found.here) == ("/deliveries/", "/deliveries/redeliver/?delivered=1")


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (None, "This cannot be redelivered like this"),
        (0, "Nothing to redeliver"),
        (1, "Redeliver 1 delivery"),
        (12, "Redeliver 12 deliveries"),
    ],
)
def test_heading_says_how_many(chosen: int | None, words: str) -> None:
    assert heading(chosen) == words


def test_heading_asks_where_only_overtaken_ones_are_left() -> None:
    assert heading(0, overtaken=1) == "Redeliver 1 overtaken delivery?"
    assert heading(0, overtaken=3) == "Redeliver 3 overtaken deliveries?"
    assert heading(2, overtaken=3) == "Redeliver 2 deliveries"
