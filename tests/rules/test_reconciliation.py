"""What became of a contract's events: a verdict for each, with its reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from dashboard.rules.deliveries import Standing
from dashboard.rules.reconciliation import (
    Consequence,
    ContractFacts,
    EndpointFacts,
    Event,
    Interval,
    Kind,
    LinkFacts,
    Period,
    Reason,
    Seen,
    Verdict,
    World,
    consequence,
    verdict,
)
from dashboard.rules.schedule import Schedule

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
T = datetime(2026, 6, 12, 11, 30, tzinfo=UTC)
"""When the contract ends: in the middle between two reads, by OpenTrain's clock as by ours."""
SCHEDULE = Schedule(retry_delays=tuple(timedelta(minutes=delay) for delay in (1, 5, 30, 120)), run_interval=5 * MINUTE)
OVER = 181 * MINUTE + 5 * MINUTE
"""All delays, five delivery runs, and the slack."""
LATER = T + 10 * HOUR
BOTH = frozenset({"contract.started", "contract.ended"})

CONTRACT = ContractFacts(
    status="ended",
    created_at=T - DAY,
    end_date=T,
    first_seen_at=T - DAY + MINUTE,
    active_seen_at=T - 2 * MINUTE,
    ended_seen_at=T + 2 * MINUTE,
)
LINK = LinkFacts("lnk_1", created_at=T - 9 * DAY, first_seen_at=T - 8 * DAY, last_seen_at=LATER)
OTHER = replace(LINK, id="lnk_2")
ACTIVE = Period(T - 7 * DAY, None, is_active=True, event_types=BOTH, is_received=True)
ENDPOINT = EndpointFacts(created_at=T - 9 * DAY, log_began_at=T - 7 * DAY, periods=(ACTIVE,), synced_at=LATER)
WORLD = World(contract=CONTRACT, links=(LINK,), endpoint=ENDPOINT, seen=(), schedule=SCHEDULE)


def seen(
    standing: Standing = Standing.DELIVERED,
    *,
    event: Event = Event.ENDED,
    link: str | None = "lnk_1",
    at: datetime = T + MINUTE,
    taken: datetime | None = None,
) -> Seen:
    taken_at = taken or (at if standing is Standing.DELIVERED else None)
    return Seen(event, link, first_received_at=at, last_attempt_at=at, taken_at=taken_at, standing=standing)


def of(world: World, event: Event = Event.ENDED, now: datetime = LATER) -> tuple[Kind, Reason]:
    found = verdict(event=event, world=world, now=now)
    return found.kind, found.reason


def endpoint(*periods: Period, **fields) -> World:
    return replace(WORLD, endpoint=replace(ENDPOINT, periods=(ACTIVE, *periods), **fields))


def test_nothing_in_the_log_is_not_seen_yet_until_the_last_retry_then_missing() -> None:
    until = T + 2 * MINUTE + OVER
    found = verdict(event=Event.ENDED, world=WORLD, now=until)
    assert found == Verdict(Kind.NOT_SEEN_YET, until=until, happened_at=T)
    found = verdict(event=Event.ENDED, world=WORLD, now=until + timedelta(seconds=1))
    assert found == Verdict(Kind.MISSING, Reason.UNPROVEN, happened_at=T)


def test_the_wait_is_short_where_the_schedule_is() -> None:
    fast = Schedule(retry_delays=(timedelta(seconds=1),), run_interval=timedelta(seconds=1))
    until = T + 2 * MINUTE + timedelta(seconds=6)
    assert verdict(event=Event.ENDED, world=replace(WORLD, schedule=fast), now=T + 2 * MINUTE).until == until


def test_without_a_schedule_nothing_is_ever_missing() -> None:
    assert of(replace(WORLD, schedule=None)) == (Kind.NOT_SEEN_YET, Reason.NONE)


def test_an_active_contract_has_no_end_that_is_due() -> None:
    active = replace(CONTRACT, status="active", end_date=None, ended_seen_at=None)
    assert of(replace(WORLD, contract=active)) == (Kind.NOT_DUE, Reason.NONE)


