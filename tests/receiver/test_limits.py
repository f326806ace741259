"""Limits on deliveries that wait, and on their bodies."""

import contextlib
import logging
import resource

import pytest

from dashboard.receiver.__main__ import descriptors
from dashboard.receiver.limits import MOST_WAITS, RESERVED, WAITS, WAITS_OF_ENDPOINT, Busy, Limits


@pytest.mark.parametrize(
    ("descriptors", "most"),
    [(RESERVED + 2 * WAITS, WAITS), (1 << 20, MOST_WAITS), (1024, (1024 - RESERVED) // 2), (10, 1)],
)
def test_places_come_from_the_descriptors(descriptors: int, most: int, caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(descriptors=descriptors)
    assert limits.most == most
    assert (limits.most_of_endpoint >= WAITS_OF_ENDPOINT) == (most >= WAITS)
    assert bool(caplog.records) == (most < WAITS)
    assert all(record.levelno == logging.WARNING and str(descriptors) in record.message for record in caplog.records)


def test_limit_of_open_files_is_raised_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1 if hard != resource.RLIM_INFINITY else 1 << 20, hard))
    try:
        assert descriptors() == (hard if hard != resource.RLIM_INFINITY else 1 << 20)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_endpoint_gets_half_of_the_places_and_the_others_the_rest() -> None:
    limits = Limits(descriptors=RESERVED + 8)
    with contextlib.ExitStack() as waiting:
        for endpoint_id in (1, 1, 2, 2):
            waiting.enter_context(limits.wait_of(endpoint_id))
        assert limits.waiting == 4
        with pytest.raises(Busy):
            waiting.enter_context(limits.wait_of(3))
    assert limits.waiting == 0
    with limits.wait_of(1), limits.wait_of(1), pytest.raises(Busy), limits.wait_of(1):
        pass


def test_bodies_count_from_their_arrival_to_the_end_of_their_delivery() -> None:
    limits = Limits(descriptors=RESERVED + 8, most_bytes=10)
    with limits.body() as one, limits.body() as other:
        one.add(6)
        other.add(4)
        with pytest.raises(Busy):
            one.add(1)
        assert limits.bytes_held == 10
    assert limits.bytes_held == 0
