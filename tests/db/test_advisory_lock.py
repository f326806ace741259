"""One worker at a time, by a session-level or a transaction-level lock. Both use the same key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from dashboard import db
from dashboard.db.advisory_lock import alone, alone_in_transaction

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other() -> Iterator[BaseDatabaseWrapper]:
    """Another worker's connection."""
    found = connection.copy()
    yield found
    found.close()


def is_free(other: BaseDatabaseWrapper, *, name: str = "redeliver.test", number: int = 0) -> bool:
    """Return whether another worker can take the lock; release it again."""
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, %s))", [name, number])
        taken = cursor.fetchone()[0]
        if taken:
            cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, %s))", [name, number])
    return bool(taken)


def test_alone_holds_the_lock_for_the_block_and_over_its_transactions(other: BaseDatabaseWrapper) -> None:
    with alone(name="redeliver.test") as mine:
        with transaction.atomic():
            assert mine
        assert not is_free(other)
        assert is_free(other, number=1)
    assert is_free(other)


def test_alone_gives_the_lock_back_after_an_error(other: BaseDatabaseWrapper) -> None:
    with pytest.raises(ZeroDivisionError), alone(name="redeliver.test"):
        raise ZeroDivisionError
    assert is_free(other)


def test_alone_in_transaction_holds_the_lock_until_it_ends(other: BaseDatabaseWrapper) -> None:
    with transaction.atomic():
        assert alone_in_transaction(name="redeliver.test")
        assert not is_free(other)
    assert is_free(other)


@pytest.mark.parametrize("number", [0, 7])
def test_both_yield_to_the_worker_that_holds_it(other: BaseDatabaseWrapper, number: int) -> None:
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('redeliver.test', %s))", [number])
    with alone(name="redeliver.test", number=number) as mine, transaction.atomic():
        assert (mine, alone_in_transaction(name="redeliver.test", number=number)) == (False, False)
    assert not is_free(connection, number=number)  # it does not release a lock that it does not hold


def test_nothing_else_takes_advisory_locks() -> None:
    root = Path(db.__file__).parent.parent
    modules = [path for path in root.rglob("*.py") if "advisory_" in path.read_text(encoding="utf-8")]
    users = {path.relative_to(root).as_posix() for path in modules if "pg_" in path.read_text(encoding="utf-8")}
    assert users == {"db/advisory_lock.py"}
