"""How runs end, besides their deliveries: whether events of contracts are missing, for pages."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from dashboard.models import Run
from dashboard.presenters.lost_window import contracts_link
from dashboard.presenters.runs import RunEnding, RunRow
from dashboard.queries import lost_window
from dashboard.rules.lost_window import Lost
from dashboard.rules.reconciliation import Event
from dashboard.rules.run_endings import EndingFacts, ending


def with_endings(rows: Sequence[RunRow], *, every: timedelta, now: datetime) -> list[RunRow]:
    """Return the rows, each run that has ended with its ending. `every` is the interval of the reads of contracts."""
    found = run_endings([row.run for row in rows], every=every, now=now)
    return [replace(row, ending=found.get(row.run.pk)) for row in rows]


def run_endings(runs: Sequence[Run], *, every: timedelta, now: datetime) -> dict[int, RunEnding]:
    """Return, by the run's primary key, how each run ended; none for one that has not ended."""
    spans, stops = lost_window.spans_of(runs)
    found, reads = lost_window.found_in(spans), lost_window.reads_of({one.endpoint.install_id for one in spans})
    endings = {}
    for one in spans:
        stopped, endpoint = stops[one.key], one.endpoint
        facts = EndingFacts(
            since=one.since,
            until=one.until,
            found=found[one.key],
            reads=reads[endpoint.install_id],
            is_subscribed=bool({event.value for event in Event}.intersection(endpoint.event_types)),
            is_history_known=stopped.is_known and (stopped.stop is None or stopped.stop.is_begun_known),
        )
        answer = ending(facts, every=every, now=now)
        control = contracts_link(Lost(run=one.key), found[one.key], install_id=endpoint.install_id)
        endings[one.key] = RunEnding(answer.kind, answer.label, answer.words, control)
    return endings
