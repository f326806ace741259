"""What became of an operation on OpenTrain, in the words a person reads."""

from dataclasses import dataclass
from enum import StrEnum


class OutcomeKind(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a press of a button: `words` are ours, `quoted` are OpenTrain's own, shown as a quotation.

    `offer_enable` says that the endpoint is DISABLED, so that Re-enable belongs beside the answer.
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

    @property
    def ok(self) -> bool:
        return self.kind is OutcomeKind.DONE
