"""The deliveries of a run, in pages and in chunks."""

from typing import Any

import pytest

from dashboard.models import Run, RunItem
from dashboard.queries import run_items
from dashboard.queries.run_items import all_items, first_items, items_after, page_of_items
from tests.factories import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    """A run of six deliveries: the last two have no success."""
    run = make_run()
    for position in (3, 1, 0, 2, 5, 4):
        state = "failed_again" if position > 3 else "delivered"
        RunItem.objects.create(run=run, position=position, opentrain_id=f"dlv_{position}", state=state)
    RunItem.objects.create(run=make_run(), position=1, opentrain_id="dlv_1", state="delivered")
    return run


def positions(items: Any) -> list[int]:
    return [item.position for item in items]


def test_pages_are_in_the_runs_order(run: Run) -> None:
    assert positions(items_after(run, position=-1, limit=3)) == [0, 1, 2]
    assert positions(items_after(run, position=2, limit=9)) == [3, 4, 5]
    pages = [page_of_items(run, page=page, size=4) for page in (1, 2, 3)]
    assert [(positions(items), total) for items, total in pages] == [([0, 1, 2, 3], 6), ([4, 5], 6), ([], 6)]
    assert page_of_items(make_run(), page=1, size=4) == ([], 0)


def test_short_list_has_those_without_success_first_if_it_cannot_have_all(run: Run) -> None:
    assert positions(first_items(run, limit=6)) == [0, 1, 2, 3, 4, 5]
    assert positions(first_items(run, limit=3)) == [4, 5, 0]
    assert positions(first_items(run, limit=1)) == [4]


def test_all_items_are_read_in_chunks(
    run: Run, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(run_items, "CHUNK", 2)
    with django_assert_num_queries(4):  # the last one finds that there are no more
        assert positions(all_items(run)) == [0, 1, 2, 3, 4, 5]