def test_a_contract_that_is_no_longer_listed_may_have_ended() -> None:
    gone = replace(CONTRACT, status="active", end_date=None, ended_seen_at=None, gone_at=T)
    assert of(replace(WORLD, contract=gone)) == (Kind.NOT_KNOWN, Reason.NOT_LISTED)
    assert of(replace(WORLD, contract=gone, seen=(seen(),))) == (Kind.TAKEN, Reason.NONE)


@pytest.mark.parametrize("status", ["", "paused", "<b>"])
def test_a_status_that_nobody_knows_is_not_known(status: str) -> None:
    strange = replace(CONTRACT, status=status, end_date=None, ended_seen_at=None, active_seen_at=None)
    assert of(replace(WORLD, contract=strange)) == (Kind.NOT_KNOWN, Reason.STATUS_UNKNOWN)
    assert of(replace(WORLD, contract=strange), Event.STARTED) == (Kind.NOT_KNOWN, Reason.STATUS_UNKNOWN)


def test_what_the_handler_took_is_taken_when_it_took_it_first() -> None:
    again = seen(at=T + HOUR, taken=T + 5 * MINUTE)
    found = verdict(event=Event.ENDED, world=replace(WORLD, seen=(again, seen(Standing.FAILED))), now=LATER)
    assert (found.kind, found.at) == (Kind.TAKEN, T + 5 * MINUTE)


def test_an_event_that_came_before_the_read_that_shows_it_is_taken() -> None:
    active = replace(CONTRACT, status="active", end_date=None, ended_seen_at=None)
    assert of(replace(WORLD, contract=active, seen=(seen(),))) == (Kind.TAKEN, Reason.NONE)


@pytest.mark.parametrize(
    ("standing", "kind"),
    [
        (Standing.RETRYING, Kind.RETRYING),
        (Standing.REQUESTED_AGAIN, Kind.REQUESTED),
        (Standing.FAILED, Kind.FAILED),
    ],
)
def test_what_arrived_and_was_not_taken_is_as_its_delivery(standing: Standing, kind: Kind) -> None:
    due = replace(seen(standing), due_by=T + HOUR)
    found = verdict(event=Event.ENDED, world=replace(WORLD, seen=(due,)), now=T + 2 * MINUTE)
    until = None if kind is Kind.FAILED else T + HOUR
    assert found == Verdict(kind, at=T + MINUTE, until=until, happened_at=T)


@pytest.mark.parametrize("standing", [Standing.RETRYING, Standing.REQUESTED_AGAIN])
def test_a_retry_that_is_late_by_all_retries_has_failed(standing: Standing) -> None:
    world = replace(WORLD, seen=(replace(seen(standing), due_by=T + HOUR),))
    assert of(world, now=T + HOUR + OVER)[0] is not Kind.FAILED
    assert of(world, now=T + HOUR + OVER + timedelta(seconds=1)) == (Kind.FAILED, Reason.NONE)


def test_an_end_that_was_taken_before_its_start_is_out_of_order() -> None:
    start, end = seen(event=Event.STARTED, at=T + HOUR), seen()
    found = verdict(event=Event.ENDED, world=replace(WORLD, seen=(start, end)), now=LATER)
    assert (found.kind, found.at) == (Kind.OUT_OF_ORDER, T + HOUR)
    assert of(replace(WORLD, seen=(start, end)), Event.STARTED) == (Kind.TAKEN, Reason.NONE)


def test_an_end_that_was_handed_over_after_the_start_puts_it_right() -> None:
    start, end, handed_over = seen(event=Event.STARTED, at=T + HOUR), seen(), seen(at=T + 2 * HOUR)
    assert of(replace(WORLD, seen=(start, end, handed_over))) == (Kind.TAKEN, Reason.NONE)


