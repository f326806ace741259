"""How runs end, besides their deliveries: whether events of contracts are missing, for pages."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from dashboard.models import Run
from dashboard.presenters.lost_window import contracts_link
from dashboard.presenters.runs import RunEnding, RunRow
from dashboard.queries import lost_window
from dashboard.rules.lost_window import Lost
from dashboard.rules.run_endings import ending


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
        endings[one.key] = RunEnding(answer.kind, answer.label, answer.words, control)
    return endings
