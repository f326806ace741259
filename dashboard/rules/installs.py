"""Problems of an install: why its last sync with OpenTrain failed."""

from enum import StrEnum


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
