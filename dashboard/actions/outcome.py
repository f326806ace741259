"""The outcome of an operation on OpenTrain, in words for the user."""

from dataclasses import dataclass, field
from enum import StrEnum

from dashboard.models import Install
from dashboard.rules.answers import Reading, Taken


class OutcomeKind(StrEnum):
    """The kinds. UNAVAILABLE: OpenTrain did not take the request: it was not reached, or its answer says so."""

    DONE = "done"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome that a page shows: `words` are ours, `quoted` are OpenTrain's own, shown as a quotation.

    `offer_enable`: the endpoint is DISABLED, so the page offers Re-enable beside the outcome.
    `install`: the install that the call turned out to concern, if it was unknown before.
    `told_before`: the same form was already submitted, and this was its outcome.
    `unrequested`: OpenTrain was not called and the audit has no entry, because another request made this one pointless.
    `slow_down_s`: the wait in seconds that OpenTrain requested with a 429; None otherwise.
    `unconfirmed`: OpenTrain answered, but its answer does not say that it did what was requested.
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
    unrequested: bool = False
    unconfirmed: bool = False

    @property
    def says_request_id(self) -> bool:
        """Return whether the words contain the request ID already, so that a page does not repeat it."""
        return bool(self.request_id) and self.request_id in self.words

    @property
    def ok(self) -> bool:
        return self.kind is OutcomeKind.DONE


_KINDS = {Taken.YES: OutcomeKind.DONE, Taken.NO: OutcomeKind.UNAVAILABLE, Taken.UNCLEAR: OutcomeKind.UNKNOWN}


def outcome_as_read(
    reading: Reading, *, quoted: str = "", requeued: int | None = None, offer_enable: bool = False
) -> Outcome:
    """Return the outcome of a call that OpenTrain answered: the answer decides, not the request."""
    return Outcome(
        kind=_KINDS[reading.taken],
        words=reading.words,
        quoted=quoted,
        requeued=requeued,
        offer_enable=offer_enable,
        unconfirmed=reading.taken is not Taken.YES,
    )
