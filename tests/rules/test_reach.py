"""What lists of contracts prove, and what is out of their reach."""

import pytest

from dashboard.rules.installs import UnreadEntry
from dashboard.rules.reach import ListFacts, Reach

FULL_ACTIVE, FULL_ENDED = ListFacts("active", None, is_full=True), ListFacts("ended", None, is_full=True)
ALL_ACTIVE, ALL_ENDED = ListFacts("active", None, is_full=False), ListFacts("ended", None, is_full=False)
NAMELESS = UnreadEntry(3, None, "it is not an object")
NAMED = UnreadEntry(4, "con_<b>4</b>", "its field endDate is not a text")


def reach(*lists: ListFacts, jobs: frozenset[str] | None = frozenset({"job_1", "job_2"})) -> Reach:
    return Reach(lists, linked_jobs=jobs, most=200)


def of_job(status: str, job_id: str, *, is_full: bool = False) -> ListFacts:
    return ListFacts(status, job_id, is_full=is_full)


@pytest.mark.parametrize(
    ("lists", "job_id", "shown"),
    [
        ((ALL_ACTIVE, ALL_ENDED), "job_1", True),
        ((ALL_ACTIVE, ALL_ENDED), "", True),
        ((ALL_ACTIVE,), "job_1", False),
        ((), "job_1", False),
        ((ALL_ACTIVE, FULL_ENDED), "job_1", False),
        ((ALL_ACTIVE, FULL_ENDED, of_job("ended", "job_1")), "job_1", True),
        ((ALL_ACTIVE, FULL_ENDED, of_job("ended", "job_1")), "job_2", False),
        ((ALL_ACTIVE, FULL_ENDED, of_job("ended", "job_1")), "", False),
        ((ALL_ACTIVE, FULL_ENDED, of_job("ended", "job_1", is_full=True)), "job_1", False),
        ((FULL_ACTIVE, FULL_ENDED, of_job("ended", "job_1")), "job_1", False),
        ((ALL_ACTIVE, FULL_ENDED), "job_3", True),
        ((ListFacts("active", None, is_full=False, unread=(NAMELESS,)), ALL_ENDED), "job_1", False),
        ((ListFacts("active", None, is_full=False, unread=(NAMED,)), ALL_ENDED), "job_1", True),
    ],
    ids=[
        "complete", "complete, no job", "no list of ended ones", "no list", "full", "its job is read",
        "another job is read", "no job", "its job is full", "its job is read for one of two statuses",
        "no link to its job", "an entry without ID", "an entry with an ID",
    ],
)  # fmt: skip
def test_contract_would_be_shown_only_by_complete_lists(lists, job_id: str, shown: bool) -> None:
    assert reach(*lists).would_show(job_id=job_id) is shown


def test_without_the_links_no_job_is_known_to_be_unlinked() -> None:
    assert not reach(ALL_ACTIVE, FULL_ENDED, jobs=None).would_show(job_id="job_3")


@pytest.mark.parametrize(
    ("lists", "jobs", "words"),
    [
        ((ALL_ACTIVE, ALL_ENDED), {"job_1"}, ""),
        (
            (ALL_ACTIVE, FULL_ENDED),
            {"job_1", "job_2"},
            (
                "OpenTrain lists 200 ended contracts at most, and this install has as many or more. "
                "2 of 2 linked jobs are left for the next reads."
            ),
        ),
        ((ALL_ACTIVE, FULL_ENDED, of_job("ended", "job_1")), {"job_1"}, ""),
        (
            (ALL_ACTIVE, FULL_ENDED, *(of_job("ended", f"job_{n}", is_full=True) for n in range(5))),
            {f"job_{n}" for n in range(5)},
            (
                "OpenTrain lists 200 ended contracts at most, and this install has as many or more. "
                "Older ended contracts of jobs job_0, job_1, job_2 and 2 more are out of reach."
            ),
        ),
        (
            (FULL_ACTIVE, ALL_ENDED),
            None,
            (
                "OpenTrain lists 200 active contracts at most, and this install has as many or more. "
                "Older ones are out of reach, because the project links could not be read."
            ),
        ),
        (
            (
                ListFacts(
                    "active", None, is_full=False, unread=(NAMELESS, UnreadEntry(9, None, "it is not an object"))
                ),
                ListFacts("active", "job_1", is_full=False, unread=(NAMELESS,)),
                ListFacts("ended", "job_1", is_full=False, unread=(NAMED,)),
                ListFacts("ended", "job_2", is_full=False, unread=(NAMED,)),
                ALL_ENDED,
            ),
            {"job_1"},
            (
                "OpenTrain's lists of contracts have 3 entries that Redeliver cannot read: "
                "entry 3: it is not an object; entry 9: it is not an object; "
                "entry 4 (con_<b>4</b>): its field endDate is not a text. "
                "Without its ID, no contract that is missing from the list counts as gone. "
                "Report this to OpenTrain's support."
            ),
        ),
        (
            (ListFacts("active", None, is_full=False, unread=(NAMELESS, NAMED)), ALL_ENDED),
            {"job_1"},
            (
                "OpenTrain's lists of contracts have 2 entries that Redeliver cannot read: "
                "entry 3: it is not an object; entry 4 (con_<b>4</b>): its field endDate is not a text. "
                "Without its ID, no contract that is missing from the list counts as gone. "
                "Report this to OpenTrain's support."
            ),
        ),
    ],
    ids=["all", "jobs left", "all by job", "jobs full", "no links", "unread in several lists", "unread"],
)
def test_what_was_not_reached_is_said(lists, jobs, words: str) -> None:
    assert reach(*lists, jobs=None if jobs is None else frozenset(jobs)).words == words
