"""What a token may read of OpenTrain beside endpoints, and what to say where it may not.

A scope that is missing is no error: the customer has not granted it. What it would show is not known.

Source: partner-api, "Links, contracts and budgets".
"""

from collections.abc import Collection
from enum import StrEnum


class Read(StrEnum):
    """A kind of read. The value is its scope."""

    LINKS = "project-links:read"
    CONTRACTS = "contracts:read"
    PARTICIPANTS = "participants:read"


_IMPLIED_BY = {Read.LINKS: "project-links:write"}


def is_allowed(read: Read, *, scopes: Collection[str]) -> bool:
    """Return whether a token with these scopes may read it."""
    return read.value in scopes or _IMPLIED_BY.get(read) in scopes


def not_known(reads: Collection[Read], *, scopes: Collection[str]) -> str:
    """Say why something is not known, and what to do, if the token may not read all of `reads`; else return ""."""
    lacking = [read.value for read in reads if not is_allowed(read, scopes=scopes)]
    if not lacking:
        return ""
    named, it = " and ".join(lacking), "this scope" if len(lacking) == 1 else "these scopes"
    return (
        f"Not known, because this token lacks {named}. Add {it} to your platform app, ask the customer to connect "
        "again, then replace this install's token."
    )
