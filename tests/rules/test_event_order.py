"""The order of a resource's events, and what a redelivery would undo."""

from datetime import datetime, timedelta

import pytest

from dashboard.rules.event_order import (
    CAN_BE_OVERTAKEN,
    MOST_OTHERS,
    OVERTAKE,
    PAIRS,
    STATES,
    UNDOING,
    Event,
    Order,
    Other,
    in_order,
    newest,
    order,
    overtaken_by,
    overtaken_words,
    waits,
)
from tests.factories import NOON

MINUTE = timedelta(minutes=1)
STARTED, ENDED = "contract.started", "contract.ended"
LOW, FUNDED = "milestone.budget_low", "milestone.funded"


def event(event_type: str, event_id: str = "", at: datetime | None = None) -> Event:
    return Event(event_type, event_id, at)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("evt_9", NOON), ("evt_1", NOON + MINUTE), Order.BEFORE),  # the time comes first
        (("", NOON), ("", NOON - MINUTE), Order.AFTER),
        (("evt_9", NOON), ("evt_10", NOON), Order.BEFORE),  # not as text: "10" < "9"
        (("evt_0000000000000000002", None), ("evt_0000000000000000001", NOON), Order.AFTER),
        (("evt_9", None), ("evt_10", None), Order.BEFORE),
        (("99999999999999999999998", None), ("99999999999999999999999", None), Order.BEFORE),
        (("evt_9", NOON), ("ev_10", NOON), Order.UNKNOWN),
        (("evt_9a", NOON), ("evt_9b", NOON), Order.UNKNOWN),
        (("evt_1_9", NOON), ("evt_1_10", NOON), Order.UNKNOWN),
        (("evt_٣", NOON), ("evt_4", NOON), Order.UNKNOWN),
        (("evt_", NOON), ("evt_1", NOON), Order.UNKNOWN),
        (("evt_7", NOON), ("evt_07", NOON), Order.UNKNOWN),
        (("", None), ("", NOON), Order.UNKNOWN),
    ],
)
def test_order_is_by_time_then_by_number_and_never_as_text(
    one: tuple[str, datetime | None], other: tuple[str, datetime | None], expected: Order
) -> None:
    first, second = event(STARTED, *one), event(ENDED, *other)
    assert order(first, second) is expected
    assert order(second, first) is Order(-expected.value)


@pytest.mark.parametrize("taken_at", [None, NOON + 9 * MINUTE])
def test_started_is_overtaken_by_a_later_ended_taken_or_not(taken_at: datetime | None) -> None:
    ended = Other(event(ENDED, "evt_2", NOON + MINUTE), taken_at)
    assert overtaken_by(event(STARTED, "evt_1", NOON), [ended]) == ended


def test_started_of_unknown_order_is_overtaken() -> None:
    ended = Other(event(ENDED, "b"))
    assert overtaken_by(event(STARTED, "a"), [ended]) == ended


def test_started_after_the_ended_is_not_overtaken() -> None:
    """A contract that is started again."""
    assert overtaken_by(event(STARTED, "evt_3", NOON), [Other(event(ENDED, "evt_2", NOON - MINUTE), NOON)]) is None


def test_contract_that_is_listed_as_ended_overtakes_its_started_whatever_the_order() -> None:
    listed = Other(event(ENDED), is_listed=True)
    assert overtaken_by(event(STARTED, "evt_3", NOON), [listed]) == listed


@pytest.mark.parametrize(
    ("event_type", "other"),
    [
        (ENDED, STARTED),
        (ENDED, ENDED),
        (STARTED, STARTED),  # one event for each link
        (STARTED, FUNDED),
        (STARTED, "project_link.removed"),
        (LOW, ENDED),
        ("install.revoked", "install.revoked"),
        ("contract.renamed", "contract.renamed"),
    ],
)
def test_other_events_overtake_nothing(event_type: str, other: str) -> None:
    later = Other(event(other, "evt_2", NOON + MINUTE), NOON + MINUTE)
    assert overtaken_by(event(event_type, "evt_1", NOON), [later]) is None


