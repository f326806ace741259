"""When an event of a contract happened, which links and which state of the endpoint held then, until when it may come.

All answers are on Redeliver's own clock. What may not be so is not claimed: an event's moment is an interval, and a
state holds in it only if it holds in all of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dashboard.rules.reconciliation_facts import (
    CLOCKS_APART,
    ContractFacts,
    EndpointFacts,
    Event,
    Interval,
    LinkFacts,
    Period,
    World,
)
from dashboard.rules.schedule import Schedule

LONGEST_SLACK = timedelta(minutes=5)
"""Longest allowance for an event that comes later than all delays together."""
READ_TAKES = timedelta(seconds=15)
"""How long after a read began it may show what had not happened when it began: a call to OpenTrain takes no longer."""
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier dates are the zeros of clocks and languages."""
_DAY = timedelta(days=1)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Moment:
    """When an event happened: between `since` (None: not known) and `until`.

    `read_at` is when the read began that first showed it. `said` is OpenTrain's own time, None if it has none that
    agrees with what was seen.
    """

    since: datetime | None
    until: datetime
    read_at: datetime
    said: datetime | None

    @property
    def latest_said(self) -> datetime | None:
        """The latest time by OpenTrain's clock: a time at midnight may be a mere date."""
        return None if self.said is None else _latest(self.said)


def later(at: datetime, by: timedelta) -> datetime:
    """Return a time moved by `by`, within what a datetime can hold: dates from outside may be at its ends."""
    try:
        return at + by
    except OverflowError:
        return _LAST if by > timedelta() else _FIRST


def _true(said: datetime | None) -> datetime | None:
    return None if said is None or said < OLDEST else said


def _latest(said: datetime) -> datetime:
    at = said.astimezone(UTC)
    is_date = at.hour == at.minute == at.second == at.microsecond == 0
    return later(said, _DAY) if is_date else said


def moment(event: Event, *, contract: ContractFacts) -> Moment | None:
    """Return when an event happened; None if it has not, as far as the reads tell."""
    created_at, end_date = _true(contract.created_at), _true(contract.end_date)
    if created_at is not None and end_date is not None and _latest(end_date) < created_at:
        # One of the two cannot be true, and it is not known which.
        created_at = end_date = None
    if event is Event.STARTED:
        if contract.status not in {"active", "ended"} and contract.active_seen_at is contract.ended_seen_at is None:
            return None
        return _narrowed(since=None, read_at=contract.first_seen_at, said=created_at)
    if contract.ended_seen_at is None and contract.status != "ended":
        return None
    read_at = contract.ended_seen_at or contract.first_seen_at
    since = [contract.active_seen_at, None if created_at is None else later(created_at, -CLOCKS_APART)]
    # A contract that is active again was seen so later, and a creation in the future is no bound.
    return _narrowed(
        since=max((one for one in since if one is not None and one <= read_at), default=None),
        read_at=read_at,
        said=end_date,
    )


def _narrowed(*, since: datetime | None, read_at: datetime, said: datetime | None) -> Moment:
    until = later(read_at, READ_TAKES)
    if said is not None:
        first, last = later(said, -CLOCKS_APART), min(later(_latest(said), CLOCKS_APART), until)
        if first <= until and (since is None or since <= last):
            return Moment(first if since is None else max(first, since), last, read_at, said)
    return Moment(since, until, read_at, None)


def after_registration(happened: Moment, *, contract: ContractFacts, endpoint: EndpointFacts) -> Moment:
    """Return the moment, narrowed where OpenTrain made the contract after an endpoint whose log is whole.

    Both times are OpenTrain's, so that it is known also while clocks differ by more than the time since then.
    """
    began, endpoint_at = endpoint.log_began_at, _true(endpoint.created_at)
    started = moment(Event.STARTED, contract=contract)
    contract_at = None if started is None else started.said
    if not endpoint.is_logged_from_start or began is None or endpoint_at is None or contract_at is None:
        return happened
    if contract_at < endpoint_at or began > happened.until:
        return happened
    return replace(happened, since=max(happened.since or began, began))


