"""The deliveries of a run: chosen, requested one at a time, and followed until each has an outcome.

A delivery is `asking` from before the call to OpenTrain until its response is stored. If another worker finds it in
this state, Redeliver stopped during the call, and it is unknown whether OpenTrain accepted it.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from dashboard.actions import endpoints
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Delivery, Run, RunItem
from dashboard.queries.overtaken import overtaken
from dashboard.queries.requeued import had_failed
from dashboard.rules.causes import describe_cause
from dashboard.rules.deliveries import overdue_after
from dashboard.rules.event_order import Other, overtaken_words, waits
from dashboard.rules.outside_texts import cut
from dashboard.rules.runs import LAST, TRIAL, LeftOut, Tally
from dashboard.rules.schedule import Schedule

State = RunItem.State
INTERRUPTED = "Redeliver stopped while requesting it: check before you request it again"
NOT_THERE = "OpenTrain has no such delivery on this endpoint"
NOT_REQUEUED = "OpenTrain answered that it requeued nothing"
GONE = "its record was deleted from Redeliver before it was requested"
GONE_SINCE = "its record was deleted from Redeliver, so its outcome is unknown here"
WORDS_CHARS = 300
_OPEN = (State.REQUESTED, State.UNKNOWN, State.NOT_SEEN, State.REFUSED)
"""States that an attempt may still settle."""
_SETTLED = (State.DELIVERED, State.REFUSED, State.LEFT_OUT)
"""States after which no attempt that this run requested comes any more."""


def add(
    *,
    run: Run,
    deliveries: Iterable[Delivery],
    left_out: Iterable[tuple[Delivery, LeftOut]] = (),
    overtaken_by: Mapping[int, Other] | None = None,
) -> None:
    """Create an item for each delivery, in the given order, and for each that is left out, with the reason.

    A delivery waits for the one before it of the same resource, unless its type never waits. `overtaken_by` has what
    has overtaken a delivery, by the delivery's primary key.
    """
    start, by = run.items.count(), overtaken_by or {}
    items, last = [], dict[str, int]()
    for position, one in enumerate(deliveries, start):
        after = last.get(one.resource_id) if waits(one.event_type) else None
        items.append(_item(run, position, one, after=after, is_overtaken=one.pk in by))
        if one.resource_id:
            last[one.resource_id] = position
    for position, (one, reason) in enumerate(left_out, start + len(items)):
        is_overtaken = reason is LeftOut.OVERTAKEN
        words = cut(overtaken_words(one.event_type, by[one.pk]), most=WORDS_CHARS) if is_overtaken else reason.words
        items.append(_item(run, position, one, state=State.LEFT_OUT, words=words, is_overtaken=is_overtaken))
    RunItem.objects.bulk_create(items, batch_size=1000)


def claim_next(*, run: Run, now: datetime) -> RunItem | None:
    """Mark the next item as `asking` and return it; None if none may be requested now or the run no longer runs.

    Those that wait for an earlier event of their resource are passed over. One that a later event has overtaken since
    the run was started is left out, unless a person chose it all the same.
    """
    ready = run.items.filter(state=State.WAITING, after=None).order_by("position")
    while (item := ready.select_related("delivery").defer("delivery__body").first()) is not None:
        mine = RunItem.objects.filter(pk=item.pk, state=State.WAITING, run__state=Run.State.RUNNING)
        by = _overtaken_since(item)
        if by is None:
            claimed = mine.update(state=State.ASKING, asked_at=now)
            item.state, item.asked_at = State.ASKING, now
            return item if claimed else None
        words = cut(overtaken_words(item.event_type, by), most=WORDS_CHARS)
        if not mine.update(state=State.LEFT_OUT, is_overtaken=True, words=words, settled_at=now):
            return None
        run.items.filter(after=item.position).update(after=None)
    return None


def has_waiting(*, run: Run) -> bool:
    """Return whether items are not requested yet, be it that they wait for earlier events."""
    return run.items.filter(state=State.WAITING).exists()


def release(*, run: Run, now: datetime, schedule: Schedule) -> None:
    """Let the items be requested whose earlier event of the same resource is settled.

    One that failed again, or was not seen, is settled once OpenTrain does not retry it any more: until then it may
    still be taken, after the later one.
    """
    retried_since = now - schedule.retry_span
    is_over = Q(asked_at=None) | Q(asked_at__lt=retried_since)
    settled = Q(state__in=_SETTLED) | Q(is_over, state__in=RunItem.MAY_COME)
    before = RunItem.objects.filter(settled, run=OuterRef("run"), position=OuterRef("after"))
    held = run.items.filter(state=State.WAITING, after__isnull=False)
    held.filter(Exists(before)).update(after=None)


def ask(*, run: Run, item: RunItem, clock: Callable[[], datetime]) -> Outcome | None:
    """Request a claimed delivery from OpenTrain, and record the outcome.

    Returns None if there is nothing to request, because the record of its delivery is gone.
    """
    if item.delivery is None or item.asked_at is None or run.actor is None:
        _write(item, State.REFUSED, GONE, now=clock())
        return None
    item.delivery.endpoint = run.endpoint
    outcome = endpoints.redeliver_one(
        actor=run.actor,
        delivery=item.delivery,
        asked_at=item.asked_at,
        clock=clock,
        operation=uuid.uuid4(),
        run=run,
    )
    if outcome.kind is OutcomeKind.DONE:
        _write(item, State.REQUESTED, "", now=clock())
    elif outcome.requeued is not None:
        _write(item, State.REFUSED, NOT_REQUEUED, now=clock())
    elif outcome.kind is OutcomeKind.UNKNOWN:
        _write(item, State.UNKNOWN, outcome.words, now=clock())
    else:  # nothing changed: it can be requested again
        _write(item, State.WAITING, "", now=clock())
    return outcome


def refuse(*, item: RunItem, now: datetime, words: str) -> None:
    """Record that OpenTrain did not take the request for the delivery, and why. The run continues with the others."""
    _write(item, State.REFUSED, words, now=now)


def mark_interrupted(*, run: Run, now: datetime) -> int:
    """Mark items that a killed worker left as `asking`, and return their number. The caller holds the run's lock."""
    interrupted = run.items.filter(state=State.ASKING)
    return interrupted.update(state=State.UNKNOWN, words=INTERRUPTED, settled_at=now)


