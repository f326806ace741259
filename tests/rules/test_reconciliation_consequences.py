"""What was proven of an event stays, and what it means for people: access that is left, or was never given."""

from dataclasses import replace

import pytest

from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason, Verdict, consequence, keep, verdict
from tests.rules.test_reconciliation import CONTRACT, DAY, HOUR, LATER, WORLD, T

TAKEN, MISSING = Verdict(Kind.TAKEN, at=T), Verdict(Kind.MISSING, Reason.DISABLED)
UNPROVEN = Verdict(Kind.MISSING, Reason.UNPROVEN)
NOT_KNOWN = Verdict(Kind.NOT_KNOWN, Reason.BEFORE_LOG)
REFUSED, FAILED = Verdict(Kind.REFUSED, at=T), Verdict(Kind.FAILED, at=T)
NOT_SEEN_YET = Verdict(Kind.NOT_SEEN_YET, until=LATER)


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        (None, MISSING, MISSING),
        (NOT_SEEN_YET, NOT_KNOWN, NOT_KNOWN),
        (NOT_SEEN_YET, UNPROVEN, UNPROVEN),
        (MISSING, NOT_KNOWN, MISSING),
        (MISSING, UNPROVEN, MISSING),
        (MISSING, NOT_SEEN_YET, MISSING),
        (MISSING, REFUSED, MISSING),
        (MISSING, FAILED, FAILED),
        (MISSING, TAKEN, TAKEN),
        (UNPROVEN, MISSING, MISSING),
        (UNPROVEN, REFUSED, REFUSED),
        (UNPROVEN, NOT_KNOWN, UNPROVEN),
        (REFUSED, UNPROVEN, REFUSED),
        (REFUSED, NOT_KNOWN, REFUSED),
        (REFUSED, TAKEN, TAKEN),
        (TAKEN, UNPROVEN, TAKEN),
        (TAKEN, Verdict(Kind.OUT_OF_ORDER), Verdict(Kind.OUT_OF_ORDER)),
        (TAKEN, Verdict(Kind.MISSING, link_ids=("lnk_2",)), Verdict(Kind.MISSING)),
        (FAILED, UNPROVEN, FAILED),
        (FAILED, NOT_KNOWN, FAILED),
        (MISSING, Verdict(Kind.NOT_DUE), Verdict(Kind.NOT_DUE)),
    ],
)
def test_what_was_proven_stays_until_something_arrives(before: Verdict | None, now: Verdict, kept: Verdict) -> None:
    assert keep(before, now) == kept


def test_what_stays_missing_is_of_the_links_that_nothing_has_arrived_of() -> None:
    for now in (NOT_SEEN_YET, UNPROVEN):
        kept = keep(MISSING, replace(now, link_ids=("lnk_2",)))
        assert (kept, kept.link_ids) == (MISSING, ("lnk_2",))


def test_what_stays_says_that_the_log_is_behind() -> None:
    behind = verdict(event=Event.ENDED, world=replace(WORLD, is_log_behind=True), now=LATER)
    kept = keep(replace(MISSING, happened_at=T - DAY), behind)
    assert (kept.kind, kept.happened_at, kept.is_log_behind) == (Kind.MISSING, T, True)


ALL_ENDED, STILL_ACTIVE = CONTRACT, replace(CONTRACT, status="active", end_date=None, ended_seen_at=None)
NOT_DUE, CHOICE = Verdict(Kind.NOT_DUE), Verdict(Kind.MISSING, Reason.NOT_SUBSCRIBED)
BACKFILL, IN_PART = Verdict(Kind.MISSING, Reason.REGISTERED_AFTER), Verdict(Kind.MISSING, link_ids=("lnk_2",))


@pytest.mark.parametrize(
    ("started", "ended", "expected"),
    [
        (TAKEN, TAKEN, Consequence.NONE),
        (TAKEN, UNPROVEN, Consequence.ACCESS),
        (TAKEN, NOT_SEEN_YET, Consequence.ACCESS),
        (TAKEN, FAILED, Consequence.ACCESS),
        (TAKEN, REFUSED, Consequence.ACCESS),
        (TAKEN, Verdict(Kind.OUT_OF_ORDER), Consequence.ACCESS),
        (TAKEN, NOT_KNOWN, Consequence.NONE),
        (TAKEN, CHOICE, Consequence.NONE),
        (TAKEN, BACKFILL, Consequence.NONE),
        (NOT_KNOWN, UNPROVEN, Consequence.ACCESS),
        (FAILED, UNPROVEN, Consequence.ACCESS),
        (IN_PART, UNPROVEN, Consequence.ACCESS),
        (UNPROVEN, UNPROVEN, Consequence.NONE),
        (REFUSED, UNPROVEN, Consequence.NONE),
        (BACKFILL, UNPROVEN, Consequence.NONE),
        (CHOICE, UNPROVEN, Consequence.NONE),
    ],
)
def test_an_end_that_was_not_taken_leaves_access_unless_the_start_was_never_taken(started, ended, expected) -> None:
    assert consequence(event=Event.ENDED, contract=ALL_ENDED, started=started, ended=ended) is expected
    assert consequence(event=Event.STARTED, contract=ALL_ENDED, started=started, ended=ended) is Consequence.NONE


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        (TAKEN, Consequence.NONE),
        (NOT_KNOWN, Consequence.NONE),
        (CHOICE, Consequence.NONE),
        (BACKFILL, Consequence.NONE),
        (UNPROVEN, Consequence.PROVISION),
        (MISSING, Consequence.PROVISION),
        (NOT_SEEN_YET, Consequence.PROVISION),
        (FAILED, Consequence.PROVISION),
        (REFUSED, Consequence.PROVISION),
    ],
)
def test_a_start_that_was_not_taken_leaves_a_person_without_access(started: Verdict, expected: Consequence) -> None:
    assert consequence(event=Event.STARTED, contract=STILL_ACTIVE, started=started, ended=NOT_DUE) is expected
    assert consequence(event=Event.ENDED, contract=STILL_ACTIVE, started=started, ended=NOT_DUE) is Consequence.NONE


def test_the_endpoint_before_this_one_may_have_given_access() -> None:
    assert (
        consequence(event=Event.ENDED, contract=CONTRACT, started=BACKFILL, ended=UNPROVEN, predecessor_took_start=True)
        is Consequence.ACCESS
    )


def test_a_contract_that_is_active_again_has_nobody_who_left() -> None:
    again = replace(CONTRACT, status="active", active_seen_at=T + HOUR)
    assert consequence(event=Event.ENDED, contract=again, started=TAKEN, ended=UNPROVEN) is Consequence.NONE
