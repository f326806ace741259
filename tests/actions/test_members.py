"""Members: invitations, their links, roles, and deactivation."""

import threading
from datetime import timedelta

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.db import connection
from django.test import Client
from django.utils import timezone

from dashboard.actions import members
from dashboard.actions.audit import NotedBefore
from dashboard.actions.members import NotPossible
from dashboard.models import AuditEntry, Grant, Install, Role, User
from dashboard.queries.second_factors import factors_of
from tests.factories import make_grant, make_install, make_user

pytestmark = pytest.mark.django_db
PASSWORD = "a-quite-long-password"
HELD = "authenticator app, recovery codes left: 10"


def noted() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.order_by("id").values_list("actor_name", "action", "words"))


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    assert client.get("/help/keys/").status_code == 200
    return client


def is_signed_in(client: Client) -> bool:
    return client.get("/help/keys/").status_code == 200


def test_invited_member_sets_a_password_by_the_link_and_signs_in_with_it(support_lead: User) -> None:
    member, code = members.invite(actor=support_lead, username="vic", role=Role.VIEWER, now=timezone.now())
    assert members.owner_of(code=code.reveal()) == member
    assert members.set_password(code=code.reveal(), password=PASSWORD) == member
    assert Client().login(username="vic", password=PASSWORD)
    assert noted() == [
        ("lea", "invite member", "vic was invited as viewer."),
        ("vic", "set password", "vic set a password with the link."),
    ]


def test_link_that_was_used_does_not_work_again(support_lead: User) -> None:
    _, code = members.invite(actor=support_lead, username="vic", role=Role.VIEWER, now=timezone.now())
    members.set_password(code=code.reveal(), password=PASSWORD)
    assert members.set_password(code=code.reveal(), password="another-long-password") is None
    assert Client().login(username="vic", password=PASSWORD)


def test_link_stops_working_when_a_new_one_is_made(support_lead: User) -> None:
    member, first = members.invite(actor=support_lead, username="vic", role=Role.VIEWER, now=timezone.now())
    second = members.new_link(actor=support_lead, member=member, now=timezone.now())
    assert members.owner_of(code=first.reveal()) is None
    assert members.owner_of(code=second.reveal()) == member


def test_link_stops_working_when_it_is_too_old(support_lead: User, monkeypatch: pytest.MonkeyPatch) -> None:
    _, code = members.invite(actor=support_lead, username="vic", role=Role.VIEWER, now=timezone.now())
    late = members._tokens._now() + members.link_lasts() + timedelta(seconds=2)
    monkeypatch.setattr(members._tokens, "_now", lambda: late)
    assert members.owner_of(code=code.reveal()) is None


def test_link_stops_working_when_the_member_is_deactivated_even_once_reactivated(support_lead: User) -> None:
    member, code = members.invite(actor=support_lead, username="vic", role=Role.VIEWER, now=timezone.now())
    members.set_active(actor=support_lead, member=member, active=False)
    assert members.owner_of(code=code.reveal()) is None
    members.set_active(actor=support_lead, member=member, active=True)
    assert members.owner_of(code=code.reveal()) is None


def test_link_goes_on_working_when_the_role_is_changed(support_lead: User) -> None:
    member, code = members.invite(actor=support_lead, username="vic", role=Role.VIEWER, now=timezone.now())
    members.change_role(actor=support_lead, member=member, role=Role.SUPPORT)
    assert members.owner_of(code=code.reveal()) == member


@pytest.mark.parametrize("code", ["", ".", "1.", "x.y", "9" * 40 + ".a-b", "²." + "a-b", "0.a-b", "1.a-b.c", "-1.a"])
def test_code_that_is_nonsense_is_nobodys(code: str) -> None:
    assert members.owner_of(code=code) is None


def test_link_of_one_member_is_not_anothers(support_lead: User) -> None:
    _, code = members.invite(actor=support_lead, username="vic", role=Role.VIEWER, now=timezone.now())
    other, _ = members.invite(actor=support_lead, username="wim", role=Role.SUPPORT, now=timezone.now())
    assert members.owner_of(code=f"{other.pk}.{code.reveal().partition('.')[2]}") is None


