"""Reports of a run, a delivery or an endpoint: their form, and the same as plain text and as Markdown. Pure.

A report is proof for people who cannot see Redeliver: it has whole IDs and absolute times, and says what is not known.
run_reports.py, delivery_reports.py and endpoint_reports.py make them from facts. A report holds texts from outside, so
`told` returns it fit to leave Redeliver, and only that is shown or copied.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from dashboard.rules.durations import exactly
from dashboard.rules.invisible import visible
from dashboard.rules.outside_texts import on_one_line

MOST_CHARS = 1000
"""Most characters of one value or line."""
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&$])")
"""What Markdown reads as more than the character."""
_LEADING = re.compile(r"^(\d{1,9}(?=[.)])|(?=[-+=]))(.)")
"""What Markdown reads as a list or a rule at the start of a line."""
_TICKS = re.compile("`+")


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value. `is_code`: an ID or an address, to be read character by character."""

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose endpoint a report is about. `endpoint_id` is empty while OpenTrain's ID of it is not known."""

    customer: str
    install_id: str
    endpoint: str
    url: str
    endpoint_id: str

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (
            Fact("Customer", self.customer),
            Fact("Install ID", self.install_id, is_code=True),
            Fact("Endpoint", self.endpoint),
            Fact("Endpoint URL", self.url, is_code=True),
            Fact("Endpoint ID", self.endpoint_id or "not known", is_code=bool(self.endpoint_id)),
        )


@dataclass(frozen=True, slots=True)
class Section:
    """Sentences under a heading, in order."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What happened, as of `made_at`: the result in one sentence, the facts, and sections. No section is empty."""

    title: str
    headline: str
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    made_at: datetime

    def told(self, *, hide: Callable[[str], str]) -> Self:
        """Return the report as it may leave Redeliver.

        `hide` takes secrets out. Each text is one line, has no character that nobody sees, and is at most MOST_CHARS
        long, so that no text from outside can look like a part of the report.
        """

        def fit(text: str) -> str:
            return fitting(text, hide=hide)

        facts = tuple(replace(one, value=fit(one.value)) for one in self.facts if one.value)
        sections = tuple(replace(one, lines=tuple(map(fit, one.lines))) for one in self.sections if one.lines)
        return replace(self, title=fit(self.title), headline=fit(self.headline), facts=facts, sections=sections)

    @property
    def as_of(self) -> str:
        return f"As of {exactly(self.made_at)}, as far as Redeliver knows."

    @property
    def plain(self) -> str:
        """The report as plain text."""
        facts = [f"{one.name}: {one.value}" for one in self.facts]
        sections = [[one.title, *(f"- {line}" for line in one.lines)] for one in self.sections]
        return _text([[self.title, self.headline], facts, *sections, [self.as_of]])

    @property
    def markdown(self) -> str:
        """The report as Markdown. Texts from outside stay as they are: none becomes a link, a mention or markup."""
        facts = [f"- **{one.name}:** {_code(one.value) if one.is_code else _escaped(one.value)}" for one in self.facts]
        sections = [[f"### {one.title}", "", *(f"- {_escaped(line)}" for line in one.lines)] for one in self.sections]
        head = [[f"## {_escaped(self.title)}"], [f"**{_escaped(self.headline)}**"]]
        return _text([*head, facts, *sections, [f"_{self.as_of}_"]])


def fitting(text: str, *, hide: Callable[[str], str]) -> str:
    """Return a text as a report tells it (`Report.told`)."""
    return visible(on_one_line(hide(text), most=MOST_CHARS))


def section(title: str, *lines: str) -> tuple[Section, ...]:
    """Return a section with those of the lines that say something; none if no line does."""
    found = tuple(line for line in lines if line)
    return (Section(title, found),) if found else ()


def at(moment: datetime, words: str) -> str:
    """Return a line of a timeline."""
    return f"{exactly(moment)}: {words}"


def _text(blocks: list[list[str]]) -> str:
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is.

    A character without width keeps readers such as GitHub from making links of addresses and from mentioning people.
    """
    text = _LEADING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", text))
    return text.replace("://", ":&#8203;//").replace("@", "@&#8203;").replace("www.", "www&#8203;.")


def _code(text: str) -> str:
    """Return a text as code, with more backticks around it than in it."""
    fence = "`" * (max((len(found) for found in _TICKS.findall(text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"
