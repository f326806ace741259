"""The limit of concurrent waits."""

import pytest

from dashboard.services.bulkhead import Full, Waits


def test_wait_beyond_the_limit_of_its_name_is_refused_and_others_are_not() -> None:
    waits = Waits()
    with waits.one(name="a", most=3, most_of_name=1):
        with pytest.raises(Full), waits.one(name="a", most=3, most_of_name=1):
            pass
        with waits.one(name="b", most=3, most_of_name=1):
            pass
    with waits.one(name="a", most=3, most_of_name=1):
        pass


def test_wait_beyond_the_limit_of_all_is_refused_until_one_ends() -> None:
    waits = Waits()
    with waits.one(name="b", most=2, most_of_name=2):
        with (
            waits.one(name="a", most=2, most_of_name=2),
            pytest.raises(Full),
            waits.one(name="c", most=2, most_of_name=2),
        ):
            pass
        with waits.one(name="c", most=2, most_of_name=2):
            pass


def test_wait_that_ends_by_an_error_leaves_its_place() -> None:
    waits = Waits()
    with pytest.raises(ZeroDivisionError), waits.one(name="a", most=1, most_of_name=1):
        raise ZeroDivisionError
    with waits.one(name="a", most=1, most_of_name=1):
        pass
