"""Pure rules: what became of a contract's events at an endpoint, judged by contracts, links, the log and the history.

Facts and the time go in, frozen values come out: no rows, no clock, no settings. The order and the repetition of facts
make no difference.

"Missing" is said of an event only if Redeliver has the log of that time, and once no retry of it can still come. What
is not proven is "not known". A reason is given only if it holds for all the time in which the event may have happened.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from dashboard.rules.deliveries import Standing
from dashboard.rules.reconciliation_facts import (
    CLOCKS_APART,
    EXPECTED,
    WORST_FIRST,
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
)
from dashboard.rules.reconciliation_times import (
    Links,
    Moment,
    after_registration,
    covers,
    held_last,
    holds,
    inactive,
    is_made_after,
    later,
    links,
    may_come_until,
    may_hold,
    moment,
    retries_over,
    was_disabled,
)

__all__ = [
    "CLOCKS_APART",
    "Consequence",
    "ContractFacts",
    "EndpointFacts",
    "Event",
    "Interval",
    "Kind",
    "LinkFacts",
    "Period",
    "Reason",
    "Seen",
    "Verdict",
    "World",
    "consequence",
    "keep",
    "verdict",
]

_FROM_EVIDENCE = {
    Kind.TAKEN,
    Kind.TAKEN_IN_PART,
    Kind.RETRYING,
    Kind.REQUESTED,
    Kind.FAILED,
    Kind.OUT_OF_ORDER,
}


def verdict(*, event: Event, world: World, now: datetime) -> Verdict:
    """Return what became of an event of a contract at an endpoint."""
    happened = moment(event, contract=world.contract)
    if happened is not None:
        happened = after_registration(happened, contract=world.contract, endpoint=world.endpoint)
    then = links(world.links, happened=happened)
    seen = sorted((one for one in set(world.seen) if one.event is event), key=lambda one: one.first_received_at)
    named = {one.link_id for one in seen if one.link_id is not None}
    if not seen:
        found = _unseen(event, world=world, then=then, happened=happened, now=now)
    elif len(then.possible | named) <= 1:
        found = _of_deliveries(seen, world=world, now=now)
    else:
        found = _by_link(event, seen=seen, world=world, then=then, happened=happened, now=now)
    if event is Event.ENDED and found.kind in {Kind.TAKEN, Kind.TAKEN_IN_PART}:
        found = _in_order(found, ended=seen, world=world, is_one=len(then.possible | named) <= 1)
    return replace(found, happened_at=_happened_at(happened), is_log_behind=world.is_log_behind)


def _happened_at(happened: Moment | None) -> datetime | None:
    if happened is None:
        return None
    if happened.said is not None:
        return happened.said
    # Without OpenTrain's time: it is as good as known where two reads enclose it.
    return happened.read_at if happened.since is not None else None


def _taken_at(one: Seen) -> datetime | None:
    if one.taken_at is None and one.standing is Standing.DELIVERED:
        return one.last_attempt_at
    return one.taken_at


def _of_deliveries(seen: Sequence[Seen], *, world: World, now: datetime) -> Verdict:
    """Return the verdict on deliveries of one event, of which one is enough."""
    taken = [at for one in seen if (at := _taken_at(one)) is not None]
    if taken:
        return Verdict(Kind.TAKEN, at=min(taken))
    for kind, standing in ((Kind.RETRYING, Standing.RETRYING), (Kind.REQUESTED, Standing.REQUESTED_AGAIN)):
        waiting = [one for one in seen if one.standing is standing and not _is_over(one, world=world, now=now)]
        if waiting:
            until = max((one.due_by for one in waiting if one.due_by is not None), default=None)
            return Verdict(kind, at=max(one.last_attempt_at for one in waiting), until=until)
    return Verdict(Kind.FAILED, at=max(one.last_attempt_at for one in seen))


def _is_over(one: Seen, *, world: World, now: datetime) -> bool:
    """Return whether an attempt that was expected is late by all the time that retries can take."""
    if world.schedule is None:
        return False
    return now > later(max(one.last_attempt_at, one.due_by or one.last_attempt_at), retries_over(world.schedule))


def _by_link(
    event: Event, *, seen: Sequence[Seen], world: World, then: Links, happened: Moment | None, now: datetime
) -> Verdict:
    """Return the verdict on one event per link: the worst, with the links that it is true of."""
    named: dict[str, list[Seen]] = {}
    unnamed = [one for one in seen if one.link_id is None]
    for one in seen:
        if one.link_id is not None:
            named.setdefault(one.link_id, []).append(one)
    parts = [(link, _of_deliveries(group, world=world, now=now)) for link, group in named.items()]
    parts += [("", _of_deliveries([one], world=world, now=now)) for one in unnamed]
    lacking = then.sure - named.keys()
    if lacking and not unnamed:
        unseen = _unseen(event, world=world, then=then, happened=happened, now=now)
        parts += [(link, unseen) for link in lacking]
    for kind in (one for one in WORST_FIRST if one.is_finding):
        found = [(link, part) for link, part in parts if part.kind is kind]
        if found:
            of = tuple(sorted({link for link, _ in found if link}))
            last = max((part for _, part in found), key=lambda part: part.until or part.at or now)
            return replace(last, link_ids=() if len(found) == len(parts) else of)
    taken = [part.at for _, part in parts if part.kind is Kind.TAKEN and part.at is not None]
    if not taken:
        return parts[0][1]
    if then.possible - named.keys():
        return Verdict(Kind.TAKEN_IN_PART, at=min(taken))
    return Verdict(Kind.TAKEN, at=max(taken))


def _in_order(found: Verdict, *, ended: Sequence[Seen], world: World, is_one: bool) -> Verdict:
    """Return OUT_OF_ORDER if the handler took a start as the last thing, in place of the end that it had taken."""
    started = [one for one in set(world.seen) if one.event is Event.STARTED]
    groups: list[tuple[str, Sequence[Seen], Sequence[Seen]]] = []
    if not is_one:
        named = {one.link_id for one in ended if one.link_id is not None}
        groups += [(link, _of_link(started, link), _of_link(ended, link)) for link in sorted(named)]
    if is_one or any(one.link_id is None for one in (*started, *ended)):
        groups.append(("", started, ended))
    for link, starts, ends in groups:
        first_starts, last_ends = _taken(starts), _taken(ends)
        if not first_starts or not last_ends:
            continue
        # Of all links together it is known only if each start came later. Of one, the last counts: an end that was
        # handed over after the start puts it right.
        start = max(first_starts) if is_one or link else min(first_starts)
        if start > max(last_ends):
            return replace(
                found, kind=Kind.OUT_OF_ORDER, at=max(first_starts), link_ids=(link,) if link and not is_one else ()
            )
    return found


def _of_link(seen: Iterable[Seen], link_id: str) -> list[Seen]:
    return [one for one in seen if one.link_id == link_id]


def _taken(seen: Iterable[Seen]) -> list[datetime]:
    return [at for one in seen if (at := _taken_at(one)) is not None]


def _unseen(event: Event, *, world: World, then: Links, happened: Moment | None, now: datetime) -> Verdict:
    """Return the verdict on an event of which the log has nothing."""
    if happened is None:
        return _not_happened(event, contract=world.contract)
    until = may_come_until(world=world, happened=happened)
    at_once = _known_at_once(event, world=world, happened=happened, until=min(until or now, now))
    if at_once is not None:
        return at_once
    if until is None or now <= until:
        is_choice = held_last(lambda one: _is_not_subscribed(one, event), endpoint=world.endpoint, happened=happened)
        return Verdict(Kind.NOT_SEEN_YET, Reason.NOT_SUBSCRIBED if is_choice else Reason.NONE, until=until)
    if world.is_log_behind:
        return Verdict(Kind.NOT_SEEN_YET, Reason.NOT_IN_LOG_YET)
    reason = _reason(world, then=then, happened=happened, until=until)
    refused = [at for type_, at in world.refused_at if type_ is event and _is_in(at, happened=happened, until=until)]
    if reason is Reason.UNPROVEN and refused:
        return Verdict(Kind.REFUSED, at=max(refused))
    return Verdict(Kind.MISSING, reason)


def _not_happened(event: Event, *, contract: ContractFacts) -> Verdict:
    if event is Event.STARTED or contract.status != "active":
        return Verdict(Kind.NOT_KNOWN, Reason.STATUS_UNKNOWN)
    return Verdict(Kind.NOT_DUE) if contract.gone_at is None else Verdict(Kind.NOT_KNOWN, Reason.NOT_LISTED)


def _is_in(at: datetime, *, happened: Moment, until: datetime) -> bool:
    return at <= until and (happened.since is None or happened.since <= at)


def _known_at_once(event: Event, *, world: World, happened: Moment, until: datetime) -> Verdict | None:
    """Return a verdict that does not wait for retries: none is made, or Redeliver would not see them."""
    endpoint = world.endpoint
    if endpoint.deleted_at is not None and happened.since is not None and endpoint.deleted_at <= happened.since:
        return Verdict(Kind.NOT_DUE)
    if is_made_after(endpoint.created_at, happened=happened):
        return Verdict(Kind.MISSING, Reason.REGISTERED_AFTER)
    lacks = _lacks_log(world, happened=happened, until=until)
    if lacks is not None:
        return Verdict(Kind.NOT_KNOWN, lacks)
    if holds(lambda one: _is_not_subscribed(one, event), endpoint=endpoint, happened=happened):
        return Verdict(Kind.MISSING, Reason.NOT_SUBSCRIBED)
    return None


def _lacks_log(world: World, *, happened: Moment, until: datetime) -> Reason | None:
    """Return why Redeliver does not have the log of the time in which the event may have come; None if it has."""
    endpoint = world.endpoint
    if endpoint.log_began_at is None:
        return Reason.NO_LOG
    began = max(endpoint.log_began_at, world.contract.known_from or endpoint.log_began_at)
    if happened.since is None or happened.since < began:
        return Reason.BEFORE_LOG
    if may_hold(lambda one: one.is_received is False, endpoint=endpoint, since=happened.since, until=until):
        return Reason.OUT_OF_PATH
    return None


def _is_not_subscribed(period: Period, event: Event) -> bool:
    return period.event_types is not None and event.value not in period.event_types


def _reason(world: World, *, then: Links, happened: Moment, until: datetime) -> Reason:
    """Return why an event is missing, as far as it is proven."""
    endpoint = world.endpoint
    if covers(world.not_active, since=happened.since, until=happened.until):
        return Reason.INSTALL_NOT_ACTIVE
    if then.are_none:
        return Reason.NO_LINK if then.gone else Reason.LINKED_AFTER
    if holds(lambda one: one.is_paused and not one.is_active, endpoint=endpoint, happened=happened):
        return Reason.PAUSED
    is_inactive = holds(lambda one: not one.is_active, endpoint=endpoint, happened=happened)
    if is_inactive or was_disabled(endpoint, happened=happened):
        return Reason.DISABLED
    # OpenTrain tries for hours. That no receiver ran says why only if none ran whenever an attempt was made.
    if covers([*world.receiver_away, *inactive(endpoint)], since=happened.since, until=until):
        return Reason.RECEIVER_AWAY
    return Reason.UNPROVEN


def keep(before: Verdict | None, now: Verdict) -> Verdict:
    """Return the verdict in place of the one before, which rested on facts that may be deleted by now.

    What was proven stays until something arrives: a missing event with its reason, a refusal, and what the log said.
    """
    if before is None or now.kind in _FROM_EVIDENCE or now.kind is Kind.NOT_DUE:
        return now
    if before.kind in _FROM_EVIDENCE and now.link_ids:
        return now  # it is of another of several links
    is_learned = before.reason is Reason.UNPROVEN and now.kind in {Kind.MISSING, Kind.REFUSED}
    if is_learned or before.kind not in _FROM_EVIDENCE | {Kind.REFUSED, Kind.MISSING}:
        return now
    return replace(
        before,
        happened_at=now.happened_at or before.happened_at,
        link_ids=now.link_ids or before.link_ids,
        is_log_behind=now.is_log_behind,
    )


def consequence(
    *, event: Event, contract: ContractFacts, started: Verdict, ended: Verdict, predecessor_took_start: bool = False
) -> Consequence:
    """Return what it means for people that an endpoint did not take an event, from the verdicts on both events.

    A start that provably never was taken needs no end. `predecessor_took_start` is whether an endpoint of the install
    that is deleted by now took it: its handler may be the same one.
    """
    if event is Event.STARTED:
        is_active = contract.status == "active" and ended.kind is Kind.NOT_DUE
        return Consequence.PROVISION if is_active and _is_trouble(started) else Consequence.NONE
    if not _is_trouble(ended) or _is_active_again(contract):
        return Consequence.NONE
    never = started.kind in {Kind.MISSING, Kind.REFUSED} and not started.link_ids and not predecessor_took_start
    return Consequence.NONE if never else Consequence.ACCESS


def _is_trouble(one: Verdict) -> bool:
    return one.kind.is_finding and one.reason not in EXPECTED


def _is_active_again(contract: ContractFacts) -> bool:
    return (
        contract.status == "active"
        and contract.ended_seen_at is not None
        and contract.active_seen_at is not None
        and contract.active_seen_at > contract.ended_seen_at
    )
