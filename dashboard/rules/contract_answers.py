"""Pure rules: which of a contract's events matter most, and the answer as plain text for a ticket or a chat.

`Cell` is what became of one event at one endpoint, in the words of rules/reconciliation_words.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.rules.contract_timeline import Clock, Timeline
from dashboard.rules.durations import exactly
from dashboard.rules.invisible import visible
from dashboard.rules.outside_texts import on_one_line
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason, Verdict
from dashboard.rules.reconciliation_facts import EXPECTED, WORST_FIRST
from dashboard.rules.reconciliation_words import Words
from dashboard.rules.time_zones import readers_zone_name

LINE = 500
"""Characters of a line of a summary."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of an event at an endpoint, and that in words. `place` names the endpoint, `endpoint` is its key."""

    endpoint: int
    place: str
    event: Event
    verdict: Verdict
    consequence: Consequence
    words: Words

    @property
    def look(self) -> str:
        """The name of its look. A type that is not subscribed is a choice, and looks so."""
        return "not_subscribed" if self.verdict.reason is Reason.NOT_SUBSCRIBED else self.verdict.kind.value

    @property
    def label(self) -> str:
        """The name of the verdict. The sentence has the reason and the times."""
        return "Not subscribed" if self.verdict.reason is Reason.NOT_SUBSCRIBED else self.verdict.kind.label

    @property
    def times(self) -> str:
        """The times of the verdict, absolute, for copying; empty if it has none."""
        named = (("happened", self.verdict.happened_at), ("at", self.verdict.at), ("until", self.verdict.until))
        return ", ".join(f"{name} {exactly(at)}" for name, at in named if at is not None)

    @property
    def is_expected(self) -> bool:
        """Whether nobody expects the event."""
        return self.verdict.reason in EXPECTED


def rank(verdict: Verdict, consequence: Consequence) -> tuple[int, int]:
    """Return a key to sort by: the worst is the lowest. What harms people comes first, then what is settled."""
    harm = {Consequence.ACCESS: 0, Consequence.PROVISION: 1}.get(consequence, 2)
    if verdict.reason in EXPECTED:
        return harm, WORST_FIRST.index(Kind.TAKEN_IN_PART)
    return harm, WORST_FIRST.index(verdict.kind)


def worst_first(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Return the cells, the worst first; equally bad ones by endpoint, and ended before started."""
    return tuple(
        sorted(cells, key=lambda one: (rank(one.verdict, one.consequence), one.place, one.endpoint, one.event.value))
    )


def one_per_endpoint(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Return the worst cell of each endpoint, the worst first."""
    worst: dict[int, Cell] = {}
    for cell in worst_first(cells):
        worst.setdefault(cell.endpoint, cell)
    return tuple(worst.values())


def summary(
    *, title: str, facts: Sequence[tuple[str, str]], cells: Sequence[Cell], told: Timeline, now: datetime
) -> str:
    """Return the answer as plain text: one fact, verdict or moment a line, with complete IDs and absolute times."""
    lines = [title, *(f"{name}: {value}" for name, value in facts), f"As of {exactly(now)}.", ""]
    lines += [
        f"- {cell.place}: {cell.words.full}{f' [{cell.times}]' if cell.times else ''}" for cell in worst_first(cells)
    ]
    if told.moments:
        lines += ["", f"What is known, oldest first ({readers_zone_name()}, Redeliver's clock unless marked):"]
    for index, moment in enumerate(told.moments):
        if index == told.gap_after:
            lines.append(f"… {told.left_out} more …")
        since = f"between {exactly(moment.not_before)} and " if moment.not_before is not None else ""
        clock = f" [{Clock.OPENTRAIN}]" if moment.is_opentrains else ""
        place = f" ({moment.place})" if moment.place else ""
        lines.append(f"{since}{exactly(moment.at)}{clock} {moment.words}{place}")
    return as_text(lines)


def as_text(lines: Iterable[str]) -> str:
    """Return lines as one text to copy. No text from outside can begin a line of its own or hide a character."""
    return "\n".join(visible(on_one_line(line, most=LINE)) for line in lines)
