"""The result of a run in one sentence, and its report. Pure: facts go in, words come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.rules.durations import exactly, span
from dashboard.rules.reports import Fact, Report, Section, Subject, at, section
from dashboard.rules.runs import Tally, is_whole

DONE, PAUSED = "done", "paused"
LABELS = {"running": "Running", PAUSED: "Paused", "stopped": "Stopped", "cancelled": "Cancelled", DONE: "Done"}
"""Each state of a run, as its row stores it, and its name."""
PARTLY_DONE = "Partly done"
"""The name of a run that is done, although not all is known to be delivered."""
LISTED = 20
"""Most deliveries that a report names; the others are counted."""


@dataclass(frozen=True, slots=True)
class StepFacts:
    """A step that has begun. `words` is its outcome; `ended_at` is None while it lasts."""

    title: str
    began_at: datetime
    ended_at: datetime | None
    ok: bool
    words: str


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person did to the run: `words` go after the name, such as "paused the run"."""

    at: datetime
    who: str
    words: str


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """A delivery of the run that was not delivered: its state's name, and its outcome in words."""

    delivery_id: str
    event_type: str
    label: str
    words: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run as its report tells it.

    `file` is the URL of the file with all deliveries. `cause` says why they had failed before; `why` is the reason of
    the run's state. `stopped` says when nothing was sent. `others` are the deliveries without success, the first LISTED
    of `others_count`. `ending` says whether events are missing, and `is_missing` is whether they are; empty before the
    run has ended. `lost` says of which time events may be missing.
    """

    number: int
    kind: str
    state: str
    subject: Subject
    address: str
    file: str
    chosen: str
    note: str
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    tally: Tally
    cause: str = ""
    stopped: str = ""
    why: str = ""
    quoted: str = ""
    request_id: str = ""
    steps: Sequence[StepFacts] = ()
    deeds: Sequence[Deed] = ()
    others: Sequence[ItemFacts] = ()
    others_count: int = 0
    ending: str = ""
    is_missing: bool = False
    lost: Sequence[str] = ()
    limits: Sequence[str] = ()


def label(*, state: str, tally: Tally, why: str) -> str:
    """Return the name of a run's state. `why` is its reason, as stored."""
    return PARTLY_DONE if state == DONE and not is_whole(tally=tally, why=why) else LABELS[state]


def headline(*, state: str, tally: Tally, took: timedelta) -> str:
    """Return the result in one sentence: of a run that is done, or as far as it is. `took` is its duration."""
    if state == DONE:
        return tally.outcome(took=took)
    label = LABELS[state]
    return f"{label}: {_so_far(tally)}." if tally.total else f"{label}. No failed deliveries are known."


def run_report(run: RunFacts, *, now: datetime) -> Report:
    """Return the report of a run, as of `now`."""
    took = (run.ended_at or now) - run.started_at
    said = headline(state=run.state, tally=run.tally, took=took)
    return Report(
        title=f"{run.kind} {run.number}: {run.subject.customer}",
        headline=" ".join([said, *([run.ending] if run.is_missing else []), *run.lost[:1]]),
        facts=_facts(run, took=took),
        sections=(
            *section("Cause", run.cause, run.stopped),
            *section("Who did what", *_timeline(run)),
            *section("Outcome", *_outcome(run)),
            *_without_success(run),
            *section("What is missing or not known", *_not_known(run)),
        ),
        made_at=now,
    )


def _so_far(tally: Tally) -> str:
    named = [
        (tally.failed_again, "failed again"),
        (tally.refused, "refused"),
        (tally.not_seen + tally.unknown, "with unknown outcome"),
        (tally.requested + tally.asking, "awaited"),
        (tally.waiting, "not requested"),
    ]
    others = [f"{count} {words}" for count, words in named if count]
    return ", ".join([f"{tally.delivered} of {tally.total} delivered", *others])


def _facts(run: RunFacts, *, took: timedelta) -> tuple[Fact, ...]:
    ended = "not ended" if run.ended_at is None else f"{exactly(run.ended_at)}, after {span(duration=took)}"
    return (
        *run.subject.facts,
        Fact("Run", run.address, is_code=True),
        Fact("State", label(state=run.state, tally=run.tally, why=run.why)),
        Fact("Started", f"{exactly(run.started_at)}, by {run.started_by}"),
        Fact("Ended", ended),
        Fact("Deliveries", run.chosen),
        Fact("Note", run.note),
    )


def _timeline(run: RunFacts) -> list[str]:
    """Return what people did, and what the run did, in order of time."""
    lines = [(run.started_at, 0, f"{run.started_by} started the run.")]
    lines += [(deed.at, 1, f"{deed.who} {deed.words}.") for deed in run.deeds]
    lines += [(step.ended_at or step.began_at, 2, _step(step)) for step in run.steps]
    return [at(when, words) for when, _order, words in sorted(lines, key=lambda line: line[:2])]


def _step(step: StepFacts) -> str:
    if step.ended_at is None:
        return f"{step.title}: began, not ended."
    how = "" if step.ok else " (not done)"
    return f"{step.title}{how}: {step.words}" if step.words else f"{step.title}{how}: ended."


def _outcome(run: RunFacts) -> list[str]:
    """Return the reason of the state, the numbers, and OpenTrain's words."""
    asked = f" (request {run.request_id})" if run.request_id else ""
    quoted = f"OpenTrain's last message: “{run.quoted}”{asked}" if run.quoted else ""
    state = label(state=run.state, tally=run.tally, why=run.why)
    return [f"{state}: {run.why}" if run.why else "", *_numbers(run.tally), quoted]


def _numbers(tally: Tally) -> list[str]:
    return [f"{label}: {count}" for _kind, label, count in tally.parts]


def _without_success(run: RunFacts) -> tuple[Section, ...]:
    lines = [_item(one) for one in run.others[:LISTED]]
    more = run.others_count - len(lines)
    if more > 0:
        lines.append(f"{more:,} more are left out here. All are in {run.file}")
    return section("Deliveries without success", *lines)


def _item(item: ItemFacts) -> str:
    what = f"{item.delivery_id} {item.event_type}".strip()
    words = f" ({item.words})" if item.words else ""
    when = f", {exactly(item.at)}" if item.at is not None else ""
    return f"{what}: {item.label.lower()}{words}{when}"


def _not_known(run: RunFacts) -> list[str]:
    """Return what the report cannot say, most important first."""
    doubtful = run.tally.not_seen + run.tally.unknown
    return [
        run.ending or "The run has not ended: whether events are missing is checked after its end.",
        *run.lost,
        f"The outcome of {doubtful} deliveries is not known." if doubtful > 1 else "",
        "The outcome of 1 delivery is not known." if doubtful == 1 else "",
        *run.limits,
    ]
