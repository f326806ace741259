"""Runs for pages: steps, counts, current activity, and the preview before the start."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min

from dashboard.actions.runs.state import steps_of
from dashboard.config.schedule import schedule
from dashboard.models import Delivery, Endpoint, Run, RunItem, RunStep
from dashboard.presenters.controls import Link
from dashboard.rules import run_reports
from dashboard.rules.causes import describe_cause
from dashboard.rules.deliveries import Standing
from dashboard.rules.durations import span
from dashboard.rules.run_endings import EndingKind
from dashboard.rules.runs import Step, Tally, next_run_words

LINE_SHOWN_FOR = timedelta(days=1)
"""How long a finished run stays on its endpoint's page."""
PROBLEMS = 50
"""Most deliveries of a run listed with their outcomes; the others are only counted."""
TITLES = {
    Step.PROBE: "Check the handler",
    Step.ENABLE: "Re-enable the endpoint",
    Step.CANARY: "One delivery first",
    Step.REST: "The others, one by one",
    Step.OTHERS: "Other failed deliveries",
    Step.WATCH: "Wait for results",
}
OF_BULK = TITLES | {Step.REST: "Request them, one by one", Step.OTHERS: "Request all failed ones in one call"}
_AGES = (
    (timedelta(hours=1), "less than an hour old"),
    (timedelta(days=1), "an hour to a day old"),
    (timedelta(days=7), "a day to a week old"),
    (timedelta.max, "older than a week"),
)


@dataclass(frozen=True, slots=True)
class RunEnding:
    """Whether events of contracts are missing after a run: one of four answers (rules/run_endings.py).

    `label` is short, `words` is one sentence that begins with it, `control` leads to the contracts behind it. `changed`
    says what contracts did while nothing was sent; empty if deliveries did not stop before the run or nothing is known.
    """

    kind: EndingKind
    label: str
    words: str
    control: Link | None
    changed: str = ""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with its counts, for lists and its endpoint's page."""

    run: Run
    tally: Tally
    ending: RunEnding | None = None
    """Whether events of contracts are missing after it; None before it has ended, and where nothing asks."""

    @property
    def label(self) -> str:
        return run_reports.label(state=self.run.state, tally=self.tally, why=self.run.why)

    @property
    def kind(self) -> str:
        """The state as a chip draws it."""
        return "partly_done" if self.label == run_reports.PARTLY_DONE else self.run.state

    @property
    def why(self) -> str:
        """The reason of the run's state, after the state's name unless a person caused it."""
        return self.run.why if self.by_person else f"{self.label}: {self.run.why}"

    @property
    def failed_first(self) -> bool:
        """Whether it is a recovery that stopped at its first delivery. An alert says the same."""
        run = self.run
        return run.kind == Run.Kind.RECOVERY and run.state == Run.State.STOPPED and run.step == Step.CANARY

    @property
    def by_person(self) -> bool:
        """Whether a person paused, stopped or cancelled the run: that is not an error."""
        return self.run.by_person

    @property
    def is_missing(self) -> bool:
        """Whether events of contracts are known to be missing after the run."""
        return self.ending is not None and self.ending.kind is EndingKind.MISSING

    @property
    def line(self) -> str:
        """The run's progress, or why it ended and what is missing."""
        said = f"{self.tally.words}." if self.run.is_active or not self.run.why else self.run.why
        return said if self.ending is None else f"{said} {self.ending.label}."

    @property
    def came_of_it(self) -> str:
        """The reason of the run's state, or its progress."""
        return self.run.why or self.tally.words

    @property
    def if_paused(self) -> str:
        """The effect on the run of pausing its endpoint."""
        if self.run.kind == Run.Kind.RECOVERY:
            return (
                "Pausing the endpoint stops the run. To continue, start a recovery again: that re-enables the endpoint."
            )
        return "Pausing the endpoint pauses the run too. To continue, re-enable the endpoint and then resume the run."

    @property
    def if_bypassed(self) -> str:
        """The effect on the run of taking Redeliver out of its endpoint's path."""
        return (
            "Taking Redeliver out pauses the run, because Redeliver no longer sees the results. Let the run end first."
        )

    @property
    def if_deleted(self) -> str:
        """The effect on the run of deleting its endpoint."""
        return (
            "Deleting the endpoint stops the run. Its unrequested deliveries are never requested, and requested ones "
            "that were not attempted yet are discarded. Let the run end first, or stop it."
        )

    @property
    def if_rotated(self) -> str:
        """The effect on the run of rotating its endpoint's secret."""
        return (
            "The run continues while the new endpoint is created and proven. Step 3 deletes this endpoint and stops "
            "the run: let it end first."
        )


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step. `kind` is done, failed, current or to_come; `took` is its duration in words."""

    title: str
    kind: str
    words: str
    took: str
    began_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """The deliveries that a run would request and leave out, as pairs of words and count."""

    chosen: int
    causes: Sequence[tuple[str, int]]
    ages: Sequence[tuple[str, int]]
    left_out: Sequence[tuple[str, int]]
    retrying: int
    """Number of chosen deliveries that OpenTrain still retries automatically."""

    @property
    def button(self) -> str:
        return f"Redeliver {self.chosen}"

    @property
    def exactly(self) -> str:
        """Say that the run requests only the deliveries shown."""
        these = "this one" if self.chosen == 1 else f"these {self.chosen}"
        return f"Only {these}; new matches aren't added."

    @property
    def is_empty(self) -> bool:
        """Whether the run neither requests nor leaves out any delivery."""
        return not self.chosen and not self.left_out


def run_row(run: Run) -> RunRow:
    return RunRow(run, Tally(**run.counts))


def run_sum(rows: Iterable[RunRow]) -> Tally:
    """Return the added counts of several runs."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(asdict(row.tally))
    return Tally(**total)