def test_invitation_sent_twice_makes_one_account(support_lead: User) -> None:
    asked = {"actor": support_lead, "role": Role.VIEWER, "now": timezone.now(), "operation": AuditEntry().operation}
    members.invite(username="vic", **asked)
    with pytest.raises(NotedBefore):
        members.invite(username="vic2", **asked)
    with pytest.raises(NotPossible, match=r"An account named vic already exists."):
        members.invite(actor=support_lead, username="vic", role=Role.VIEWER, now=timezone.now())
    assert User.objects.filter(username__startswith="vic").count() == 1


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.PARTNER_ADMIN, Role.NONE])
def test_change_of_role_ends_the_sessions(role: Role, viewer: User, support_lead: User) -> None:
    browser = signed_in(viewer)
    members.change_role(actor=support_lead, member=viewer, role=role)
    assert not is_signed_in(browser)


def test_session_of_before_does_not_come_back_with_the_role(viewer: User, support_lead: User) -> None:
    browser = signed_in(viewer)
    key = browser.session.session_key
    members.change_role(actor=support_lead, member=viewer, role=Role.SUPPORT)
    members.change_role(actor=support_lead, member=viewer, role=Role.VIEWER)
    assert browser.session.session_key == key
    assert not is_signed_in(browser)
    assert noted()[0] == ("lea", "change role", "vera was viewer and is now support.")


def test_deactivation_ends_the_sessions_and_reactivation_does_not_bring_them_back(
    viewer: User, support_lead: User
) -> None:
    browser = signed_in(viewer)
    members.set_active(actor=support_lead, member=viewer, active=False)
    assert not Client().login(username="vera", password="a-long-password")
    members.set_active(actor=support_lead, member=viewer, active=True)
    assert not is_signed_in(browser)
    assert Client().login(username="vera", password="a-long-password")
    assert [action for who, action, _ in noted() if who == "lea"] == ["deactivate member", "reactivate member"]


def test_password_by_link_ends_the_sessions(viewer: User, support_lead: User) -> None:
    browser = signed_in(viewer)
    code = members.new_link(actor=support_lead, member=viewer, now=timezone.now())
    assert is_signed_in(browser)
    members.set_password(code=code.reveal(), password=PASSWORD)
    assert not is_signed_in(browser)


def test_password_changed_by_oneself_ends_the_other_sessions_and_not_this_one(viewer: User) -> None:
    here, elsewhere = signed_in(viewer), signed_in(viewer)
    form = {"oldpassword": "a-long-password", "password1": PASSWORD, "password2": PASSWORD}
    assert here.post("/accounts/password/change/", form).status_code == 302
    assert (is_signed_in(here), is_signed_in(elsewhere)) == (True, False)


def test_session_of_before_there_were_generations_goes_on(viewer: User) -> None:
    assert viewer.get_session_auth_hash() == super(User, viewer).get_session_auth_hash()


@pytest.mark.parametrize(
    "change",
    [
        lambda lea: members.change_role(actor=lea, member=lea, role=Role.SUPPORT),
        lambda lea: members.set_active(actor=lea, member=lea, active=False),
        lambda lea: members.new_link(actor=lea, member=lea, now=timezone.now()),
        lambda lea: members.forget_factors(actor=lea, member=lea),
    ],
)
def test_support_lead_does_not_lock_themselves_out(change, support_lead: User) -> None:
    make_user(role="support_lead")
    with pytest.raises(NotPossible, match=r"^You can't change your own account\."):
        change(support_lead)
    support_lead.refresh_from_db()
    assert (support_lead.role, support_lead.is_active, noted()) == ("support_lead", True, [])


@pytest.mark.parametrize("columns", [{"role": "support"}, {"is_active": False}])
def test_who_is_no_support_lead_any_more_changes_nothing(columns, support_lead: User, viewer: User, acme: Install):
    User.objects.filter(pk=support_lead.pk).update(**columns)
    other = make_install()
    for change in (
        lambda: members.change_role(actor=support_lead, member=viewer, role=Role.SUPPORT),
        lambda: members.set_active(actor=support_lead, member=viewer, active=False),
        lambda: members.invite(actor=support_lead, username="eve", role=Role.SUPPORT_LEAD, now=timezone.now()),
        lambda: members.new_link(actor=support_lead, member=viewer, now=timezone.now()),
        lambda: members.forget_factors(actor=support_lead, member=viewer),
        lambda: members.grant(actor=support_lead, member=viewer, install=other),
        lambda: members.revoke(actor=support_lead, member=viewer, install=acme),
    ):
        with pytest.raises(NotPossible, match="You are no longer a support lead"):
            change()
    assert list(viewer.grants.values_list("install", flat=True)) == [acme.pk]
    assert noted() == []


