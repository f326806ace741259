"""The reasons why OpenTrain's last answer for an install is of no use."""

import pytest

from dashboard.models import Install
from dashboard.rules.installs import NEEDS_PERSON, Trouble, UnreadEntry, unread_words


def test_only_what_passes_without_a_person_is_left_out() -> None:
    assert set(Trouble) - NEEDS_PERSON == {Trouble.NONE, Trouble.RATE_LIMITED, Trouble.UNREACHABLE}


def test_every_trouble_fits_its_column_and_none_is_empty() -> None:
    assert max(len(trouble) for trouble in Trouble) <= Install._meta.get_field("last_error_code").max_length
    assert [trouble for trouble in Trouble if not trouble] == [Trouble.NONE]


FIRST = UnreadEntry(2, "whe_1", "its field url is not a text")
NAMELESS = UnreadEntry(7, None, "it is not an object")
START = "OpenTrain's list of endpoints has"
URL = "entry 2 (whe_1): its field url is not a text"
UNKNOWN = "entry 7: it is not an object. Without its ID, no endpoint that is missing from the list counts as deleted."
REST = "The other endpoints are up to date. Report this to OpenTrain's support."


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], ""),
        (
            [FIRST],
            f"{START} an entry that Redeliver cannot read: {URL}. {REST}",
        ),
        (
            [FIRST, NAMELESS],
            f"{START} 2 entries that Redeliver cannot read: {URL}; {UNKNOWN} {REST}",
        ),
    ],
)
def test_unread_entries_are_named_with_what_is_wrong(entries: list[UnreadEntry], words: str) -> None:
    assert unread_words(entries) == words


def test_many_unread_entries_are_counted() -> None:
    words = unread_words([FIRST] * 2500)
    assert words.startswith("OpenTrain's list of endpoints has 2,500 entries that Redeliver cannot read: entry 2 ")
    assert (words.count("entry 2"), f"; and 2,495 more. {REST}" in words) == (5, True)