def newest_run(endpoint: Endpoint, *, now: datetime) -> RunRow | None:
    """Return the endpoint's newest run if it is active or ended recently, else None."""
    run = endpoint.runs.order_by("-created_at", "-id").first()
    if run is None or (run.ended_at is not None and now - run.ended_at > LINE_SHOWN_FOR):
        return None
    return run_row(run)


def annotated_run(endpoint: Endpoint) -> Run | None:
    """Return the newest run of an endpoint from `with_newest_run`, with the columns that one line shows."""
    found: dict[str, Any] | None = getattr(endpoint, "newest_run")  # noqa: B009 - annotated; a missing one is a mistake
    if found is None:
        return None
    ended_at = found["ended_at"] and datetime.fromisoformat(found["ended_at"])
    return Run(**found | {"ended_at": ended_at})


def active_run(endpoint: Endpoint) -> RunRow | None:
    """Return the endpoint's active run, None if there is none."""
    run = endpoint.runs.active().first()
    return None if run is None else run_row(run)


def step_rows(run: Run, *, now: datetime) -> list[StepRow]:
    """Return the steps of the run: past ones, the current one, and, unless it has ended, future ones."""
    began = {step.name: step for step in run.steps.all()}
    titles = OF_BULK if run.kind == Run.Kind.BULK else TITLES
    steps = [step for step in steps_of(run) if run.is_active or step in began]
    return [_step_row(titles[step], began.get(step), now) for step in steps]


def under_way(run: Run, *, now: datetime) -> str:
    """Say what the run waits for: OpenTrain's rate limit, its next delivery run, earlier events; empty if for none."""
    if run.state == Run.State.RUNNING and run.waiting_for and run.not_before is not None:
        left = run.not_before - now
        again = f"in {span(duration=left)}" if left >= timedelta(seconds=1) else "any moment now"
        return f"{run.waiting_for} Continues {again}."
    return f"{_next_run(run, now=now)} {_held(run, now=now)}".strip()


def _next_run(run: Run, *, now: datetime) -> str:
    awaited = run.items.filter(state=RunItem.State.REQUESTED)
    oldest = awaited.aggregate(oldest=Min("asked_at"))["oldest"]
    if oldest is None:
        return ""
    run_words = next_run_words(asked_at=oldest, now=now, schedule=schedule())
    still = "" if run.state == Run.State.RUNNING else "Requested deliveries are still attempted and shown here. "
    return f"{still}The next delivery run is expected {run_words}."


def _held(run: Run, *, now: datetime) -> str:
    """Say how many deliveries wait for an earlier event of their resource; empty if none, or if the run has ended."""
    held = run.items.filter(state=RunItem.State.WAITING, after__isnull=False)
    count = held.count() if run.is_active else 0
    if not count:
        return ""
    waits = (
        "1 delivery waits for an earlier event of the same resource."
        if count == 1
        else (f"{count} deliveries wait for earlier events of the same resources.")
    )
    retried = run.items.filter(position__in=held.values("after"), state__in=RunItem.MAY_COME)
    oldest = retried.aggregate(oldest=Min("asked_at"))["oldest"]
    if oldest is None:
        return waits
    left = oldest + schedule().retry_span - now
    soon = f"in {span(duration=left)}" if left >= timedelta(seconds=1) else "any moment now"
    return f"{waits} OpenTrain may still retry one that failed; the next continues {soon} at the latest."


def problems(run: Run) -> list[RunItem]:
    """Return the first PROBLEMS deliveries that may need a person's attention."""
    fine = (RunItem.State.WAITING, RunItem.State.REQUESTED, RunItem.State.DELIVERED, RunItem.State.LEFT_OUT)
    return list(run.items.exclude(state__in=fine).order_by("position")[:PROBLEMS])


def kept_back(run: Run) -> list[RunItem]:
    """Return the first PROBLEMS deliveries that are left out because later events have overtaken them."""
    return list(run.items.filter(state=RunItem.State.LEFT_OUT, is_overtaken=True).order_by("position")[:PROBLEMS])


def preview(*, chosen: Sequence[Delivery], left_out: Iterable[str], now: datetime) -> Preview:
    """Return what a run would request, by cause and by age, and what it leaves out, by reason."""
    return Preview(
        chosen=len(chosen),
        causes=_counted(describe_cause(cause=one.last_cause, status=one.last_status) for one in chosen),
        ages=_ages(chosen, now),
        left_out=_counted(left_out),
        retrying=sum(one.standing == Standing.RETRYING for one in chosen),
    )


def _counted(words: Iterable[str]) -> list[tuple[str, int]]:
    return Counter(words).most_common()


def _ages(deliveries: Iterable[Delivery], now: datetime) -> list[tuple[str, int]]:
    """Count the deliveries by age, youngest first."""
    ages = [now - delivery.first_received_at for delivery in deliveries]
    counts = Counter(next(words for limit, words in _AGES if age < limit) for age in ages)
    return [(words, counts[words]) for _limit, words in _AGES if counts[words]]


def _step_row(title: str, began: RunStep | None, now: datetime) -> StepRow:
    if began is None:
        return StepRow(title, "to_come", "", "")
    lasted = (began.ended_at or now) - began.began_at
    took = span(duration=lasted) if lasted >= timedelta(seconds=1) else "under 1 s"
    if began.ended_at is None:
        return StepRow(title, "current", "", took, began.began_at)
    return StepRow(title, "done" if began.ok else "failed", began.words, took, began.began_at, began.ended_at)
