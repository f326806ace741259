"""The ID of an operation: stable until its answer is recorded, and unguessable for other users."""

import uuid
from typing import Any

import pytest

from dashboard.presenters.operations import operation_id

BUTTON: dict[str, Any] = {"user_id": 1, "action": "enable", "subject": "7", "last_answer": 42}


def test_name_is_the_same_however_often_the_page_is_drawn() -> None:
    assert operation_id(**BUTTON) == operation_id(**BUTTON)
    assert operation_id(**BUTTON).version == 4


@pytest.mark.parametrize("change", [{"user_id": 2}, {"action": "redeliver"}, {"subject": "8"}, {"last_answer": 43}])
def test_name_is_another_for_another_person_action_subject_or_answer(change: dict[str, Any]) -> None:
    assert operation_id(**BUTTON | change) != operation_id(**BUTTON)


def test_name_needs_our_key(settings: Any) -> None:
    before = operation_id(**BUTTON)
    settings.SECRET_KEY = "another"
    assert operation_id(**BUTTON) != before
    assert isinstance(before, uuid.UUID)
