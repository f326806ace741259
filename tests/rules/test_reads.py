"""What a token may read, and the words where it may not."""

import pytest

from dashboard.rules.reads import Read, is_allowed, not_known


@pytest.mark.parametrize(
    ("read", "scopes", "allowed"),
    [
        (Read.LINKS, ("project-links:read",), True),
        (Read.LINKS, ("project-links:write",), True),
        (Read.LINKS, ("contracts:read",), False),
        (Read.CONTRACTS, ("contracts:read",), True),
        (Read.CONTRACTS, ("project-links:write", "participants:read"), False),
        (Read.PARTICIPANTS, ("participants:email",), False),
        (Read.PARTICIPANTS, (), False),
    ],
)
def test_read_needs_its_scope_or_one_that_implies_it(read: Read, scopes: tuple[str, ...], allowed: bool) -> None:
    assert is_allowed(read, scopes=scopes) is allowed


def test_missing_scope_is_named_with_what_to_do() -> None:
    assert not_known([Read.LINKS, Read.CONTRACTS], scopes=["project-links:write"]) == (
        "Not known, because this token lacks contracts:read. Add this scope to your platform app, ask the customer to "
        "connect again, then replace this install's token."
    )


def test_missing_scopes_are_named_together() -> None:
    words = not_known([Read.LINKS, Read.CONTRACTS], scopes=["webhooks:manage"])
    assert words.startswith(
        "Not known, because this token lacks project-links:read and contracts:read. Add these scopes"
    )


def test_nothing_is_said_where_everything_may_be_read() -> None:
    assert not_known([Read.LINKS, Read.CONTRACTS], scopes=["project-links:read", "contracts:read"]) == ""