def request_waiting(*, run: Run, at: datetime, now: datetime) -> int:
    """Mark the items as requested that one call at `at` requeued, which is every known failed delivery.

    Also those that OpenTrain refused one by one. Returns their number. Waiting items whose delivery was not failed at
    that time any more are left out.
    """
    waiting, refused = run.items.filter(state=State.WAITING), run.items.filter(state=State.REFUSED)
    requeued = Q(delivery__requested_at__gte=at) | Q(delivery__last_attempt_at__gte=at)
    changes = {"state": State.REQUESTED, "asked_at": at, "words": "", "settled_at": None}
    count = (waiting | refused).filter(requeued).update(**changes)
    waiting.filter(delivery=None).update(state=State.UNKNOWN, words=GONE_SINCE, settled_at=now)
    waiting.update(state=State.LEFT_OUT, words=LeftOut.NOT_FAILED.words, settled_at=now)
    return count


def refuse_waiting(*, run: Run, at: datetime, now: datetime) -> int:
    """Record for all waiting items that a call at `at` for all failed deliveries requeued none; return their number."""
    waiting = run.items.filter(state=State.WAITING)
    return waiting.update(state=State.REFUSED, asked_at=at, words=NOT_REQUEUED, settled_at=now)


def of_one_call(*, run: Run) -> QuerySet[RunItem]:
    """Return the items that a call for all failed deliveries requeued, as far as it is known."""
    return run.items.filter(asked_at=run.others_asked_at).exclude(state=State.UNKNOWN)


def doubt_waiting(*, run: Run, at: datetime, words: str) -> int:
    """Mark all waiting items as unknown: one call requested them, and it is not known which of them were requeued."""
    waiting = run.items.filter(state=State.WAITING)
    return waiting.update(state=State.UNKNOWN, asked_at=at, words=cut(words, most=WORDS_CHARS))


