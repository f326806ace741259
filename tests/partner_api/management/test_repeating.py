"""Repetition: how often, and what cannot be."""

import pytest
from django.core.management import CommandError

from dashboard.partner_api.management.repeating import ticks


@pytest.mark.parametrize("count", [1, 3])
def test_ticks_come_as_often_as_is_wanted(count: int) -> None:
    assert len(list(ticks({"count": count, "every": 0.0, "forever": False}))) == count


@pytest.mark.parametrize("options", [{"every": -1.0, "forever": False}, {"every": 0.0, "forever": True}])
def test_forever_needs_a_pause(options: dict[str, object]) -> None:
    with pytest.raises(CommandError, match="--forever needs --every"):
        next(ticks({"count": 1, **options}))
