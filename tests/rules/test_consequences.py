"""What missing events of contracts mean for people, in words: careful, and never more than is known."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.consequences import Affected, Known, Need, Unknown

NOW = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def affected(need: Need, *ages: timedelta, **facts: object) -> Affected:
    """Return contracts of which each started or ended that long ago."""
    times = tuple(sorted((NOW - age for age in ages), reverse=True))
    known = {"contracts": len(ages), "handlers": 1, "times": times[:3], "oldest": times[-1] if times else None}
    return Affected(need=need, **known | facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            affected(Need.ACCESS, 5 * HOUR, 3 * DAY),
            ("2 people may still have access to Acme Labs: their contracts ended 5 h and 3 days ago, and the "
            "handler never "
            "took contract.ended."),
        ),
        (
            affected(Need.ACCESS, 5 * HOUR),
            ("1 person may still have access to Acme Labs: their contract ended 5 h ago, and the handler never took "
            "contract.ended."),
        ),
        (
            affected(Need.ACCESS, timedelta(), 4 * DAY, 3 * DAY, handlers=2),
            ("3 people may still have access to Acme Labs: their contracts ended just now, 3 days and 4 days "
            "ago, and a "
            "handler never took contract.ended."),
        ),
        (
            affected(Need.ACCESS, -HOUR),  # OpenTrain's clock is ahead
            ("1 person may still have access to Acme Labs: their contract ended just now, and the handler never took "
            "contract.ended."),
        ),
        (
            affected(Need.ACCESS, HOUR * 5, HOUR * 5),
            ("2 people may still have access to Acme Labs: their contracts ended 5 h ago, and the handler never took "
            "contract.ended."),
        ),
        (
            affected(Need.ACCESS, *(day * DAY for day in (2, 3, 4, 5))),
            ("4 people may still have access to Acme Labs: their contracts have ended, the oldest 5 days ago, and the "
            "handler never took contract.ended."),
        ),
        (
            affected(Need.ACCESS, 2 * DAY, contracts=2, undated=True),
            ("2 people may still have access to Acme Labs: their contracts have ended, the oldest known 2 days "
            "ago, and "
            "the handler never took contract.ended."),
        ),
        (
            affected(Need.ACCESS, contracts=1, undated=True),
            ("1 person may still have access to Acme Labs: their contract has ended, and the handler never took "
            "contract.ended."),
        ),
        (
            affected(Need.ACCESS, 2 * DAY, contracts=1000, more=True),
            ("More than 1,000 people may still have access to Acme Labs: their contracts have ended, the oldest known "
            "2 days ago, and the handler never took contract.ended."),
        ),
        (
            affected(Need.OUT_OF_ORDER, 5 * HOUR),
            ("1 person may have access to Acme Labs again: their contract ended 5 h ago, and the handler took "
            "contract.ended before contract.started."),
        ),
        (
            affected(Need.PROVISION, 5 * HOUR),
            ("1 contract of Acme Labs started 5 h ago and was never provisioned: the handler never took "
            "contract.started."),
        ),
        (
            affected(Need.PROVISION, contracts=12, undated=True),
            ("12 contracts of Acme Labs have started and were never provisioned: the handler never took "
            "contract.started."),
        ),
        (
            affected(Need.PROVISION, *(day * DAY for day in (2, 3, 4, 5))),
            ("4 contracts of Acme Labs have started, the oldest 5 days ago, and were never provisioned: the handler "
            "never took contract.started."),
        ),
        (
            affected(Need.COMING, HOUR, until=NOW + timedelta(minutes=48)),
            "1 contract.ended of Acme Labs not seen yet; it may come until 15:48 UTC.",
        ),
        (
            affected(Need.COMING, HOUR, HOUR, until=NOW),  # it is looked at again soon
            "2 contract.ended of Acme Labs not seen yet; they may still come.",
        ),
        (affected(Need.COMING, HOUR), "1 contract.ended of Acme Labs not seen yet; it may still come."),
        (
            affected(Need.RETRYING, HOUR, until=NOW + timedelta(minutes=48)),
            "1 contract.ended of Acme Labs is not taken yet; it may be taken until 15:48 UTC.",
        ),
        (
            affected(Need.REQUESTED, HOUR, HOUR),
            "2 contract.ended of Acme Labs are not taken yet; they may still be taken.",
        ),
    ],
)  # fmt: skip
def test_need_says_what_it_means_and_why(found: Affected, words: str) -> None:
    assert found.words(install="Acme Labs", now=NOW) == words


@pytest.mark.parametrize(("handlers", "words"), [(1, "your handler never"), (2, "one of your handlers never")])
@pytest.mark.parametrize("need", [Need.ACCESS, Need.PROVISION])
def test_partners_read_of_their_own_handler(need: Need, handlers: int, words: str) -> None:
    found = affected(need, 5 * HOUR, handlers=handlers)
    assert words in found.words(install="Acme Labs", handler="your handler", now=NOW)


def test_needs_have_labels_and_only_what_may_still_come_can_wait() -> None:
    assert [(need.label, need.needs_attention) for need in Need] == [
        ("May have access", True),
        ("Out of order", True),
        ("Not provisioned", True),
        ("Not seen yet", False),
        ("Retrying", False),
        ("Requested again", False),
    ]


@pytest.mark.parametrize(
    ("known", "words", "is_clear"),
    [
        (Known(), "", True),
        (Known(installs=3), "No contract's event is known to be missing.", True),
        (
            Known(installs=3, expected=True),
            "No contract's event is known to be missing since the endpoints were registered.",
            True,
        ),
        (Known(installs=3, missing=1), "1 event not taken, without a known consequence.", False),
        (
            Known(installs=3, missing=1001, coming=2),
            "More than 1,000 events not taken, without a known consequence and 2 events still to come.",
            False,
        ),
        (
            Known(installs=1, unknown=((Unknown.NO_SCOPE, 1),)),
            (
                "Whether events of contracts are missing is not known: its token lacks contracts:read or "
                "project-links:read."
            ),
            False,
        ),
        (
            Known(installs=5, unknown=((Unknown.NEVER_READ, 1), (Unknown.DIRECT, 2)), coming=1),
            (
                "1 event still to come. Whether events of contracts are missing is not known for 3 of 5 "
                "installs: 1 not read "
                "yet, 2 with endpoints that don't deliver through Redeliver."
            ),
            False,
        ),
    ],
)
def test_known_reassures_only_where_everything_was_read_and_nothing_is_open(
    known: Known, words: str, is_clear: bool
) -> None:
    assert (known.words, known.is_clear) == (words, is_clear)


@pytest.mark.parametrize("why", Unknown)
def test_every_reason_is_said_of_one_install_and_of_several(why: Unknown) -> None:
    one, several = Known(installs=1, unknown=((why, 1),)), Known(installs=1200, unknown=((why, 1100),))
    assert one.words == f"Whether events of contracts are missing is not known: {why.value}."
    assert several.words.endswith(f"is not known for 1,100 of 1,200 installs: 1,100 {why.many}.")
