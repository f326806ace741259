"""Why OpenTrain's last answer for an install was none that helps."""

from enum import StrEnum


class Trouble(StrEnum):
    """Why OpenTrain's last answer for an install was none that helps. Stored, so a value is never renamed."""

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
"""What does not pass by itself, however often OpenTrain is asked."""
