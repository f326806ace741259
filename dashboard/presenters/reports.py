"""Reports of runs, deliveries and endpoints, from the rows. The rules have the words (rules/*_reports.py).

No report depends on who reads it, so that one can be sent on: callers decide who may see the row.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Count
from django.urls import reverse

from dashboard.actions.endpoints import BY_RUNS
from dashboard.actions.runs import commands
from dashboard.config.schedule import reconcile_every
from dashboard.logs import redact_for_readers
from dashboard.models import Attempt, AuditEntry, Delivery, Endpoint, Install, Run, RunItem
from dashboard.models.endpoints import DISABLED
from dashboard.presenters import overtaken
from dashboard.presenters.causes import CauseRow, cause_rows
from dashboard.presenters.delivery_page import answered_words, cause_words, handler_words
from dashboard.presenters.endpoints import OpenAlert, open_alerts_of, told_words
from dashboard.presenters.may_be_missing import MissingWindow, window_after, windows_of
from dashboard.presenters.rows import health_of, state_of
from dashboard.presenters.run_endings import with_endings
from dashboard.presenters.runs import OF_BULK, TITLES, RunRow, newest_run, run_row
from dashboard.queries import lost_window, receivers
from dashboard.queries.delivery_lists import DeliveryCriteria, Scope
from dashboard.queries.reports import entries_of_delivery, entries_of_endpoint, entries_of_run, failed_before
from dashboard.rules.causes import advise, describe_cause
from dashboard.rules.deliveries import Standing
from dashboard.rules.delivery_reports import AttemptFacts, DeliveryReportFacts, delivery_report
from dashboard.rules.durations import absolute_times, exactly
from dashboard.rules.endpoint_reports import CauseFacts, EndpointFacts, endpoint_report
from dashboard.rules.receivers import lag_words
from dashboard.rules.reports import Report, Subject, fitting
from dashboard.rules.run_reports import LISTED, Deed, ItemFacts, RunFacts, StepFacts, run_report
from dashboard.rules.runs import Step
from dashboard.rules.times_in_words import retell

MOST_WINDOWS = 3
"""Most times of which events may be missing in the report of an endpoint."""
MOST_ATTEMPTS = 50
"""Most attempts of a delivery in its report, the newest ones."""
_DID = {commands.PAUSE: "paused the run", commands.RESUME: "resumed the run", commands.STOP: "stopped the run"}
_WAITING = (Standing.RETRYING, Standing.REQUESTED_AGAIN)
_WITHOUT_OUTCOME = (RunItem.State.WAITING, RunItem.State.ASKING, RunItem.State.REQUESTED)
_FINE = (RunItem.State.DELIVERED, RunItem.State.LEFT_OUT)


@dataclass(frozen=True, slots=True)
class ItemRow:
    """A delivery of a run: `at` is when its outcome was seen (`is_settled`), else when it was requested, or None."""

    delivery_id: str
    event_type: str
    outcome: str
    at: datetime | None
    is_settled: bool


@absolute_times()
def report_of_run(run: Run, *, now: datetime) -> Report:
    """Return the report of a run, loaded with its endpoint and install."""
    [row] = with_endings([run_row(run)], every=reconcile_every(), now=now)
    window = window_after(run, None if row.ending is None else row.ending.kind, now=now)
    endpoint, chosen = run.endpoint, retell(run.chosen, written=run.created_at, now=now)
    others = run.items.exclude(state__in=_FINE if run.ended_at else (*_FINE, *_WITHOUT_OUTCOME))
    facts = RunFacts(
        number=run.pk,
        kind=run.get_kind_display(),
        state=run.state,
        subject=_subject(endpoint),
        address=_address("run-detail", run.pk),
        file=file_of_run(run),
        chosen=f"{chosen}, in one call" if run.one_call else chosen,
        note=run.note,
        started_by=run.actor_name,
        started_at=run.created_at,
        ended_at=run.ended_at,
        tally=row.tally,
        cause=_failed_before(run),
        stopped=_stopped(run, now=now),
        why=run.why,
        quoted=run.quoted,
        request_id=run.request_id,
        steps=_steps(run),
        deeds=[Deed(one.at, one.actor_name, _DID[one.action]) for one in entries_of_run(run, actions=_DID, until=now)],
        others=[_item(one) for one in others.order_by("position")[:LISTED]],
        others_count=others.count(),
        ending=_ending(row),
        lost=() if window is None else _window(window),
        is_missing=row.is_missing,
        limits=_limits(endpoint, now=now),
    )
    return run_report(facts, now=now).told(hide=redact_for_readers)


@absolute_times()
def report_of_delivery(delivery: Delivery, *, now: datetime) -> Report:
    """Return the report of a delivery, loaded with its endpoint and install."""
    endpoint = delivery.endpoint
    state = state_of(delivery=delivery, endpoint=endpoint, now=now)
    attempts = list(delivery.attempts.order_by("-received_at", "-number")[:MOST_ATTEMPTS])[::-1]
    why_overtaken = "" if delivery.last_ok else overtaken.why(delivery, now=now)
    facts = DeliveryReportFacts(
        delivery_id=delivery.opentrain_id,
        event_type=delivery.event_type,
        event_id=delivery.event_id,
        resource_id=delivery.resource_id,
        subject=_subject(endpoint),
        address=_address("delivery-detail", delivery.pk),
        kind=state.kind,
        first_received_at=delivery.first_received_at,
        last_attempt_at=delivery.last_attempt_at,
        attempt_count=delivery.attempt_count,
        happened_at=delivery.event_created_at,
        requested_at=delivery.requested_at,
        abandoned_at=delivery.abandoned_at,
        due_at=state.next_due,
        is_stopped=endpoint.status == DISABLED,
        why_not_again=_why_not_again(endpoint),
        cause=_cause_of(attempts),
        attempts=[AttemptFacts(one.received_at, _attempt(one)) for one in attempts],
        deeds=[_deed(one, now=now) for one in entries_of_delivery(delivery)],
        limits=(*_limits(endpoint, now=now), why_overtaken),
    )
    return delivery_report(facts, now=now).told(hide=redact_for_readers)


@absolute_times()
def report_of_endpoint(endpoint: Endpoint, *, now: datetime) -> Report:
    """Return the report of an endpoint from `with_log` and `with_open_alerts`, loaded with its install."""
    windows = windows_of(endpoint, now=now)
    reached: int | None = getattr(endpoint, "reached")  # noqa: B009 - annotated; a missing one is a mistake
    causes = cause_rows(scope=Scope(endpoint=endpoint.pk), criteria=DeliveryCriteria(), times={})
    alerts = () if endpoint.deleted_at else open_alerts_of(endpoint)
    waiting = dict(
        endpoint.deliveries.filter(standing__in=_WAITING).order_by().values_list("standing").annotate(Count("pk"))
    )
    facts = EndpointFacts(
        subject=_subject(endpoint),
        address=_address("endpoint-detail", endpoint.pk),
        health=health_of(endpoint),
        consecutive_failures=endpoint.consecutive_failures,
        failed=endpoint.deliveries.failed().count() if endpoint.is_logged else None,
        retrying=waiting.get(Standing.RETRYING, 0),
        requested=waiting.get(Standing.REQUESTED_AGAIN, 0),
        event_types=endpoint.event_types,
        disabled_at=None if endpoint.install.is_disconnected else endpoint.disabled_at,
        deleted_at=endpoint.deleted_at,
        synced_at=endpoint.snapshot_at,
        reason=endpoint.disabled_reason,
        causes=[_cause(one) for one in causes],
        alerts=[(one.opened_at, _alert(one, now=now)) for one in alerts],
        deeds=[_deed(one, now=now) for one in entries_of_endpoint(endpoint, without=BY_RUNS)],
        outcome=_last_run(endpoint, now=now),
        lost=_windows(windows),
        limits=(told_words(endpoint, reached=reached), *_limits(endpoint, now=now)),
    )
    return endpoint_report(facts, now=now).told(hide=redact_for_readers)


def item_rows(items: Iterable[RunItem]) -> list[ItemRow]:
    """Return the deliveries of a run as a report tells them."""
    return [
        ItemRow(
            delivery_id=fitting(item.opentrain_id, hide=redact_for_readers),
            event_type=fitting(item.event_type, hide=redact_for_readers),
            outcome=fitting(_outcome(item), hide=redact_for_readers),
            at=item.settled_at or item.asked_at,
            is_settled=item.settled_at is not None,
        )
        for item in items
    ]


def _outcome(item: RunItem) -> str:
    """Return the name of the state and its words, which may begin with the name."""
    label, words = item.get_state_display(), item.words
    if words.lower().startswith(label.lower()):
        return f"{words[:1].upper()}{words[1:]}"
    return f"{label}: {words}" if words else label


def _subject(endpoint: Endpoint) -> Subject:
    return Subject(
        customer=endpoint.install.name,
        install_id=endpoint.install.opentrain_id,
        endpoint=endpoint.title,
        url=endpoint.known_as,
        endpoint_id=endpoint.opentrain_id or "",
    )


def file_of_run(run: Run) -> str:
    """Return the whole URL of the file with all deliveries of a run, for readers of paper."""
    return f"{_address('run-export', run.pk)}?format=csv"


def _address(name: str, pk: int) -> str:
    return f"{settings.PUBLIC_URL}{reverse(name, args=[pk])}"


def _limits(endpoint: Endpoint, *, now: datetime) -> tuple[str, ...]:
    """Return what may keep the log from telling all, in words."""
    lag = lag_words(receivers.lagging(now=now), now=now) if endpoint.is_logged else ""
    stale = endpoint.install.last_error
    synced = f"Redeliver could not read this install from OpenTrain last time: {stale}" if stale else ""
    return tuple(words for words in (lag, synced, _left(endpoint.install)) if words)


def _left(install: Install) -> str:
    """Say that the install is disconnected, since when, and what follows; empty if it is not."""
    if install.disconnected_at is None:
        return ""
    at = exactly(install.disconnected_at)
    return (
        f"{install.disconnected_by_name} disconnected this install from Redeliver at {at}: "
        "nothing is known of its endpoints since then."
    )


def _why_not_again(endpoint: Endpoint) -> str:
    """Say why no delivery of the endpoint can be redelivered from here; empty if one can."""
    if endpoint.deleted_at is not None:
        return "OpenTrain no longer has its endpoint."
    return "its install is disconnected from Redeliver." if endpoint.install.is_disconnected else ""


def _failed_before(run: Run) -> str:
    """Say how the last attempts before the run ended."""
    found, unknown, has_more = failed_before(run)
    said = [
        f"{_deliveries(count)}: {describe_cause(cause=cause, status=status)}"
        for (cause, status), count in found.most_common()
    ]
    if unknown and said:
        said.append(f"{_deliveries(unknown)}: not known any more")
    of = f", of its first {_deliveries(found.total() + unknown)}" if has_more else ""
    return f"The last attempts before the run{of}: {'; '.join(said)}." if said else ""


def _deliveries(count: int) -> str:
    return "1 delivery" if count == 1 else f"{count:,} deliveries"


def _stopped(run: Run, *, now: datetime) -> str:
    """Say when OpenTrain sent nothing before and during the run; empty if it is not known to have stopped."""
    stops = lost_window.spans_of([run])[1]
    stop = stops[run.pk].stop if run.pk in stops else lost_window.stop_of(run.endpoint, now=now)
    if stop is None:
        return ""
    what = "paused" if stop.is_paused else "disabled"
    last = "last seen active" if stop.is_begun_known else "first seen so"
    again = "it still is" if stop.until is None else f"active again at {exactly(stop.until)}"
    return f"The endpoint was {what}: {last} at {exactly(stop.since)}, {again}."


def _steps(run: Run) -> list[StepFacts]:
    titles = OF_BULK if run.kind == Run.Kind.BULK else TITLES
    return [StepFacts(titles[Step(one.name)], one.began_at, one.ended_at, one.ok, one.words) for one in run.steps.all()]


def _item(item: RunItem) -> ItemFacts:
    return ItemFacts(item.opentrain_id, item.event_type, item.get_state_display(), item.words, item.settled_at)


def _ending(row: RunRow) -> str:
    return "" if row.ending is None else f"{row.ending.words} {row.ending.changed}".strip()


def _windows(windows: list[MissingWindow]) -> list[str]:
    """Say of which times events may be missing, newest first; of more than MOST_WINDOWS, how many there are more."""
    said = [line for window in windows[:MOST_WINDOWS] for line in _window(window)]
    left = len(windows) - MOST_WINDOWS
    times = "1 earlier time is" if left == 1 else f"{left} earlier times are"
    return [*said, f"{times} on the endpoint's page."] if left > 0 else said


def _window(window: MissingWindow) -> list[str]:
    """Say of which time events may be missing, who checked it, and what the install's other endpoints received then."""
    others = [f"{row.title}: {', '.join(count.label for count in row.counts)}" for row in window.siblings]
    seen = f"{window.seen} {'; '.join(others)}. {window.absent}" if others else window.remark
    return [f"{window.words} {window.why}", *filter(None, [window.checked]), *window.contracts, seen]


