"""Members: what each role lets them see, and when their sessions expire."""

import pytest
from django.db import IntegrityError, transaction

from dashboard.models import Role, User
from tests.factories import make_grant, make_install, make_user


@pytest.mark.parametrize(
    ("role", "every", "granted"),
    [
        (Role.SUPPORT_LEAD, True, False),
        (Role.SUPPORT, True, False),
        (Role.PARTNER_ADMIN, False, True),
        (Role.VIEWER, False, True),
        (Role.NONE, False, False),
    ],
)
def test_role_says_which_installs_are_seen(role: Role, every: bool, granted: bool) -> None:
    user = User(role=role)
    assert (user.sees_every_install, user.sees_granted_installs) == (every, granted)


def test_every_role_is_in_the_table_above() -> None:
    assert {role.value for role in Role} == {"support_lead", "support", "partner_admin", "viewer", ""}


def test_session_of_the_first_generation_is_djangos_own() -> None:
    user = User(password="hashed")
    assert user.get_session_auth_hash() == super(User, user).get_session_auth_hash()


def test_next_generation_ends_sessions_under_every_key(settings) -> None:
    settings.SECRET_KEY_FALLBACKS = ["an-older-key"]
    before, after = User(password="hashed"), User(password="hashed", session_generation=1)
    hashes = [[user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()] for user in (before, after)]
    assert [len(found) for found in hashes] == [2, 2]
    assert set(hashes[0]).isdisjoint(hashes[1])


@pytest.mark.django_db
def test_grant_is_once_for_a_member_and_an_install() -> None:
    grant = make_grant(user=make_user(username="vera"), install=make_install(name="Acme Labs"))
    assert str(grant) == "vera on Acme Labs"
    with pytest.raises(IntegrityError), transaction.atomic():
        make_grant(user=grant.user, install=grant.install)
