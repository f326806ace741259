"""OpenTrain's schedule in the settings; all code that depends on it reads it from one place."""

from datetime import timedelta
from pathlib import Path

import pytest

from dashboard import config
from dashboard.actions.deliveries import record
from dashboard.actions.runs.state import look_again
from dashboard.config.schedule import schedule
from dashboard.rules.deliveries import Standing, overdue_after
from dashboard.rules.schedule import Schedule
from tests.factories import NOON, make_delivery, make_endpoint

MINUTE = timedelta(minutes=1)


def test_schedule_is_opentrains_own_where_nothing_is_set() -> None:
    assert schedule() == Schedule(retry_delays=(MINUTE, 5 * MINUTE, 30 * MINUTE, 120 * MINUTE), run_interval=5 * MINUTE)


def test_schedule_is_read_from_the_settings_at_each_call(settings) -> None:
    settings.OPENTRAIN_RETRY_DELAYS_S, settings.OPENTRAIN_RUN_INTERVAL_S = [2, 4], 3
    found = schedule()
    assert found == Schedule(
        retry_delays=(timedelta(seconds=2), timedelta(seconds=4)), run_interval=timedelta(seconds=3)
    )
    assert look_again() == timedelta(seconds=1.5)


def test_settings_of_the_schedule_have_one_reader() -> None:
    root = Path(config.__file__).parent.parent
    modules = [path for path in root.rglob("*.py") if "settings.OPENTRAIN_R" in path.read_text(encoding="utf-8")]
    readers = {path.relative_to(root).as_posix() for path in modules}
    assert readers == {"config/schedule.py"}


@pytest.mark.django_db
def test_redelivery_that_was_requested_is_overdue_by_the_settings_of_now(settings) -> None:
    endpoint = make_endpoint()
    delivery = make_delivery(endpoint=endpoint, last_attempt_at=NOON - MINUTE)
    settings.OPENTRAIN_RUN_INTERVAL_S = 120
    assert record.mark_requested(delivery=delivery, at=NOON)
    delivery.refresh_from_db()
    assert (delivery.standing, delivery.due_by) == (Standing.REQUESTED_AGAIN, NOON + 3 * MINUTE)
    assert delivery.due_by == overdue_after(due=NOON, schedule=schedule())
