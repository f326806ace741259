"""How runs end, besides their deliveries: whether events of contracts are missing, for pages."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from dashboard.models import Run
from dashboard.presenters.lost_window import contracts_link
from dashboard.presenters.runs import RunEnding, RunRow
from dashboard.queries import lost_window
from dashboard.queries.lost_window import Span, Stopped
from dashboard.rules.lost_window import Lost, run_words
from dashboard.rules.run_endings import EndingFacts, ending


def with_endings(rows: Sequence[RunRow], *, every: timedelta, now: datetime) -> list[RunRow]:
    """Return the rows, each run that has ended with its ending. `every` is the interval of the reads of contracts."""
    found = run_endings([row.run for row in rows], every=every, now=now)
    return [replace(row, ending=found.get(row.run.pk)) for row in rows]


def run_endings(runs: Sequence[Run], *, every: timedelta, now: datetime) -> dict[int, RunEnding]:
    """Return, by the run's primary key, how each run ended; none for one that has not ended."""
    spans, stops = lost_window.spans_of(runs)
    facts = lost_window.ending_facts(spans, stops)
    endings = {}
    for one in spans:
        answer = ending(facts[one.key], every=every, now=now)
        control = contracts_link(Lost(run=one.key), facts[one.key].found, install_id=one.endpoint.install_id)
        changed = _changed(one, facts[one.key], stops[one.key], now=now)
        endings[one.key] = RunEnding(answer.kind, answer.label, answer.words, control, changed)
    return endings


def _changed(span: Span, facts: EndingFacts, stopped: Stopped, *, now: datetime) -> str:
    """Say what contracts did while nothing was sent, if deliveries stopped before the run and contracts are read."""
    is_known = facts.is_subscribed and facts.reads.read_at is not None and not facts.reads.lacks
    return run_words(span.since, facts.found, now=now) if is_known and stopped.stop is not None else ""