def test_the_order_is_by_link() -> None:
    world = replace(
        WORLD,
        links=(LINK, OTHER),
        seen=(
            seen(event=Event.STARTED, at=T + HOUR, link="lnk_2"),
            seen(event=Event.STARTED, at=T - HOUR, link="lnk_1"),
            seen(link="lnk_1", at=T + MINUTE),
            seen(link="lnk_2", at=T + 2 * HOUR),
        ),
    )
    assert of(world) == (Kind.TAKEN, Reason.NONE)
    late = replace(world, seen=(*world.seen, seen(event=Event.STARTED, at=T + 3 * HOUR, link="lnk_1")))
    found = verdict(event=Event.ENDED, world=late, now=LATER)
    assert (found.kind, found.link_ids) == (Kind.OUT_OF_ORDER, ("lnk_1",))


@pytest.mark.parametrize(
    ("starts", "kind"), [((T + HOUR, T + HOUR), Kind.OUT_OF_ORDER), ((T - HOUR, T + HOUR), Kind.TAKEN_IN_PART)]
)
def test_without_links_in_the_bodies_every_start_must_come_after_every_end(starts, kind: Kind) -> None:
    started = [seen(event=Event.STARTED, link=None, at=at + place * MINUTE) for place, at in enumerate(starts)]
    world = replace(WORLD, links=(LINK, OTHER), seen=(*started, seen(link=None)))
    assert of(world)[0] is kind


DISABLED = Period(T - HOUR, T - HOUR - MINUTE, is_active=False, event_types=BOTH, is_received=True)
BACK = Period(T + HOUR, T + HOUR - MINUTE, is_active=True, event_types=BOTH, is_received=True)
FEW = frozenset({"contract.started"})


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (endpoint(created_at=T + timedelta(seconds=1)), Reason.REGISTERED_AFTER),
        (endpoint(replace(DISABLED, is_active=True, event_types=FEW)), Reason.NOT_SUBSCRIBED),
        (endpoint(DISABLED), Reason.DISABLED),
        (endpoint(DISABLED, BACK), Reason.DISABLED),
        (endpoint(replace(DISABLED, is_paused=True), BACK), Reason.PAUSED),
        (replace(WORLD, links=(replace(LINK, created_at=T + MINUTE, first_seen_at=T + HOUR),)), Reason.LINKED_AFTER),
        (replace(WORLD, links=(replace(LINK, gone_at=T - HOUR),)), Reason.NO_LINK),
        (
            replace(
                WORLD,
                links=(
                    replace(LINK, gone_at=T - HOUR),
                    replace(OTHER, created_at=T + MINUTE, first_seen_at=T + HOUR),
                ),
            ),
            Reason.NO_LINK,
        ),
        (replace(WORLD, not_active=(Interval(T - HOUR, T + HOUR),)), Reason.INSTALL_NOT_ACTIVE),
        (replace(WORLD, receiver_away=(Interval(T - HOUR, T + 9 * HOUR),)), Reason.RECEIVER_AWAY),
        (
            replace(endpoint(replace(DISABLED, at=T + HOUR)), receiver_away=(Interval(T - HOUR, T + HOUR + MINUTE),)),
            Reason.RECEIVER_AWAY,
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else "",
)
def test_a_reason_is_given_where_it_held_all_the_time_in_which_it_may_have_happened(world, reason: Reason) -> None:
    assert of(world) == (Kind.MISSING, reason)


@pytest.mark.parametrize(
    "world",
    [
        endpoint(replace(DISABLED, at=T + MINUTE, not_before=T - MINUTE)),
        endpoint(DISABLED, replace(BACK, at=T + MINUTE, not_before=T)),
        endpoint(DISABLED, replace(BACK, not_before=None)),
        endpoint(DISABLED, synced_at=T),
        endpoint(DISABLED, synced_at=None),
        endpoint(replace(DISABLED, is_active=True, event_types=None)),
        replace(WORLD, links=()),
        replace(WORLD, links=(LINK, replace(LINK, id="lnk_2", created_at=T + MINUTE, first_seen_at=T + HOUR))),
        replace(WORLD, links=(replace(LINK, gone_at=T),)),
        replace(WORLD, not_active=(Interval(T - HOUR, T), Interval(T + MINUTE, T + HOUR))),
        replace(WORLD, receiver_away=(Interval(T - HOUR, T + HOUR),)),
    ],
    ids=[
        "disabled in it",
        "re-enabled in it",
        "not known when re-enabled",
        "synced before it ended",
        "never synced",
        "event types not known",
        "no link known",
        "one of two links",
        "unlinked in it",
        "install active in it",
        "receiver back before the retries",
    ],
)
def test_no_reason_is_given_where_it_may_not_have_held(world: World) -> None:
    assert of(world) == (Kind.MISSING, Reason.UNPROVEN)


