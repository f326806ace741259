"""What a member's page says of a role."""

import pytest

from dashboard.models import User
from dashboard.presenters.members import sees_words


@pytest.mark.parametrize(
    ("role", "granted", "words"),
    [
        ("support", 0, "Support sees every install."),
        ("support", 2, "Support sees every install; what is granted below matters when the role changes."),
        ("", 0, "Without a role they see none."),
        ("", 2, "Without a role they see none, not even what is granted below."),
        ("viewer", 2, ""),
    ],
)
def test_role_says_what_grants_are_worth(role: str, granted: int, words: str) -> None:
    assert sees_words(User(role=role), granted=granted) == words
