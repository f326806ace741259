"""Hand-overs as pages show them: what may be sent, what waits, and what came of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.models import Handover
from dashboard.presenters import curl
from dashboard.queries.handovers import Case
from dashboard.rules.handovers import Result
from dashboard.rules.reconciliation import Event
from dashboard.rules.reconstruction import Built, Person

_LOOKS = {
    Result.WAITING: ("waiting", "idle"),
    Result.OK: ("taken", "done"),
    Result.FAILED: ("failed", "refused"),
    Result.UNKNOWN: ("unknown_outcome", "unknown"),
    Result.NOT_SENT: ("not_sent", "unavailable"),
}
"""The chip of each result, and the look of the answer to its button."""
_HAPPENED = {Event.STARTED: "started", Event.ENDED: "ended"}


@dataclass(frozen=True, slots=True)
class HandoverRow:
    """A hand-over with its state. `kind` is the look of its chip, `tone` that of the answer to its button."""

    handover: Handover

    @property
    def kind(self) -> str:
        return _LOOKS[Result(self.handover.result)][0]

    @property
    def tone(self) -> str:
        return _LOOKS[Result(self.handover.result)][1]

    @property
    def label(self) -> str:
        return Result(self.handover.result).label

    @property
    def is_waiting(self) -> bool:
        return self.handover.ended_at is None

    @property
    def words(self) -> str:
        if self.handover.words:
            return self.handover.words
        return "Sending it to the handler…" if self.handover.sent_at is not None else "Waiting to be sent…"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a selection is. `ended` of `all` have ended; `counts` are the results in words."""

    all: int
    ended: int
    counts: str

    @property
    def is_over(self) -> bool:
        return self.ended >= self.all


def rows_of(handovers: Iterable[Handover]) -> list[HandoverRow]:
    return [HandoverRow(one) for one in handovers]


def progress_of(handovers: Sequence[Handover]) -> Progress:
    """Return how far a selection is, from all of its rows."""
    results = [Result(one.result) for one in handovers if one.ended_at is not None]
    said = [f"{results.count(result)} {result.label.lower()}" for result in Result if results.count(result)]
    return Progress(len(handovers), len(results), ", ".join(said))


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A missing event that may be sent. `value` names it in the form."""

    case: Case
    value: str

    @property
    def happened(self) -> str:
        return _HAPPENED[self.case.event]

    @property
    def happened_at(self) -> datetime | None:
        return self.case.verdict.happened_at


def candidate_rows(cases: Iterable[Case]) -> list[CandidateRow]:
    return [CandidateRow(one, f"{one.contract.pk}-{one.slug}") for one in cases]


def source_words(person: Person | None, *, is_logged: bool) -> str:
    """Say where the event's person is from; empty if there is none."""
    if person is None:
        return ""
    return "from a logged event of this contract" if is_logged else "read of OpenTrain now, and not stored"


def curl_of(built: Built, *, url: str) -> str:
    """Return the command that sends the event with a signature of its own; empty if there is no safe one."""
    headers = [(name, value) for name, value in built.headers(signature="") if value]
    return curl.signed_command(url=url, headers=headers, body=built.body)