@pytest.mark.parametrize(
    ("world", "reason"),
    [
        (endpoint(log_began_at=None), Reason.NO_LOG),
        (endpoint(log_began_at=T - timedelta(seconds=1)), Reason.BEFORE_LOG),
        (replace(WORLD, contract=replace(CONTRACT, known_from=T)), Reason.BEFORE_LOG),
        (
            replace(WORLD, contract=replace(CONTRACT, active_seen_at=None, end_date=None, created_at=None)),
            Reason.BEFORE_LOG,
        ),
        (endpoint(replace(DISABLED, is_active=True, is_received=False)), Reason.OUT_OF_PATH),
        (endpoint(replace(BACK, is_received=False)), Reason.OUT_OF_PATH),
        (
            endpoint(replace(DISABLED, is_received=False, at=T - 2 * HOUR), replace(BACK, at=T, not_before=None)),
            Reason.OUT_OF_PATH,
        ),
    ],
    ids=[
        "no log",
        "before the log",
        "retention",
        "no time at all",
        "out of the path",
        "its retries",
        "not known when back",
    ],
)
def test_without_the_log_of_that_time_it_is_not_known(world: World, reason: Reason) -> None:
    assert of(world) == (Kind.NOT_KNOWN, reason)


def test_what_happened_before_the_endpoint_was_registered_is_missing_also_without_a_log() -> None:
    assert of(endpoint(created_at=T + MINUTE, log_began_at=None)) == (Kind.MISSING, Reason.REGISTERED_AFTER)


@pytest.mark.parametrize("event", Event)
def test_what_is_never_sent_is_missing_at_once(event: Event) -> None:
    none = endpoint(replace(ACTIVE, at=T - 7 * DAY, event_types=frozenset({"install.revoked"})))
    none = replace(none, endpoint=replace(none.endpoint, periods=none.endpoint.periods[1:]))
    assert of(none, event, now=T + 3 * MINUTE) == (Kind.MISSING, Reason.NOT_SUBSCRIBED)


@pytest.mark.parametrize(
    ("types", "synced_at", "reason"),
    [
        ({"install.revoked"}, T, Reason.NOT_SUBSCRIBED),
        ({"install.revoked"}, T - 10 * MINUTE, Reason.NONE),
        ({"contract.ended"}, T, Reason.NONE),
    ],
    ids=["seen just before", "not seen lately", "subscribed when seen last"],
)
def test_what_was_not_chosen_when_the_endpoint_was_last_seen_is_not_expected(
    types: set[str], synced_at: datetime, reason: Reason
) -> None:
    before = replace(ACTIVE, event_types=frozenset({"install.revoked"}))
    last = replace(ACTIVE, at=T - DAY, not_before=T - DAY - MINUTE, event_types=frozenset(types))
    facts = replace(ENDPOINT, periods=(before, last), synced_at=synced_at)
    world = replace(WORLD, endpoint=facts)
    assert of(world, now=T + 3 * MINUTE) == (Kind.NOT_SEEN_YET, reason)
    missing = Verdict(Kind.NOT_SEEN_YET, reason)
    means = consequence(event=Event.ENDED, contract=CONTRACT, started=Verdict(Kind.TAKEN), ended=missing)
    assert means is (Consequence.ACCESS if reason is Reason.NONE else Consequence.NONE)


def test_a_deleted_endpoint_is_due_nothing_afterwards() -> None:
    assert of(endpoint(deleted_at=T - HOUR)) == (Kind.NOT_DUE, Reason.NONE)
    assert of(endpoint(deleted_at=T + HOUR)) == (Kind.MISSING, Reason.UNPROVEN)


