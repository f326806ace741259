"""Rows are written as they are given, alone and in groups: the same values, in few statements."""

import pytest

from dashboard.actions.deliveries.groups import record_group
from tests.actions.deliveries.recorded import DELIVERY_COLUMNS, attempt, log_of, record_alone
from tests.factories import make_endpoint


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [
        {
            "body": bytes(range(256)),
            "response_head": b"\\x00\\",
            "request_headers": [['"', "\\ \u00e4 \U0001f600 null"]],
        },
        {"body": b"", "response_head": b"", "request_headers": [], "response_headers": []},
        {"body": None, "handler_status": None, "answered_in_time": False, "handler_url": "https://h.example.com/a'b,c"},
    ],
    ids=["any characters", "empty", "none"],
)
def test_group_stores_the_values_that_a_single_attempt_stores(values) -> None:
    together, alone = make_endpoint(), make_endpoint()
    given = [attempt(together, f"dlv_{number}", **values) for number in range(2)]
    record_group(attempts=given)
    for one in given:
        record_alone(one, endpoint=alone)
    assert log_of(together) == log_of(alone)
    assert log_of(together)[0][0][DELIVERY_COLUMNS.index("body")] == values["body"]
