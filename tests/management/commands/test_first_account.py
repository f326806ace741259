"""`first_account` says how to create an account as long as there is none."""

import pytest

from dashboard.management.commands.first_account import NO_ACCOUNT
from tests.factories import make_user
from tests.management.commands.test_forget_factors import run

pytestmark = pytest.mark.django_db


def test_it_is_said_until_there_is_an_account() -> None:
    assert run("first_account") == f"{NO_ACCOUNT}\n"
    make_user(is_active=False)
    assert run("first_account") == ""
