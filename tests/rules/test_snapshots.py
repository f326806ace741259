"""Snapshots that are older than our own changes, and those that only look so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.snapshots import EndpointState, is_stale, url_digest

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TYPES = frozenset({"contract.started", "contract.ended"})
ACTIVE = EndpointState(url_digest("https://a.example.com/"), TYPES, "ACTIVE", 0, None)
FAILING = replace(ACTIVE, consecutive_failures=7)
PAUSED = replace(ACTIVE, status="DISABLED", disabled_at=NOON)
DISABLED = replace(ACTIVE, status="DISABLED", disabled_at=NOON, consecutive_failures=10)
DISABLED_AGAIN = replace(DISABLED, disabled_at=NOON + SECOND)
MOVED = replace(ACTIVE, url_digest=url_digest("https://b.example.com/"))
FEWER = replace(ACTIVE, event_types=frozenset({"contract.ended"}))


@pytest.mark.parametrize(
    ("before", "stored", "seen"),
    [
        pytest.param(DISABLED, ACTIVE, DISABLED, id="re-enabled"),
        pytest.param(DISABLED, ACTIVE, replace(DISABLED, disabled_at=NOON - SECOND), id="an earlier disable yet"),
        pytest.param(DISABLED, ACTIVE, replace(DISABLED, disabled_at=None), id="disabled without a time"),
        pytest.param(DISABLED, ACTIVE, replace(DISABLED, consecutive_failures=12), id="with another count"),
        pytest.param(DISABLED, replace(ACTIVE, consecutive_failures=1), DISABLED, id="re-enabled, and failed once"),
        pytest.param(FAILING, ACTIVE, FAILING, id="failures reset"),
        pytest.param(FAILING, ACTIVE, replace(FAILING, consecutive_failures=8), id="one more before the reset"),
        pytest.param(ACTIVE, PAUSED, ACTIVE, id="paused"),
        pytest.param(ACTIVE, PAUSED, FAILING, id="paused, with another count"),
        pytest.param(ACTIVE, MOVED, ACTIVE, id="moved"),
        pytest.param(ACTIVE, FEWER, ACTIVE, id="fewer event types"),
        pytest.param(FEWER, ACTIVE, FEWER, id="more event types"),
        pytest.param(None, ACTIVE, None, id="registered"),
        pytest.param(ACTIVE, None, ACTIVE, id="deleted"),
        pytest.param(ACTIVE, None, DISABLED, id="deleted, disabled before"),
        pytest.param(replace(PAUSED, status="HIBERNATING"), ACTIVE, replace(PAUSED, status="HIBERNATING"), id="other"),
    ],
)
def test_what_was_so_before_a_change_is_stale(
    before: EndpointState | None, stored: EndpointState | None, seen: EndpointState | None
) -> None:
    assert is_stale(seen=seen, stored=stored, before=[before])
    assert not is_stale(seen=seen, stored=stored, before=[])
    assert not is_stale(seen=seen, stored=seen, before=[before])


@pytest.mark.parametrize(
    ("before", "stored", "seen"),
    [
        pytest.param(DISABLED, ACTIVE, ACTIVE, id="re-enabled and seen"),
        pytest.param(DISABLED, ACTIVE, DISABLED_AGAIN, id="re-enabled and disabled again"),
        pytest.param(DISABLED, ACTIVE, replace(PAUSED, disabled_at=NOON + SECOND), id="re-enabled and paused"),
        pytest.param(DISABLED, ACTIVE, replace(ACTIVE, consecutive_failures=3), id="re-enabled and failing"),
        pytest.param(DISABLED, ACTIVE, replace(ACTIVE, status="HIBERNATING"), id="a status of its own"),
        pytest.param(FAILING, ACTIVE, DISABLED, id="failures reset, then disabled"),
        pytest.param(
            FAILING, FAILING, replace(FAILING, consecutive_failures=8), id="nothing changed, one more failure"
        ),
        pytest.param(FAILING, FAILING, ACTIVE, id="a success"),
        pytest.param(
            ACTIVE, MOVED, replace(ACTIVE, url_digest=url_digest("https://c.example.com/")), id="moved further"
        ),
        pytest.param(ACTIVE, MOVED, replace(ACTIVE, event_types=frozenset({"new"})), id="back, with another type"),
        pytest.param(ACTIVE, MOVED, DISABLED, id="back, and disabled since"),
        pytest.param(ACTIVE, MOVED, replace(MOVED, consecutive_failures=2), id="moved and failing"),
        pytest.param(ACTIVE, MOVED, None, id="deleted elsewhere"),
        pytest.param(None, ACTIVE, FAILING, id="registered and failing"),
        pytest.param(None, ACTIVE, DISABLED, id="registered and disabled"),
    ],
)
def test_what_is_as_after_the_change_or_has_come_since_is_believed(
    before: EndpointState | None, stored: EndpointState, seen: EndpointState | None
) -> None:
    assert not is_stale(seen=seen, stored=stored, before=[before])


@pytest.mark.parametrize("seen", [None, ACTIVE, MOVED])
def test_every_state_before_one_of_several_changes_is_stale(seen: EndpointState | None) -> None:
    further = replace(MOVED, url_digest=url_digest("https://c.example.com/"))
    assert is_stale(seen=seen, stored=further, before=[None, ACTIVE, MOVED])


def test_registered_and_deleted_at_once_is_stale_while_it_is_listed() -> None:
    assert is_stale(seen=ACTIVE, stored=None, before=[None, ACTIVE])
    assert not is_stale(seen=None, stored=None, before=[None, ACTIVE])


def test_disable_that_came_after_re_enabling_is_not_undone_by_the_one_before() -> None:
    assert is_stale(seen=DISABLED, stored=DISABLED_AGAIN, before=[DISABLED])
    assert not is_stale(seen=ACTIVE, stored=DISABLED_AGAIN, before=[DISABLED])
