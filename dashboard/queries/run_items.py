"""The deliveries of a run, in pages and in chunks."""

from collections.abc import Iterator

from dashboard.models import Run, RunItem

CHUNK = 1000
"""Rows per query of `all_items`."""
State = RunItem.State
_LAST = (State.DELIVERED, State.LEFT_OUT)
"""States that need nobody's attention: a list that cannot have all rows leaves these out first."""


def items_after(run: Run, *, position: int, limit: int) -> list[RunItem]:
    """Return the deliveries after that position, in the run's order."""
    return list(run.items.filter(position__gt=position).order_by("position")[:limit])


def page_of_items(run: Run, *, page: int, size: int) -> tuple[list[RunItem], int]:
    """Return a page of the deliveries in the run's order, and the number of all. Positions begin at 0, without gaps."""
    last = run.items.order_by("-position").values_list("position", flat=True).first()
    return items_after(run, position=(page - 1) * size - 1, limit=size), 0 if last is None else last + 1


def first_items(run: Run, *, limit: int) -> list[RunItem]:
    """Return all deliveries in the run's order; of more than `limit`, first those without success, then the others."""
    found = items_after(run, position=-1, limit=limit + 1)
    if len(found) <= limit:
        return found
    worst = list(run.items.exclude(state__in=_LAST).order_by("position")[:limit])
    rest = run.items.filter(state__in=_LAST).order_by("position")[: limit - len(worst)]
    return [*worst, *rest]


def all_items(run: Run) -> Iterator[RunItem]:
    """Yield all deliveries in the run's order. Each chunk is a query of its own, so nothing stays open in between."""
    last = -1
    while True:
        rows = run.items.filter(position__gt=last).select_related("delivery").defer("delivery__body")
        found = list(rows.order_by("position")[:CHUNK])
        yield from found
        if len(found) < CHUNK:
            return
        last = found[-1].position