def _cause_of(attempts: list[Attempt]) -> str:
    """Say why attempts failed, most frequent first, and what to do about the last failure."""
    failed = [one for one in attempts if not one.ok]
    if not failed:
        return ""
    said = [
        f"{'1 attempt' if count == 1 else f'{count} attempts'}: {words}"
        for words, count in Counter(map(cause_words, failed)).most_common()
    ]
    last = failed[-1]
    advice = advise(cause=last.cause, status=last.handler_status or last.answered_status)
    return f"{'; '.join(said)}. {advice if last is attempts[-1] else ''}".strip()


def _attempt(attempt: Attempt) -> str:
    """Say how an attempt ended, and what the handler and OpenTrain got."""
    if attempt.source == Attempt.Source.OBSERVED:
        return f"{cause_words(attempt)}, as the handler reports."
    said = answered_words(attempt)
    got = f"The handler {handler_words(attempt)}" if attempt.handler_url else f"{said[0].upper()}{said[1:]}"
    return f"{cause_words(attempt)}, in {attempt.latency_ms} ms. {got}"


def _alert(alert: OpenAlert, *, now: datetime) -> str:
    return f"{alert.kind.label}: {retell(alert.words, written=alert.opened_at, now=now)}"


def _deed(entry: AuditEntry, *, now: datetime) -> tuple[datetime, str]:
    is_open = entry.phase == AuditEntry.Phase.REQUESTED
    answer = "no response recorded yet." if is_open else retell(entry.words, written=entry.at, now=now)
    return entry.at, f"{entry.actor_name}: {entry.action}. {answer}"


def _cause(row: CauseRow) -> CauseFacts:
    return CauseFacts(f"{row.number} {row.what}: {row.words}", row.first_at, row.last_at, row.advice)


def _last_run(endpoint: Endpoint, *, now: datetime) -> str:
    """Say what the newest run came to, if it is active or ended recently."""
    row = newest_run(endpoint, now=now)
    if row is None:
        return ""
    [row] = with_endings([row], every=reconcile_every(), now=now)
    run = row.run
    return f"{run.get_kind_display()} {run.pk}, started by {run.actor_name} at {exactly(run.created_at)}: {row.line}"
