"""The confirmation before a member is changed: every consequence, and where the form goes."""

from typing import Any

import pytest
from django.urls import reverse

from dashboard.models import Install, Role, User
from dashboard.presenters.members import (
    NAMED,
    of_deactivation,
    of_lost_factors,
    of_revocation,
    of_role,
    role_words,
    sees_words,
)
from dashboard.queries.second_factors import Factors
from tests.factories import make_channel, make_grant, make_user

pytestmark = pytest.mark.django_db
FACTORS = Factors(app=None, passkeys=2, codes_left=8)


def test_every_role_has_words_of_its_own() -> None:
    assert len({role_words(role) for role in Role}) == len(Role)


@pytest.mark.parametrize("role", list(Role))
def test_confirmation_of_a_role_sends_that_role_to_the_member(role: Role, viewer: User) -> None:
    found = of_role(viewer, role)
    assert (found.role, found.action) == (role.value, reverse("member-role", args=[viewer.pk]))
    assert "vera" in found.title
    assert role_words(role)[1:] in found.words[0]


def test_change_of_role_says_how_many_installs_they_will_see(viewer: User, support: User) -> None:
    assert any(words.startswith("1 install is") for words in of_role(viewer, Role.PARTNER_ADMIN).words)
    assert any(words.startswith("No install is") for words in of_role(support, Role.VIEWER).words)
    assert not any("install is" in words for words in of_role(viewer, Role.SUPPORT).words)


def test_runs_are_named_only_where_they_stop(partner_admin: User, viewer: User) -> None:
    def stops(member: User, role: Role) -> int:
        return len(of_role(member, role).words)

    assert stops(partner_admin, Role.VIEWER) - stops(viewer, Role.PARTNER_ADMIN) == 1


def test_channels_that_go_on_are_named_up_to_a_number(support: User, acme: Install) -> None:
    quiet = len(of_deactivation(support).words)
    make_channel(name="Night watch", made_by=support, install=acme)
    found = of_deactivation(support)
    assert len(found.words) == quiet + 2
    assert any("“Night watch”" in words and "Acme Labs" in words for words in found.words)
    for _ in range(NAMED):
        make_channel(made_by=support)
    [named] = [words for words in of_deactivation(support).words if "“Night watch”" in words]
    assert (named.count("“"), "and others" in named) == (NAMED, True)


def test_channels_of_others_are_not_named(support: User) -> None:
    before = of_deactivation(support).words
    make_channel(made_by=make_user())
    assert of_deactivation(support).words == before


def test_lost_factors_are_named_with_what_is_left_to_sign_in_by(support: User, settings: Any) -> None:
    settings.MFA_REQUIRED_ROLES, settings.OIDC_NAME = ["support"], "Example SSO"
    required = of_lost_factors(support, FACTORS)
    assert str(FACTORS) in required.words[0]
    assert required.action == reverse("member-forget-factors", args=[support.pk])
    settings.MFA_REQUIRED_ROLES = []
    assert set(of_lost_factors(support, FACTORS).words) != set(required.words)
    support.set_unusable_password()
    assert any("Example SSO" in words for words in of_lost_factors(support, FACTORS).words)
    settings.OIDC_NAME = ""
    assert not any("Example SSO" in words for words in of_lost_factors(support, FACTORS).words)


def test_open_link_is_said_to_stop_working(support: User) -> None:
    before = len(of_lost_factors(support, FACTORS).words)
    support.link_made_at = support.date_joined
    assert len(of_lost_factors(support, FACTORS).words) == before + 1


def test_revocation_names_the_install_and_its_channels_alone(partner_admin: User, acme: Install) -> None:
    make_channel(name="Of all", made_by=partner_admin)
    make_channel(name="Of Acme", made_by=partner_admin, install=acme)
    found = of_revocation(partner_admin, acme)
    said = " ".join(found.words)
    assert ("Acme Labs" in said, "Of Acme" in said, "Of all" in said) == (True, True, False)
    assert found.action == reverse("member-revoke", args=[partner_admin.pk, acme.pk])


def test_revocation_from_someone_who_may_do_little_has_less_to_say(
    partner_admin: User, viewer: User, acme: Install
) -> None:
    make_grant(user=make_user(role="viewer"), install=acme)
    assert len(of_revocation(viewer, acme).words) < len(of_revocation(partner_admin, acme).words)


@pytest.mark.parametrize(
    ("role", "granted", "words"),
    [
        ("support", 0, "Support sees every install."),
        ("support", 2, "Support sees every install; the grants below apply if the role changes."),
        ("", 0, "Without a role they see no installs."),
        ("", 2, "Without a role they see no installs, not even those granted below."),
        ("viewer", 2, ""),
    ],
)
def test_role_says_what_grants_are_worth(role: str, granted: int, words: str) -> None:
    assert sees_words(User(role=role), granted=granted) == words