@pytest.mark.parametrize("other", sorted(STATES))
def test_state_is_overtaken_only_by_a_later_one_that_was_taken(other: str) -> None:
    low = event(LOW, "evt_1", NOON)
    assert overtaken_by(low, [Other(event(other, "evt_2", NOON + MINUTE))]) is None
    assert overtaken_by(low, [Other(event(other, "evt_0", NOON - MINUTE), NOON + MINUTE)]) is None
    taken = Other(event(other, "evt_2", NOON + MINUTE), NOON + MINUTE)
    assert overtaken_by(low, [taken]) == taken


def test_one_that_was_taken_last_is_named() -> None:
    ended = [Other(event(ENDED, f"evt_{number}"), at) for number, at in ((2, None), (3, NOON + MINUTE), (4, NOON))]
    assert overtaken_by(event(STARTED, "evt_1"), ended) == ended[1]


def test_of_very_many_others_those_that_matter_are_kept() -> None:
    old = [Other(event(ENDED, f"evt_{number}", NOON - number * MINUTE)) for number in range(1000)]
    undated, late = Other(event(ENDED, "x")), Other(event(ENDED, "evt_5000", NOON + MINUTE))
    listed = Other(event(ENDED), is_listed=True)
    found = newest([*old, undated, late, listed])
    assert len(found) == MOST_OTHERS
    assert {undated, late, listed, old[0]} <= set(found)


def test_each_resource_goes_in_the_order_of_what_happened_at_its_own_places() -> None:
    arrived = [
        ("con_1", event(LOW, "evt_5", NOON + 5 * MINUTE)),
        ("con_2", event(STARTED, "evt_9")),
        ("con_1", event(STARTED, "evt_1", NOON)),
        ("", event(STARTED, "evt_0", NOON - MINUTE)),
        ("con_1", event(FUNDED, "evt_3", NOON + 3 * MINUTE)),
        ("con_2", event(LOW, "b")),  # of unknown order: stays
    ]
    assert in_order(arrived) == [2, 1, 4, 3, 0, 5]
    assert in_order([]) == []


def test_every_pair_is_in_the_tables() -> None:
    for pair in PAIRS:
        assert pair.giving in CAN_BE_OVERTAKEN
        assert pair.undoing in OVERTAKE
        assert (waits(pair.giving), waits(pair.undoing)) == (True, False)
    assert not UNDOING & CAN_BE_OVERTAKEN


@pytest.mark.parametrize(
    ("event_type", "by", "words"),
    [
        (
            STARTED,
            Other(event(ENDED), NOON - 3 * MINUTE),
            "contract.ended of this contract was taken 3 min ago; redelivering contract.started may give access back",
        ),
        (
            STARTED,
            Other(event(ENDED)),
            (
                "contract.ended of this contract exists, and no attempt of it was taken yet; redelivering "
                "contract.started may give access back"
            ),
        ),
        (
            STARTED,
            Other(event(ENDED), is_listed=True),
            "OpenTrain lists this contract as ended; redelivering contract.started may give access back",
        ),
        (
            "project_link.created",
            Other(event("project_link.removed"), NOON - 3 * MINUTE),
            (
                "project_link.removed of this project link was taken 3 min ago; redelivering "
                "project_link.created may set the project up again"
            ),
        ),
        (
            LOW,
            Other(event(FUNDED), NOON - 3 * MINUTE),
            (
                "milestone.funded, a later event of the same resource, was taken 3 min ago; redelivering "
                "milestone.budget_low may set the handler back to an earlier state"
            ),
        ),
    ],
)
def test_words_say_what_overtook_it_and_what_a_redelivery_may_do(event_type: str, by: Other, words: str) -> None:
    assert overtaken_words(event_type, by, now=NOON) == words
    assert overtaken_words(event_type, by) == words.replace(" 3 min ago", "")
