"""What became of an operation on OpenTrain, in the words a person reads."""

from dataclasses import dataclass, field
from enum import StrEnum

from dashboard.models import Install


class OutcomeKind(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a press of a button: `words` are ours, `quoted` are OpenTrain's own, shown as a quotation.

    `offer_enable` says that the endpoint is DISABLED, so that Re-enable belongs beside the answer.
    `install` is the one that it turned out to be about, where that was not known before the call.
    `told_before` says that the same form was sent before, and that this was its answer then.
    `slow_down_s` is how long OpenTrain asked to wait, where it did (429).
    """

    kind: OutcomeKind
    words: str
    quoted: str = ""
    code: str = ""
    request_id: str = ""
    requeued: int | None = None
    offer_enable: bool = False
    slow_down_s: int | None = None
    install: Install | None = None
    told_before: bool = field(default=False, compare=False)

    @property
    def says_request_id(self) -> bool:
        """Whether the request ID stands in the words already, so that a page does not repeat it."""
        return bool(self.request_id) and self.request_id in self.words

    @property
    def ok(self) -> bool:
        return self.kind is OutcomeKind.DONE
