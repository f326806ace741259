"""What the pages show of a run: its steps, its counts, what is under way, and what will happen before it starts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db.models import Min

from dashboard.actions.runs.state import steps_of
from dashboard.config.schedule import schedule
from dashboard.models import Delivery, Endpoint, Run, RunItem, RunStep
from dashboard.rules.causes import describe_cause
from dashboard.rules.deliveries import Standing
from dashboard.rules.durations import span
from dashboard.rules.runs import Step, Tally, next_run_words

LINE_SHOWN_FOR = timedelta(days=1)
"""So long after its end a run is still told of on its endpoint's page."""
PROBLEMS = 50
"""Deliveries of a run that are shown with what became of them; the others are counted."""
TITLES = {
    Step.PROBE: "Ask the handler whether it answers",
    Step.ENABLE: "Re-enable the endpoint",
    Step.CANARY: "One delivery first",
    Step.REST: "The others, one by one",
    Step.OTHERS: "Whatever else OpenTrain has as failed",
    Step.WATCH: "Watch until each has an outcome",
}
OF_BULK = TITLES | {Step.REST: "Request them, one by one", Step.OTHERS: "Request all failed ones by one call"}
_AGES = (
    (timedelta(hours=1), "less than an hour old"),
    (timedelta(days=1), "an hour to a day old"),
    (timedelta(days=7), "a day to a week old"),
    (timedelta.max, "older than a week"),
)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run with its counts, as the lists and its endpoint's page show it."""

    run: Run
    tally: Tally

    @property
    def label(self) -> str:
        return self.run.get_state_display()

    @property
    def why(self) -> str:
        """Why it is in its state, beginning with the state's name."""
        return self.run.why if self.by_person else f"{self.label}: {self.run.why}"

    @property
    def by_person(self) -> bool:
        """Whether a person paused, stopped or cancelled it: that is no fault."""
        return self.run.by_person

    @property
    def line(self) -> str:
        """How far it is, or why it has ended."""
        return f"{self.tally.words}." if self.run.is_active or not self.run.why else self.run.why

    @property
    def came_of_it(self) -> str:
        """Why it is in its state, or how far it is."""
        return self.run.why or self.tally.words

    @property
    def if_paused(self) -> str:
        """Say what pausing its endpoint does to the run."""
        if self.run.kind == Run.Kind.RECOVERY:
            return "Pausing the endpoint stops it. To go on, start a recovery again: that re-enables the endpoint."
        return "Pausing the endpoint pauses it too. To go on, re-enable the endpoint and then resume the run."

    @property
    def if_deleted(self) -> str:
        """Say what deleting its endpoint does to the run."""
        return (
            "Deleting the endpoint stops it: what is not requested yet never will be, and what is requested and not "
            "attempted yet is discarded. Let it end first, or stop it."
        )

    @property
    def if_rotated(self) -> str:
        """Say what rotating the secret of its endpoint does to the run."""
        return (
            "It goes on while the new endpoint is made and proven. Step 3 deletes this endpoint, and with that stops "
            "it: let it end before."
        )


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step: `kind` is done, failed, current or to_come; `took` is how long it lasted, in words."""

    title: str
    kind: str
    words: str
    took: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would ask for and leave out, each as (words, how many)."""

    chosen: int
    causes: Sequence[tuple[str, int]]
    ages: Sequence[tuple[str, int]]
    left_out: Sequence[tuple[str, int]]
    retrying: int
    """So many of the chosen ones OpenTrain still tries again by itself."""

    @property
    def button(self) -> str:
        return f"Redeliver {self.chosen}"

    @property
    def exactly(self) -> str:
        """Say that no others are asked for than those that were seen."""
        these = "this one is" if self.chosen == 1 else f"these {self.chosen} are"
        return f"Exactly {these} asked for, whatever arrives meanwhile."

    @property
    def is_empty(self) -> bool:
        """Whether it neither asks for anything nor leaves anything out."""
        return not self.chosen and not self.left_out


def run_row(run: Run) -> RunRow:
    return RunRow(run, Tally(**run.counts))


def run_sum(rows: Iterable[RunRow]) -> Tally:
    """Return the counts of several runs together."""
    total: Counter[str] = Counter()
    for row in rows:
        total.update(asdict(row.tally))
    return Tally(**total)


def newest_run(endpoint: Endpoint, *, now: datetime) -> RunRow | None:
    """Return the endpoint's active run, or one that has ended lately."""
    run = endpoint.runs.order_by("-created_at", "-id").first()
    if run is None or (run.ended_at is not None and now - run.ended_at > LINE_SHOWN_FOR):
        return None
    return run_row(run)


def active_run(endpoint: Endpoint) -> RunRow | None:
    """Return the run that holds the endpoint, if one does."""
    run = endpoint.runs.active().first()
    return None if run is None else run_row(run)


def step_rows(run: Run, *, now: datetime) -> list[StepRow]:
    """Return all steps of the run: those that were, the one under way, and those to come unless it has ended."""
    began = {step.name: step for step in run.steps.all()}
    titles = OF_BULK if run.kind == Run.Kind.BULK else TITLES
    steps = [step for step in steps_of(run) if run.is_active or step in began]
    return [_step_row(titles[step], began.get(step), now) for step in steps]


def under_way(run: Run, *, now: datetime) -> str:
    """Say what is being waited for: OpenTrain's pause, or its next delivery run; empty when it is neither."""
    if run.state == Run.State.RUNNING and run.waiting_for and run.not_before is not None:
        left = run.not_before - now
        again = f"in {span(duration=left)}" if left >= timedelta(seconds=1) else "any moment now"
        return f"{run.waiting_for} Goes on {again}."
    awaited = run.items.filter(state=RunItem.State.REQUESTED)
    oldest = awaited.aggregate(oldest=Min("asked_at"))["oldest"]
    if oldest is None:
        return ""
    run_words = next_run_words(asked_at=oldest, now=now, schedule=schedule())
    still = "" if run.state == Run.State.RUNNING else "What was requested already is still attempted, and shown here. "
    return f"{still}The next delivery run is expected {run_words}."


def problems(run: Run) -> list[RunItem]:
    """Return the deliveries that a person may want to look at, the first PROBLEMS of them."""
    fine = (RunItem.State.WAITING, RunItem.State.REQUESTED, RunItem.State.DELIVERED, RunItem.State.LEFT_OUT)
    return list(run.items.exclude(state__in=fine).order_by("position")[:PROBLEMS])


def preview(*, chosen: Sequence[Delivery], left_out: Iterable[str], now: datetime) -> Preview:
    """Say what a run would ask for: how many, by cause and by age; and what it leaves out, for these reasons."""
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
    """Count them by age, the youngest first."""
    ages = [now - delivery.first_received_at for delivery in deliveries]
    counts = Counter(next(words for limit, words in _AGES if age < limit) for age in ages)
    return [(words, counts[words]) for _limit, words in _AGES if counts[words]]


def _step_row(title: str, began: RunStep | None, now: datetime) -> StepRow:
    if began is None:
        return StepRow(title, "to_come", "", "")
    lasted = (began.ended_at or now) - began.began_at
    took = span(duration=lasted) if lasted >= timedelta(seconds=1) else "under 1 s"
    if began.ended_at is None:
        return StepRow(title, "current", "", took)
    return StepRow(title, "done" if began.ok else "failed", began.words, took)
