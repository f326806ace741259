"""The progress of a redelivery."""

import pytest

from dashboard.presenters.progress import ended, so_far


@pytest.mark.parametrize(
    ("requeued", "delivered", "kind", "words"),
    [
        (1, 1, "delivered", "It arrived and was delivered."),
        (3, 3, "delivered", "All 3 arrived and were delivered."),
        (3, 1, "failed", "All 3 arrived: 1 delivered, 2 failed again. The causes are below."),
    ],
)
def test_end_says_what_became_of_all(requeued: int, delivered: int, kind: str, words: str) -> None:
    found = ended(requeued=requeued, delivered=delivered)
    assert (found.kind, found.words) == (kind, words)


@pytest.mark.parametrize(
    ("delivered", "failed", "words"), [(0, 0, ""), (3, 0, ", 3 delivered"), (0, 2, ", 0 delivered, 2 failed again")]
)
def test_so_far_counts_what_arrived(delivered: int, failed: int, words: str) -> None:
    assert so_far(delivered=delivered, failed=failed) == words
