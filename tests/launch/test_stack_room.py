"""Room on a thread's stack."""

import resource
from collections.abc import Callable

import pytest

from dashboard.launch.stack_room import with_room

CALLS = 200
DEEPEST = 150
"""More frames than fit in one chunk of 16 KiB."""


def leaf() -> None:
    """Be called at the edge of a chunk."""


def at_depth(depth: int, call: Callable[[], None]) -> None:
    if depth:
        at_depth(depth - 1, call)
    else:
        call()


def at_every_depth() -> None:
    for depth in range(DEEPEST):
        at_depth(depth, new_pages)


def new_pages() -> None:
    """Note how many pages of memory the kernel has given for CALLS calls at this depth."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(CALLS):
        leaf()
    given.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


given: list[int] = []


def test_no_depth_of_the_stack_costs_memory_with_each_call() -> None:
    given.clear()
    with_room(at_every_depth)
    assert len(given) == DEEPEST
    assert max(given) < CALLS


def test_arguments_results_and_errors_pass() -> None:
    assert with_room(divmod, 7, 2) == (3, 1)
    assert with_room(int, "11", base=2) == 3
    with pytest.raises(ValueError, match="'x'"):
        with_room(int, "x")