def test_what_waits_in_a_spool_is_not_missing() -> None:
    assert of(replace(WORLD, is_log_behind=True)) == (Kind.NOT_SEEN_YET, Reason.NOT_IN_LOG_YET)
    registered_after = replace(endpoint(created_at=T + MINUTE), is_log_behind=True)
    assert of(registered_after) == (Kind.MISSING, Reason.REGISTERED_AFTER)


@pytest.mark.parametrize(
    ("at", "event", "kind"),
    [
        (T + HOUR, Event.ENDED, Kind.REFUSED),
        (T + HOUR, Event.STARTED, Kind.MISSING),
        (T - HOUR, Event.ENDED, Kind.MISSING),
        (T + 9 * HOUR, Event.ENDED, Kind.MISSING),
    ],
    ids=["then", "of another type", "before", "long after"],
)
def test_a_request_that_was_refused_then_may_have_been_it(at: datetime, event: Event, kind: Kind) -> None:
    assert of(replace(WORLD, refused_at=((event, at),)))[0] is kind


def test_a_refused_request_cannot_have_been_what_was_never_sent() -> None:
    world = replace(endpoint(DISABLED), refused_at=((Event.ENDED, T + HOUR),))
    assert of(world) == (Kind.MISSING, Reason.DISABLED)


@pytest.mark.parametrize(
    "halt",
    [
        endpoint(replace(DISABLED, is_paused=True), BACK),
        endpoint(DISABLED, BACK),
        endpoint(replace(DISABLED, is_paused=True), replace(DISABLED, at=T, not_before=T - MINUTE), BACK),
        endpoint(replace(DISABLED, at=T + MINUTE * 10, is_paused=True), BACK),
        replace(WORLD, not_active=(Interval(T - HOUR, T + HOUR),)),
        replace(WORLD, not_active=(Interval(T + HOUR - MINUTE, T + HOUR, not_before=T + 30 * MINUTE),)),
    ],
    ids=["paused", "disabled", "seen twice", "paused after it", "install not active", "install not active after it"],
)
def test_what_waited_through_a_halt_may_come_after_it(halt: World) -> None:
    assert verdict(event=Event.ENDED, world=halt, now=T + 2 * HOUR).until == T + HOUR + OVER


def test_an_install_that_may_have_been_revoked_before_the_last_retry_held_it_back() -> None:
    late = Interval(T + 4 * HOUR, T + 5 * HOUR, not_before=T + 3 * HOUR)
    found = verdict(event=Event.ENDED, world=replace(WORLD, not_active=(late,)), now=T + 5 * HOUR)
    assert (found.kind, found.until) == (Kind.NOT_SEEN_YET, T + 5 * HOUR + OVER)


def test_disabling_fails_what_waits_so_nothing_comes_after_it() -> None:
    world = endpoint(replace(DISABLED, at=T + 20 * MINUTE, not_before=T + 10 * MINUTE), BACK)
    assert verdict(event=Event.ENDED, world=world, now=T + 2 * HOUR).until == T + 2 * MINUTE + OVER


def test_an_endpoint_that_stays_paused_does_not_keep_a_missing_event_waiting() -> None:
    assert of(endpoint(replace(DISABLED, is_paused=True))) == (Kind.MISSING, Reason.PAUSED)


