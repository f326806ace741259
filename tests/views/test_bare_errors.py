"""Errors of the receiver's process: JSON with a message, without internal details."""

import json

import pytest
from django.http import HttpRequest

from dashboard.views import bare_errors

SECRET = Exception("c4n4ry")
ANSWERS = {
    400: bare_errors.bad_request(HttpRequest(), SECRET),
    403: bare_errors.permission_denied(HttpRequest(), SECRET),
    404: bare_errors.not_found(HttpRequest(), SECRET),
    500: bare_errors.failed(HttpRequest()),
}


@pytest.mark.parametrize("status", list(ANSWERS))
def test_error_is_json_with_its_status_and_says_nothing_of_the_exception(status: int) -> None:
    answer = ANSWERS[status]
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/json")
    said = json.loads(answer.content)
    assert list(said) == ["error"]
    assert said["error"]
    assert "c4n4ry" not in said["error"]


def test_errors_can_be_told_apart() -> None:
    assert len({answer.content for answer in ANSWERS.values()}) == len(ANSWERS)