def is_made_after(created_at: datetime | None, *, happened: Moment) -> bool:
    """Return whether OpenTrain made something only after the event had happened. Both times are OpenTrain's."""
    if created_at is None:
        return False
    if happened.latest_said is not None:
        return created_at > happened.latest_said
    return later(created_at, -CLOCKS_APART) > happened.until


@dataclass(frozen=True, slots=True)
class Links:
    """The links of a job when an event happened: those that existed, those that may have, and all others."""

    sure: frozenset[str]
    possible: frozenset[str]
    gone: frozenset[str] = frozenset()
    after: frozenset[str] = frozenset()

    @property
    def are_none(self) -> bool:
        """Whether no link that Redeliver knows of existed, though it knows of some."""
        return not self.possible and bool(self.gone or self.after)


def links(known: Iterable[LinkFacts], *, happened: Moment | None) -> Links:
    """Return the links at that moment; if the event has not happened, those that may still exist."""
    known = list(known)
    if happened is None:
        return Links(sure=frozenset(), possible=frozenset(one.id for one in known if one.gone_at is None))
    after = frozenset(one.id for one in known if is_made_after(_made_at(one), happened=happened))
    gone = frozenset(one.id for one in known if _is_gone_before(one, happened=happened))
    possible = frozenset(one.id for one in known) - after - gone
    sure = frozenset(one.id for one in known if one.id in possible and _existed(one, happened=happened))
    return Links(sure, possible, gone, after)


def _made_at(link: LinkFacts) -> datetime | None:
    """Return when OpenTrain made it; None if it was seen before that, so that the time cannot be true."""
    if link.created_at is None or later(link.created_at, -CLOCKS_APART) > link.first_seen_at:
        return None
    return link.created_at


def _is_gone_before(link: LinkFacts, *, happened: Moment) -> bool:
    if link.gone_at is None or happened.since is None:
        return False
    return later(link.gone_at, READ_TAKES) <= happened.since


def _existed(link: LinkFacts, *, happened: Moment) -> bool:
    if link.last_seen_at < happened.until:
        return False
    made_at = _made_at(link)
    if happened.said is not None and made_at is not None and made_at <= happened.said:
        return True
    return happened.since is not None and later(link.first_seen_at, READ_TAKES) <= happened.since


def holds(is_so: Callable[[Period], bool], *, endpoint: EndpointFacts, happened: Moment) -> bool:
    """Return whether the endpoint was surely so in all the time in which the event may have happened."""
    return covers(_surely(is_so, endpoint=endpoint), since=happened.since, until=happened.until)


def held_last(is_so: Callable[[Period], bool], *, endpoint: EndpointFacts, happened: Moment) -> bool:
    """Return whether the endpoint surely was so from the event's earliest time until it was last seen, a moment ago.

    A read shows what happened after the endpoint was last seen, so that `holds` is known only the next time.
    """
    periods, synced_at = _sorted(endpoint), endpoint.synced_at
    if not periods or not is_so(periods[-1]) or happened.since is None or synced_at is None:
        return False
    if later(synced_at, CLOCKS_APART) < happened.until:
        return False
    until = max(happened.since, min(happened.until, synced_at))
    return covers(_surely(is_so, endpoint=endpoint), since=happened.since, until=until)


def was_disabled(endpoint: EndpointFacts, *, happened: Moment) -> bool:
    """Return whether the event happened after OpenTrain's last auto-disable, and before anyone re-enabled the endpoint.

    The first is by OpenTrain's clock alone, so that it is known also in the first minutes of the disable.
    """
    disabled_at = _true(endpoint.auto_disabled_at)
    if happened.said is None or disabled_at is None or happened.said < disabled_at:
        return False
    ends = [one.until for one in _surely(lambda one: not one.is_active and not one.is_paused, endpoint=endpoint)]
    return bool(ends) and happened.until <= (ends[-1] or _LAST)