class TestSeveralLinks:
    WORLD = replace(WORLD, links=(LINK, OTHER))

    def of(self, *deliveries: Seen, now: datetime = LATER) -> tuple[Kind, tuple[str, ...]]:
        found = verdict(event=Event.ENDED, world=replace(self.WORLD, seen=deliveries), now=now)
        return found.kind, found.link_ids

    def test_each_link_has_an_event_of_its_own(self) -> None:
        assert self.of(seen(), seen(link="lnk_2")) == (Kind.TAKEN, ())
        assert self.of(seen()) == (Kind.MISSING, ("lnk_2",))
        assert self.of(seen(), now=T + HOUR) == (Kind.NOT_SEEN_YET, ("lnk_2",))
        assert self.of(seen(), seen(Standing.FAILED, link="lnk_2")) == (Kind.FAILED, ("lnk_2",))
        assert self.of() == (Kind.MISSING, ())

    def test_taken_by_all_is_taken_when_the_last_was(self) -> None:
        world = replace(self.WORLD, seen=(seen(), seen(link="lnk_2", at=T + HOUR)))
        assert verdict(event=Event.ENDED, world=world, now=LATER).at == T + HOUR

    def test_bodies_that_do_not_tell_prove_one_link(self) -> None:
        assert self.of(seen(link=None)) == (Kind.TAKEN_IN_PART, ())
        assert self.of(seen(link=None), seen(link="lnk_2")) == (Kind.TAKEN_IN_PART, ())
        assert self.of(seen(link=None), seen(), seen(link="lnk_2")) == (Kind.TAKEN, ())
        assert self.of(seen(link=None), seen(Standing.FAILED, link=None, at=T))[0] is Kind.FAILED

    def test_a_link_that_may_not_have_existed_is_not_missing(self) -> None:
        unsure = replace(OTHER, last_seen_at=T - HOUR, gone_at=T + HOUR)
        world = replace(WORLD, links=(LINK, unsure), seen=(seen(),))
        assert of(world) == (Kind.TAKEN_IN_PART, Reason.NONE)

    def test_a_link_that_was_made_later_makes_no_difference(self) -> None:
        later = replace(OTHER, created_at=T + MINUTE, first_seen_at=T + HOUR)
        assert of(replace(WORLD, links=(LINK, later), seen=(seen(),))) == (Kind.TAKEN, Reason.NONE)


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize(
    "contract",
    [
        replace(CONTRACT, created_at=None, end_date=None),
        replace(CONTRACT, created_at=datetime.min.replace(tzinfo=UTC), end_date=datetime.max.replace(tzinfo=UTC)),
        replace(CONTRACT, created_at=datetime.max.replace(tzinfo=UTC), end_date=datetime.min.replace(tzinfo=UTC)),
        replace(CONTRACT, created_at=datetime.fromtimestamp(0, UTC), end_date=datetime.fromtimestamp(0, UTC)),
        replace(CONTRACT, created_at=T + 900 * DAY, end_date=T - 900 * DAY),
        replace(CONTRACT, end_date=T - 2 * DAY),
    ],
    ids=["none", "the ends of time", "the wrong way round", "zero", "future and past", "ended before it was created"],
)
def test_dates_that_cannot_be_true_prove_nothing(event: Event, contract: ContractFacts) -> None:
    found = verdict(event=event, world=replace(WORLD, contract=contract), now=LATER)
    expected = (Kind.MISSING, Reason.UNPROVEN) if event is Event.ENDED else (Kind.NOT_KNOWN, Reason.BEFORE_LOG)
    assert (found.kind, found.reason) == expected
    assert found.happened_at == (CONTRACT.ended_seen_at if event is Event.ENDED else None)


def test_neither_order_nor_repetition_makes_a_difference() -> None:
    deliveries = (
        seen(link=None, at=T + HOUR),
        seen(Standing.FAILED),
        seen(Standing.FAILED, at=T + 2 * MINUTE),
        seen(event=Event.STARTED, at=T + 3 * HOUR, link=None),
    )
    periods = (ACTIVE, DISABLED, BACK)
    away = (Interval(T, T + HOUR), Interval(T - HOUR, T))
    found = {
        verdict(
            event=event,
            world=replace(
                endpoint(created_at=T - 9 * DAY),
                endpoint=replace(ENDPOINT, periods=tuple(periods[place % 3] for place in order)),
                links=(OTHER, LINK, OTHER) if order[0] else (LINK, OTHER),
                seen=tuple(deliveries[place] for place in (*order, *order[:2])),
                receiver_away=away if order[0] else away[::-1],
            ),
            now=LATER,
        )
        for event in (Event.ENDED,)
        for order in permutations(range(4))
    }
    assert len(found) == 1