def adopt(*, run: Run, since: datetime, most: int, schedule: Schedule) -> None:
    """Add deliveries that a call for all failed ones brought and that the log did not have as failed.

    Their first attempt here is the redelivery; the age of their event distinguishes them from new deliveries. One that
    was in the log began a new round since.
    """
    failed = had_failed(endpoint=run.endpoint, asked_at=since, schedule=schedule)
    asked_for = Q(requested_at=since) | Q(failed, first_received_at__gte=since)
    asked_for |= Q(first_received_at__lt=since, last_attempt_at__gte=since, attempts_in_round=1)
    known = run.items.values("opentrain_id")
    found = run.endpoint.deliveries.filter(asked_for).exclude(opentrain_id__in=known).defer("body")
    room = most - of_one_call(run=run).count()
    new = list(found.order_by("id")[: max(room, 0)])
    if new:
        add(run=run, deliveries=new)
        ids = [one.opentrain_id for one in new]
        run.items.filter(opentrain_id__in=ids).update(state=State.REQUESTED, asked_at=since)


def settle(*, run: Run, now: datetime, schedule: Schedule) -> None:
    """Record the outcomes of requested deliveries from the log, and mark those that were not seen in time.

    An attempt that the handler took fails after all if the answer did not reach OpenTrain, which the log knows later.
    """
    attempted = run.items.filter(delivery__last_attempt_at__gte=F("asked_at"))
    failed = Q(state=State.DELIVERED, delivery__last_ok=False, delivery__last_attempt_at=F("settled_at"))
    news = attempted.filter(Q(state__in=_OPEN) | Q(state=State.FAILED_AGAIN, delivery__last_ok=True) | failed)
    settled = [_settled(item) for item in news.select_related("delivery").defer("delivery__body")]
    RunItem.objects.bulk_update(settled, ["state", "settled_at", "words"], batch_size=500)
    lapsed = now - (overdue_after(due=now, schedule=schedule) - now)
    late = run.items.filter(state=State.REQUESTED, asked_at__lt=lapsed)
    late.update(state=State.NOT_SEEN, settled_at=now, words="it did not reach Redeliver in time")
    release(run=run, now=now, schedule=schedule)


def count(*, run: Run) -> Tally:
    """Count the run's deliveries by state, and store the counts with the run for the pages."""
    rows = run.items.order_by().values_list("state").annotate(count=Count("id"))
    tally = Tally(**dict(rows))
    run.counts = asdict(tally)
    Run.objects.filter(pk=run.pk).update(counts=run.counts)
    return tally


def first_and_last(*, run: Run) -> tuple[list[bool], list[bool]]:
    """Return the first and the last outcomes so far; True means delivered."""
    known: QuerySet[RunItem] = run.items.filter(state__in=(State.DELIVERED, State.FAILED_AGAIN))
    first = known.order_by("settled_at", "position").values_list("state", flat=True)[:TRIAL]
    last = known.order_by("-settled_at", "-position").values_list("state", flat=True)[:LAST]
    return [state == State.DELIVERED for state in first], [state == State.DELIVERED for state in last]


def _overtaken_since(item: RunItem) -> Other | None:
    if item.is_overtaken or item.delivery is None:
        return None
    return overtaken(deliveries=[item.delivery]).get(item.delivery.pk)


def _item(
    run: Run,
    position: int,
    delivery: Delivery,
    *,
    state: str = State.WAITING,
    words: str = "",
    after: int | None = None,
    is_overtaken: bool = False,
) -> RunItem:
    return RunItem(
        run=run,
        position=position,
        delivery=delivery,
        opentrain_id=delivery.opentrain_id,
        event_type=delivery.event_type,
        state=state,
        words=words,
        after=after,
        is_overtaken=is_overtaken,
    )


def _settled(item: RunItem) -> RunItem:
    delivery = item.delivery
    if delivery is None:
        return item
    item.state = State.DELIVERED if delivery.last_ok else State.FAILED_AGAIN
    item.words = describe_cause(cause=delivery.last_cause, status=delivery.last_status)
    item.settled_at = delivery.last_attempt_at
    return item


def _write(item: RunItem, state: str, words: str, *, now: datetime) -> None:
    item.state, item.words = state, cut(words, most=WORDS_CHARS)
    ended = state not in {State.WAITING, State.REQUESTED}
    item.settled_at = now if ended else None
    item.asked_at = None if state == State.WAITING else item.asked_at
    item.save(update_fields=["state", "words", "settled_at", "asked_at"])