def inactive(endpoint: EndpointFacts) -> list[Interval]:
    """Return when the endpoint surely was not active."""
    return _surely(lambda one: not one.is_active, endpoint=endpoint)


def may_hold(is_so: Callable[[Period], bool], *, endpoint: EndpointFacts, since: datetime, until: datetime) -> bool:
    """Return whether the endpoint may have been so at some time between `since` and `until`."""
    periods = _sorted(endpoint)
    for place, one in enumerate(periods):
        began = one.not_before or (periods[place - 1].at if place else _FIRST)
        ended = later(periods[place + 1].at, READ_TAKES) if place + 1 < len(periods) else _LAST
        if is_so(one) and began <= until and since <= ended:
            return True
    return False


def covers(intervals: Iterable[Interval], *, since: datetime | None, until: datetime) -> bool:
    """Return whether the intervals together leave no gap between `since` and `until`."""
    if since is None:
        return False
    reached = since
    for one in sorted(intervals, key=lambda one: one.since):
        if one.since > reached:
            return False
        reached = max(reached, _LAST if one.until is None else one.until)
        if reached >= until:
            return True
    return False


def may_come_until(*, world: World, happened: Moment) -> datetime | None:
    """Return until when an event may come by itself that has not arrived; None: not known.

    OpenTrain attempts nothing while an endpoint is not active. What waited through a pause comes after it, and whether
    what happened while an endpoint was disabled comes later is not documented.
    """
    if world.schedule is None:
        return None
    allowed = retries_over(world.schedule)
    base = happened.read_at
    for halt in sorted(_halts(world, happened=happened), key=lambda one: one.since):
        if halt.until is not None and halt.since <= later(base, allowed) and _reaches(halt, happened.since):
            base = max(base, halt.until)
    return later(base, allowed)


def retries_over(schedule: Schedule) -> timedelta:
    """Return how long after an event the last of its attempts may come."""
    return schedule.retry_span + min(LONGEST_SLACK, schedule.retry_span)


def _halts(world: World, *, happened: Moment) -> list[Interval]:
    """Return the times in which OpenTrain may have held the event back, each as long as it may have been."""
    halts = [Interval(one.not_before or one.since, one.until) for one in world.not_active if one.until is not None]
    began: datetime | None = None
    is_pause = False
    for one in _sorted(world.endpoint):
        if not one.is_active:
            began = began or one.not_before or one.at
            is_pause = is_pause or one.is_paused
            continue
        if began is not None and (is_pause or (began <= happened.until and _reaches_at(one.at, happened.since))):
            halts.append(Interval(began, one.at))
        began, is_pause = None, False
    return halts


def _reaches(halt: Interval, since: datetime | None) -> bool:
    return halt.until is None or _reaches_at(halt.until, since)


def _reaches_at(end: datetime, since: datetime | None) -> bool:
    return since is None or end >= since


def _sorted(endpoint: EndpointFacts) -> list[Period]:
    return sorted(set(endpoint.periods), key=lambda one: (one.at, one.not_before or one.at, one.is_active))


def _surely(is_so: Callable[[Period], bool], *, endpoint: EndpointFacts) -> list[Interval]:
    periods = _sorted(endpoint)
    spans = []
    for place, one in enumerate(periods):
        if not is_so(one):
            continue
        following = periods[place + 1] if place + 1 < len(periods) else None
        if following is None:
            until = endpoint.synced_at or one.at
        elif following.not_before is not None and is_so(following):
            until = following.at
        else:
            until = following.not_before or one.at
        # The answer to a registration says how the endpoint was from the start; and it may have been so before.
        is_start = place == 0 and endpoint.is_logged_from_start
        was_so = place > 0 and one.not_before is not None and is_so(periods[place - 1])
        spans.append(Interval(one.at if is_start or was_so else later(one.at, READ_TAKES), until))
    return spans