REGISTERED = replace(
    ENDPOINT, created_at=T, log_began_at=T, periods=(replace(ACTIVE, at=T),), is_logged_from_start=True
)
"""Registered through the receiver just now."""
STARTED = replace(
    CONTRACT,
    status="active",
    created_at=T + MINUTE,
    end_date=None,
    first_seen_at=T + 2 * MINUTE,
    active_seen_at=T + HOUR,
    ended_seen_at=None,
)


@pytest.mark.parametrize(
    ("contract", "at", "expected"),
    [
        (STARTED, REGISTERED, (Kind.MISSING, Reason.UNPROVEN)),
        (replace(STARTED, created_at=T), REGISTERED, (Kind.MISSING, Reason.UNPROVEN)),
        # It was there before, or that is not known; or the endpoint was routed through the receiver later.
        (replace(STARTED, created_at=T - MINUTE), REGISTERED, (Kind.MISSING, Reason.REGISTERED_AFTER)),
        (replace(STARTED, created_at=None), REGISTERED, (Kind.NOT_KNOWN, Reason.BEFORE_LOG)),
        (STARTED, replace(REGISTERED, created_at=None), (Kind.NOT_KNOWN, Reason.BEFORE_LOG)),
        (STARTED, replace(REGISTERED, is_logged_from_start=False), (Kind.NOT_KNOWN, Reason.BEFORE_LOG)),
    ],
)
def test_contract_that_opentrain_made_after_the_endpoint_is_in_its_log_from_the_first_minute(
    contract: ContractFacts, at: EndpointFacts, expected: tuple[Kind, Reason]
) -> None:
    """Clocks may be minutes apart, but both times are OpenTrain's."""
    assert of(replace(WORLD, contract=contract, endpoint=at), Event.STARTED) == expected


def test_clock_of_opentrain_that_is_behind_moves_no_start_before_the_log() -> None:
    behind = 4 * MINUTE
    contract = replace(STARTED, created_at=STARTED.created_at - behind)
    at = replace(REGISTERED, created_at=T - behind)
    assert of(replace(WORLD, contract=contract, endpoint=at), Event.STARTED) == (Kind.MISSING, Reason.UNPROVEN)


def test_endpoint_that_was_registered_without_the_type_is_known_not_to_subscribe_from_the_first_minute() -> None:
    other = replace(REGISTERED, periods=(replace(REGISTERED.periods[0], event_types=frozenset({"install.revoked"})),))
    world = replace(WORLD, contract=STARTED, endpoint=other)
    assert of(world, Event.STARTED) == (Kind.MISSING, Reason.NOT_SUBSCRIBED)


JUST_DISABLED = Period(T - MINUTE, T - 2 * MINUTE, is_active=False, event_types=BOTH, is_received=True)
DISABLED_AT = T - 90 * timedelta(seconds=1)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"auto_disabled_at": DISABLED_AT}, Reason.DISABLED),
        ({"auto_disabled_at": T}, Reason.DISABLED),
        ({"auto_disabled_at": T + timedelta(seconds=1)}, Reason.UNPROVEN),
        ({"auto_disabled_at": None}, Reason.UNPROVEN),
        # It may have been re-enabled before the event, or it was paused.
        ({"periods": (ACTIVE, JUST_DISABLED, Period(T + MINUTE, T, is_active=True))}, Reason.UNPROVEN),
        ({"periods": (ACTIVE, replace(JUST_DISABLED, is_paused=True))}, Reason.UNPROVEN),
        ({"periods": (ACTIVE,)}, Reason.UNPROVEN),
        ({"synced_at": T}, Reason.UNPROVEN),
    ],
)
def test_event_after_the_auto_disable_by_opentrains_clock_is_missing_because_of_it(columns, reason: Reason) -> None:
    """It ended 90 s after the disable: less than the clocks may differ."""
    disabled = {"periods": (ACTIVE, JUST_DISABLED), "auto_disabled_at": DISABLED_AT} | columns
    assert of(replace(WORLD, endpoint=replace(ENDPOINT, **disabled))) == (Kind.MISSING, reason)
