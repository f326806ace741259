"""Audit entries and their source, as the activity pages show them."""

from dataclasses import dataclass

from dashboard.forms.audit_filters import OUTCOMES
from dashboard.models import AuditEntry


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """An entry to show. `kind` decides how its outcome is drawn; `from_where`: this user may see its source."""

    entry: AuditEntry
    kind: str
    label: str
    from_where: bool

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
        """The outcome in words; empty if its label says it all."""
        if self.entry.phase == AuditEntry.Phase.REQUESTED:
            return "Requested; no response recorded yet."
        words: str = self.entry.words
        return words

    @property
    def endpoint_was(self) -> str:
        """The endpoint's status in OpenTrain's answer, where it stops deliveries; empty otherwise."""
        return "disabled: OpenTrain attempts nothing until it is re-enabled" if self.entry.while_stopped else ""

    @property
    def has_object(self) -> bool:
        """Whether the entry is about an install or an endpoint."""
        return bool(self.entry.install_name or self.entry.endpoint_shown)


def activity_row(entry: AuditEntry, *, from_where: bool) -> ActivityRow:
    kind = "unknown_outcome" if entry.phase == AuditEntry.Phase.UNKNOWN else entry.phase
    return ActivityRow(entry, kind, OUTCOMES[entry.phase], from_where)
