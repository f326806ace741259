"""The rule that detects when regular deliveries have stopped."""

from datetime import timedelta

import pytest

from dashboard.rules import silence as rhythm
from dashboard.rules.silence import RHYTHMS
from tests.factories import NOON

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HOURS, DAYS = RHYTHMS


@pytest.mark.parametrize(
    ("kept", "pause", "silent"),
    [
        (28, 12 * HOUR, False),
        (28, 12 * HOUR + timedelta(seconds=1), True),
        (27, 5 * DAY, False),
        (28, 14 * DAY, False),
    ],
    ids=["not longer than any pause there was", "longer", "no rhythm", "long forgotten"],
)
def test_silent_is_who_kept_the_rhythm_and_pauses_longer_than_ever(kept, pause, silent) -> None:
    assert rhythm.is_silent(rhythm=HOURS, kept=kept, last_at=NOON - pause, now=NOON) is silent


def test_silence_in_words_says_what_was_expected() -> None:
    words = rhythm.silence_words(rhythm=DAYS, last_at=NOON - 3 * DAY, now=NOON)
    assert words.startswith("Deliveries came every day for 7 days, but none in the last 3 days.")
    words = rhythm.silence_words(rhythm=HOURS, last_at=NOON - 13 * HOUR, now=NOON)
    assert words.startswith("Deliveries came every 6 h for 7 days, but none in the last 13 h.")
