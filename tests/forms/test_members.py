"""The forms for invitations and for passwords set by a link."""

import pytest
from django.http import QueryDict

from dashboard.forms.members import InviteForm, SetPasswordForm
from tests.factories import make_user

PASSWORD = "a-long-enough-one"


def query(**fields: str) -> QueryDict:
    made = QueryDict(mutable=True)
    made.update(fields)
    return made


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, []),
        ({"email": "new@example.com"}, []),
        ({"username": ""}, ["username"]),
        ({"username": "VERA"}, ["username"]),
        ({"username": "with space"}, ["username"]),
        ({"username": "x" * 151}, ["username"]),
        ({"email": "Vera@Example.com"}, ["email"]),
        ({"email": "vera"}, ["email"]),
        ({"role": ""}, ["role"]),
        ({"role": "owner"}, ["role"]),
    ],
)
def test_invitation_is_of_a_new_name_and_address_and_a_role(fields: dict[str, str], wrong: list[str]) -> None:
    make_user(username="vera", email="vera@example.com")
    form = InviteForm(query(**{"username": "wanda", "role": "viewer", **fields}))
    assert (form.is_valid(), list(form.errors)) == (not wrong, wrong)


@pytest.mark.django_db
def test_addresses_may_be_left_out_by_several() -> None:
    make_user(username="vera", email="")
    assert InviteForm(query(username="wanda", role="viewer", email="")).is_valid()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, []),
        ({"again": PASSWORD + "x"}, ["again"]),
        ({"password": "short", "again": "short"}, ["password"]),
        ({"password": "wanda-wanda", "again": "wanda-wanda"}, ["password"]),
        ({"password": "", "again": PASSWORD}, ["password"]),
        ({"code": ""}, ["code"]),
    ],
)
def test_password_is_good_enough_for_its_owner_and_typed_twice(fields: dict[str, str], wrong: list[str]) -> None:
    given = {"code": "c", "password": PASSWORD, "again": PASSWORD, **fields}
    form = SetPasswordForm(query(**given), owner=make_user(username="wanda-wanda"))
    assert (form.is_valid(), list(form.errors)) == (not wrong, wrong)


@pytest.mark.django_db
def test_password_keeps_its_spaces() -> None:
    spaced = f" {PASSWORD} "
    form = SetPasswordForm(query(code="c", password=spaced, again=spaced), owner=make_user())
    assert form.is_valid()
    assert form.cleaned_data["password"] == spaced
