"""The statement timeout cancels slow statements."""

import pytest
from django.db import OperationalError, connection

from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.models import Delivery


def test_time_limit_ends_a_statement_and_leaves_the_connection_usable(db: None) -> None:
    with pytest.raises(TooSlow), at_most(ms=20):
        Delivery.objects.raw("SELECT 1 AS id, pg_sleep(30)")[0]
    assert Delivery.objects.count() == 0


def shown() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_limit_is_of_each_statement_and_ends_with_the_block() -> None:
    before = shown()
    with at_most(ms=60_000):
        assert shown() == "1min"
    assert shown() == before


@pytest.mark.django_db(transaction=True)
def test_other_failures_are_not_called_slow() -> None:
    with pytest.raises(OperationalError) as raised, at_most(ms=60_000):
        raise OperationalError("the connection is lost")
    assert str(raised.value) == "the connection is lost"
