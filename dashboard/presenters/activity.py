"""What the pages of activity show of an entry of the audit, and of where it came from."""

from dataclasses import dataclass

from dashboard.forms.audit_filters import OUTCOMES
from dashboard.models import AuditEntry


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """An entry as it is shown: `kind` is what its outcome is drawn by, `from_where` whether this user may see that."""

    entry: AuditEntry
    kind: str
    label: str
    from_where: bool

    @property
    def address(self) -> str:
        """The address it came from, where there is one that this user may see."""
        return self.entry.address or "" if self.from_where else ""

    @property
    def agent(self) -> str:
        """The browser it came from, where there is one that this user may see."""
        return self.entry.agent if self.from_where else ""

    @property
    def no_address(self) -> str:
        """Say why no address is shown."""
        if not self.from_where:
            return "shown to support alone"
        return "no browser: the worker, or the machine's command line"

    @property
    def said(self) -> str:
        """What came of it, in words; empty where there is no more to say than its label."""
        if self.entry.phase == AuditEntry.Phase.REQUESTED:
            return "Asked for; no answer is recorded yet."
        return self.entry.words

    @property
    def has_object(self) -> bool:
        """Whether it was about an install or an endpoint."""
        return bool(self.entry.install_name or self.entry.endpoint_url)


def activity_row(entry: AuditEntry, *, from_where: bool) -> ActivityRow:
    kind = "unknown_outcome" if entry.phase == AuditEntry.Phase.UNKNOWN else entry.phase
    return ActivityRow(entry, kind, OUTCOMES[entry.phase], from_where)
