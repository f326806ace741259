"""A statement that takes too long is ended."""

import pytest

from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.models import Delivery


def test_time_limit_ends_a_statement_and_leaves_the_connection_usable(db: None) -> None:
    with pytest.raises(TooSlow), at_most(ms=20):
        Delivery.objects.raw("SELECT 1 AS id, pg_sleep(2)")[0]
    assert Delivery.objects.count() == 0
