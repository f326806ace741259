"""Audit entries and their source, as the activity pages show them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dashboard.actions.endpoints import BY_RUNS
from dashboard.forms.audit_filters import OUTCOMES
from dashboard.models import AuditEntry, Endpoint, Install
from dashboard.queries import audit
from dashboard.queries.audit import COUNTED, Folded, folded
from dashboard.rules.deeds import About, Told, told
from dashboard.rules.times_in_words import retell

RECENT = 10
"""Operations on the page of an endpoint or an install."""
_THIS = {About.ENDPOINT: "this endpoint", About.INSTALL: "this install"}


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """An entry to show at `now`. `kind` decides how its outcome is drawn; `from_where`: this user may see its source.

    `folded` is what the run requested that the entry is of; None if the entry has the row for itself. `here`: what the
    page is about that shows it. Sentences do not name that.
    """

    entry: AuditEntry
    kind: str
    label: str
    from_where: bool
    now: datetime
    folded: Folded | None = None
    here: About = About.NOTHING

    @property
    def told(self) -> str:
        """The sentence after the person's name, without what it is about, unless that is the page's."""
        told = self._told
        if self.here is told.about and self.here in _THIS:
            return f"{told.words} {_THIS[self.here]}"
        return told.words if self.names_endpoint or self.names_install else _ended(told.words)

    @property
    def names_endpoint(self) -> bool:
        """Whether the sentence is about an endpoint, and not the page's."""
        about = self._told.about
        return about in {About.ENDPOINT, None} and self.here is not About.ENDPOINT and bool(self.entry.endpoint_shown)

    @property
    def names_install(self) -> bool:
        """Whether the sentence names an install: the one that it is about, or that of its endpoint."""
        return self._told.about is not About.NOTHING and self.here is About.NOTHING and bool(self.entry.install_name)

    @property
    def title(self) -> str:
        """The sentence as text, whole, for where the line is cut."""
        names = [self.entry.endpoint_shown] * self.names_endpoint + [self.entry.install_name] * self.names_install
        sentence = f"{self.entry.actor_name} {self.told} {' of '.join(names)}".rstrip()
        said = f"OpenTrain: {self.entry.quoted}" if self.entry.quoted else self.said
        return f"{sentence}. {said}".rstrip()

    @property
    def requests(self) -> str:
        """How many operations the run requested, in words; empty if the entry has none folded into it."""
        if self.folded is None:
            return ""
        more = "+" if self.folded.count >= COUNTED else ""
        words = f"{self.folded.count:,}{more} redeliver{'y' if self.folded.count == 1 else 'ies'}"
        return f"{words}, {self.folded.unconfirmed:,} not confirmed" if self.folded.unconfirmed else words

    @property
    def _told(self) -> Told:
        return told(action=self.entry.action, is_done=self.entry.phase == AuditEntry.Phase.DONE)

    @property
    def address(self) -> str:
        """The source IP address; empty if there is none or this user may not see it."""
        return self.entry.address or "" if self.from_where else ""

    @property
    def agent(self) -> str:
        """The source browser; empty if there is none or this user may not see it."""
        return self.entry.agent if self.from_where else ""

    @property
    def no_address(self) -> str:
        """Return why no address is shown."""
        if not self.from_where:
            return "visible to support only"
        return "no browser: the worker or the command line"

    @property
    def said(self) -> str:
        """The outcome in words, in the reader's time zone; empty if its label says it all."""
        if self.entry.phase == AuditEntry.Phase.REQUESTED:
            return "Requested; no response recorded yet."
        return retell(self.entry.words, written=self.entry.at, now=self.now)

    @property
    def endpoint_was(self) -> str:
        """The endpoint's status in OpenTrain's answer, where it stops deliveries; empty otherwise."""
        return "disabled: OpenTrain attempts nothing until it is re-enabled" if self.entry.while_stopped else ""

    @property
    def has_object(self) -> bool:
        """Whether the entry is about an install or an endpoint."""
        return bool(self.entry.install_name or self.entry.endpoint_shown)


def _ended(words: str) -> str:
    """Return a sentence that names nothing after its verb: “created an alert channel of” all installs names none."""
    return words.removesuffix(":").removesuffix(" of")


def recent(*, endpoint: Endpoint | None = None, install: Install | None = None, now: datetime) -> list[ActivityRow]:
    """Return the newest operations on an endpoint or an install, as its page shows them.

    What runs requested is left out, also by releases that did not fold it: the run's start says how many.
    """
    found = audit.newest(endpoint=endpoint, install=install, without=BY_RUNS, limit=RECENT)
    here = About.INSTALL if endpoint is None else About.ENDPOINT
    rows = activity_rows(found, sees_source=lambda _entry: False, now=now)
    return [replace(row, here=here) for row in rows]


def activity_rows(
    entries: Sequence[AuditEntry], *, sees_source: Callable[[AuditEntry], bool], now: datetime, folds: bool = True
) -> list[ActivityRow]:
    """Return the rows of entries, with what runs requested if the list `folds` it into their entries."""
    runs = {one.run_id for one in entries if one.run_id is not None and not one.folded} if folds else set()
    requested = folded(runs, now=now) if runs else {}
    return [
        activity_row(
            one,
            from_where=sees_source(one),
            now=now,
            folded=None if one.run_id is None else requested.get(one.run_id),
        )
        for one in entries
    ]


def activity_row(entry: AuditEntry, *, from_where: bool, now: datetime, folded: Folded | None = None) -> ActivityRow:
    kind = "unknown_outcome" if entry.phase == AuditEntry.Phase.UNKNOWN else entry.phase
    if entry.phase == AuditEntry.Phase.DONE and entry.requeued and entry.while_stopped:
        return ActivityRow(entry, "unavailable", "Requested", from_where, now, folded)  # nothing is attempted yet
    return ActivityRow(entry, kind, OUTCOMES[entry.phase], from_where, now, folded)
