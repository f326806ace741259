"""Problems of an install: why its last sync with OpenTrain failed, or which parts of it could not be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dashboard.rules.durations import clock

NAMED = 5
"""Unread entries that are named; the others are counted."""


class Trouble(StrEnum):
    """Why OpenTrain's last response for an install was not usable. Stored, so never rename a value."""

    NONE = ""
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason
    TOKEN_UNREADABLE = "token_unreadable"  # noqa: S105 - a reason
    SCOPE_MISSING = "scope_missing"
    NOT_ACTIVE = "not_active"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    UNREACHABLE = "unreachable"
    BAD_ANSWER = "bad_answer"


NEEDS_PERSON = frozenset(
    {
        Trouble.TOKEN_REFUSED,
        Trouble.TOKEN_UNREADABLE,
        Trouble.SCOPE_MISSING,
        Trouble.NOT_ACTIVE,
        Trouble.FORBIDDEN,
        Trouble.BAD_ANSWER,
    }
)
"""Problems that need a person: no retry solves them."""


@dataclass(frozen=True, slots=True)
class UnreadEntry:
    """An entry of a list of OpenTrain's that cannot be read: its position from 1, and why.

    `id` is the ID of what it is about, None if that cannot be read either: then the entry may be any of them.
    """

    position: int
    id: str | None
    why: str

    @property
    def words(self) -> str:
        named = f" ({self.id})" if self.id is not None else ""
        return f"entry {self.position}{named}: {self.why}"


def disconnected(*, by: str, at: datetime, now: datetime) -> str:
    """Say that an install is disconnected, since when, and what that means for what is shown of it."""
    return (
        f"Disconnected by {by} at {clock(then=at, now=now)}: Redeliver no longer reads or changes this install's "
        "endpoints, so their state is not known. Its log stays until retention deletes it."
    )


def unread_words(entries: Sequence[UnreadEntry]) -> str:
    """Say which entries of the list could not be read, why, and what follows; empty if there are none."""
    if not entries:
        return ""
    words = f"OpenTrain's list of endpoints has {named_entries(entries)}."
    if any(one.id is None for one in entries):
        words += " Without its ID, no endpoint that is missing from the list counts as deleted."
    return f"{words} The other endpoints are up to date. Report this to OpenTrain's support."


def named_entries(entries: Sequence[UnreadEntry]) -> str:
    """Count the entries that cannot be read, and name the first ones: "an entry that Redeliver cannot read: …"."""
    count = len(entries)
    many = "an entry" if count == 1 else f"{count:,} entries"
    named = [one.words for one in entries[:NAMED]]
    more = [f"and {count - NAMED:,} more"] if count > NAMED else []
    return f"{many} that Redeliver cannot read: {'; '.join([*named, *more])}"