@pytest.mark.django_db(transaction=True)
def test_two_support_leads_who_demote_each_other_leave_one() -> None:
    leads = [make_user(role="support_lead", username=name) for name in ("lea", "leo")]
    together, said = threading.Barrier(2), []

    def demote(actor: User, member: User) -> None:
        together.wait(timeout=60)
        try:
            members.change_role(actor=actor, member=member, role=Role.VIEWER)
        except NotPossible as error:
            said.append(str(error))
        finally:
            connection.close()

    threads = [threading.Thread(target=demote, args=pair) for pair in (leads, leads[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert said == ["You are no longer a support lead. Nothing changed."]
    assert sorted(User.objects.values_list("role", flat=True)) == ["support_lead", "viewer"]


def test_forgotten_factors_are_gone_with_the_sessions_and_an_open_link_and_nobody_elses(
    support_lead: User, viewer: User, support: User
) -> None:
    for user in (viewer, support):
        TOTP.activate(user, "JBSWY3DPEHPK3PXP")
        RecoveryCodes.activate(user)
    browser, other = signed_in(viewer), signed_in(support)
    code = members.new_link(actor=support_lead, member=viewer, now=timezone.now())
    members.forget_factors(actor=support_lead, member=viewer)
    assert [factors_of(user=user).any for user in (viewer, support)] == [False, True]
    assert (is_signed_in(browser), is_signed_in(other)) == (False, True)
    assert members.owner_of(code=code.reveal()) is None
    assert noted()[-1] == (
        "lea",
        "forget second factors",
        f"The second factors of vera were removed, and their sessions ended. Removed: {HELD}.",
    )


def test_factors_that_there_are_none_of_are_not_forgotten(support_lead: User, viewer: User) -> None:
    browser = signed_in(viewer)
    with pytest.raises(NotPossible, match=r"^vera has no second factor\. Nothing changed\.$"):
        members.forget_factors(actor=support_lead, member=viewer)
    assert (is_signed_in(browser), noted()) == (True, [])


def test_factors_forgotten_twice_by_one_form_are_forgotten_once(support_lead: User, viewer: User) -> None:
    operation = AuditEntry().operation
    TOTP.activate(viewer, "JBSWY3DPEHPK3PXP")
    members.forget_factors(actor=support_lead, member=viewer, operation=operation)
    TOTP.activate(viewer, "JBSWY3DPEHPK3PXP")
    with pytest.raises(NotedBefore):
        members.forget_factors(actor=support_lead, member=viewer, operation=operation)
    assert factors_of(user=viewer).any


def test_grant_lets_see_and_revocation_ends_that_with_the_next_click(support_lead: User, acme: Install) -> None:
    vic = make_user(role="viewer", username="vic")
    browser = signed_in(vic)
    members.grant(actor=support_lead, member=vic, install=acme)
    members.grant(actor=support_lead, member=vic, install=acme)
    assert list(Install.objects.visible_to(vic)) == [acme]
    members.revoke(actor=support_lead, member=vic, install=acme)
    members.revoke(actor=support_lead, member=vic, install=acme)
    assert (is_signed_in(browser), browser.get(f"/installs/{acme.pk}/").status_code) == (True, 404)
    assert noted() == [
        ("lea", "grant install", "vic can see Acme Labs."),
        ("lea", "revoke install", "vic can no longer see Acme Labs."),
    ]
    assert set(AuditEntry.objects.values_list("install", flat=True)) == {acme.pk}


def test_form_that_was_sent_before_changes_nothing(support_lead: User, viewer: User, acme: Install) -> None:
    operation = AuditEntry().operation
    members.revoke(actor=support_lead, member=viewer, install=acme, operation=operation)
    make_grant(user=viewer, install=acme)
    with pytest.raises(NotedBefore):
        members.revoke(actor=support_lead, member=viewer, install=acme, operation=operation)
    assert Grant.objects.filter(user=viewer).count() == 1


def test_last_lead_is_the_only_active_one(support_lead: User) -> None:
    assert members.is_last_lead(member=support_lead)
    other = make_user(role="support_lead", is_active=False)
    assert (members.is_last_lead(member=support_lead), members.is_last_lead(member=other)) == (True, False)
    User.objects.update(is_active=True)
    assert not members.is_last_lead(member=support_lead)
