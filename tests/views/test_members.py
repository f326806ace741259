"""The pages of members: what a support lead sees, the confirmation before a risky change, and the message after it."""

import html
import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.test import Client
from django.urls import reverse

from dashboard.models import AuditEntry, Install, Role, User
from tests.factories import make_channel, make_grant, make_install, make_user


@pytest.fixture
def lea(support_lead: User, client: Client) -> Client:
    client.force_login(support_lead)
    return client


def words_of(response: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def link_in(response: Any) -> str:
    return re.search(r'<code id="secret">([^<]+)</code>', response.content.decode())[1]


def test_list_shows_role_installs_and_last_sign_in(lea: Client, viewer: User, support: User) -> None:
    make_user(username="nick", role="viewer")
    make_user(username="dora", role="partner_admin", is_active=False)
    page = words_of(lea.get(reverse("member-list")))
    assert "ana Support every install never" in page
    assert "Deactivated dora Partner admin none granted yet never" in page
    assert "lea you Support lead every install" in page
    assert "nick Viewer none granted yet never" in page
    assert "vera Viewer 1 granted never" in page


def test_list_of_one_says_how_others_come_in(lea: Client) -> None:
    said = "Only you can sign in so far. Invite a member"
    assert said in words_of(lea.get(reverse("member-list")))
    assert said not in words_of(lea.get(f"{reverse('member-list')}?role=support_lead"))
    make_user(username="nick", role="viewer")
    assert said not in words_of(lea.get(reverse("member-list")))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("q=ver", ["vera"]),
        ("role=viewer", ["otto", "vera"]),
        ("role=nonsense", ["lea", "otto", "vera"]),
        ("install={acme}", ["vera"]),
        ("install=x&page=99", ["lea", "otto", "vera"]),
    ],
)
def test_list_is_narrowed_by_its_address(query: str, shown: list[str], lea: Client, viewer: User, acme: Install):
    make_user(username="otto", role="viewer")
    response = lea.get(f"{reverse('member-list')}?{query.format(acme=acme.pk)}")
    assert [row.member.username for row in response.context["rows"]] == shown


def test_list_of_hundreds_is_paged(lea: Client) -> None:
    User.objects.bulk_create(User(username=f"m{number:04}", role="viewer") for number in range(120))
    first, last = lea.get("/members/"), lea.get("/members/?page=3")
    assert [len(page.context["rows"]) for page in (first, last)] == [50, 21]
    assert [(link.label, link.url) for link in first.context["pager"].links] == [("Next", "?q=&role=&install=&page=2")]
    assert [(link.label, link.url) for link in last.context["pager"].links] == [
        ("Previous", "?q=&role=&install=&page=2")
    ]


def test_invitation_shows_the_link_once_and_nowhere_else(lea: Client) -> None:
    answer = lea.post(reverse("member-invite"), {"username": "vic", "role": "viewer"})
    link, vic = link_in(answer), User.objects.get(username="vic")
    assert link.startswith("http://testserver/accounts/set-password/#")
    assert answer["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    code = link.partition("#")[2].partition(".")[2]
    elsewhere = [lea.get(reverse("member-detail", args=[vic.pk])), lea.get(reverse("member-list"))]
    assert [code in page.content.decode() for page in elsewhere] == [False, False]
    assert code not in str(list(AuditEntry.objects.values()))
    assert "Invited" in words_of(elsewhere[1])


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"username": "LEA", "role": "viewer"}, "An account with this name already exists."),
        ({"username": "", "role": "viewer"}, "Enter a user name."),
        ({"username": "a b", "role": "viewer"}, "Enter a valid username."),
        ({"username": "vic", "role": "king"}, "Select a valid choice."),
        ({"username": "vic", "role": ""}, "This field is required."),
    ],
)
def test_invitation_that_is_not_filled_in_right_makes_no_account(form: dict[str, str], said: str, lea: Client) -> None:
    answer = lea.post(reverse("member-invite"), form)
    assert (answer.status_code, said in words_of(answer), User.objects.count()) == (422, True, 1)


def test_invitation_sent_twice_says_that_the_link_was_shown_then(lea: Client) -> None:
    form = {"role": "viewer", "operation": "6f1c4f0a-7a55-4f5c-9a93-0e0f6f5b8a11"}
    lea.post(reverse("member-invite"), form | {"username": "vic"})
    answer = lea.post(reverse("member-invite"), form | {"username": "vicky"})
    assert "This form was already sent, and its link was shown then." in words_of(answer)
    assert not User.objects.filter(username="vicky").exists()


def test_change_of_role_says_first_what_it_means(lea: Client, partner_admin: User, acme: Install) -> None:
    make_channel(install=acme, made_by=partner_admin, name="On-call", shown_as="paul@acme.example.com")
    address = reverse("member-role", args=[partner_admin.pk])
    asked = words_of(lea.get(f"{address}?role=viewer"))
    assert (
        "Make paul viewer? What happens: From now on: sees granted installs, and cannot change anything."
        " 1 install is granted to them."
        " Their unfinished recoveries and redeliveries stop."
        " All their sessions are signed out immediately."
        " The alert channel that they set up stays active, so that no alert is missed:"
        " “On-call” to paul@acme.example.com, for Acme Labs."
        " Under Alerts, Channels, change or delete those that should no longer reach them." in asked
    )
    partner_admin.refresh_from_db()
    assert partner_admin.role == "partner_admin"
    done = lea.post(address, {"role": "viewer"}, follow=True)
    partner_admin.refresh_from_db()
    assert (partner_admin.role, "paul is now viewer." in words_of(done)) == ("viewer", True)


@pytest.mark.parametrize("asked", ["king", "partner_admin"])
def test_role_that_there_is_not_or_that_they_have_changes_nothing(asked: str, lea: Client, partner_admin: User) -> None:
    for response in (
        lea.get(reverse("member-role", args=[partner_admin.pk]), {"role": asked}),
        lea.post(reverse("member-role", args=[partner_admin.pk]), {"role": asked}),
    ):
        assert response["Location"] == reverse("member-detail", args=[partner_admin.pk])
    assert not AuditEntry.objects.filter(action="change role").exists()


def test_support_leads_own_page_offers_no_way_to_lock_oneself_out(lea: Client, support_lead: User) -> None:
    page = lea.get(reverse("member-detail", args=[support_lead.pk])).content.decode()
    own = [reverse(f"member-{name}", args=[support_lead.pk]) for name in ("role", "deactivate", "link")]
    assert [address in page for address in own] == [False, False, False]
    said = [words_of(lea.post(address, {"role": "viewer"}, follow=True)) for address in own]
    assert ["You can't change your own account." in words for words in said] == [True, True, True]
    support_lead.refresh_from_db()
    assert (support_lead.role, support_lead.is_active) == (Role.SUPPORT_LEAD, True)


def test_deactivated_member_is_signed_out_and_can_be_reactivated(lea: Client, viewer: User) -> None:
    vera = Client()
    vera.force_login(viewer)
    assert "Deactivate vera?" in words_of(lea.get(reverse("member-deactivate", args=[viewer.pk])))
    assert vera.get("/").status_code == 200
    said = words_of(lea.post(reverse("member-deactivate", args=[viewer.pk]), follow=True))
    assert "vera is signed out and can no longer sign in." in said
    assert vera.get("/")["Location"] == "/accounts/login/?next=/"
    link = lea.post(reverse("member-link", args=[viewer.pk]), follow=True)
    assert "vera is deactivated. Reactivate the account first." in words_of(link)
    assert "vera can sign in again." in words_of(lea.post(reverse("member-reactivate", args=[viewer.pk]), follow=True))
    assert vera.get("/")["Location"] == "/accounts/login/?next=/"


def test_deactivation_names_first_the_alert_channels_that_go_on(lea: Client, support: User, acme: Install) -> None:
    for number in range(1, 12):
        make_channel(made_by=support, name=f"Night {number:02}", shown_as=f"https://chat.example.com/…{number:04}")
    make_channel(install=acme, made_by=support, name="Acme's own", shown_as="ana@example.com")
    make_channel(name="Somebody else's")
    asked = words_of(lea.get(reverse("member-deactivate", args=[support.pk])))
    nights = [
        f"“Night {number:02}” to https://chat.example.com/…{number:04}, for all installs" for number in range(1, 10)
    ]
    assert (
        "The alert channels that they set up stay active, so that no alert is missed: "
        + "; ".join(["“Acme's own” to ana@example.com, for Acme Labs", *nights])
        + "; and others. Under Alerts, Channels, change or delete those that should no longer reach them."
        in asked
    )
    lea.post(reverse("member-deactivate", args=[support.pk]))
    page = words_of(lea.get(reverse("alert-channel-list")))
    assert ("set up by ana (deactivated)" in page, page.count("(deactivated)")) == (True, 12)


def protect(user: User, *, passkeys: int = 0) -> None:
    """Set up an authenticator app, recovery codes, two of them used, and passkeys."""
    TOTP.activate(user, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
    codes = RecoveryCodes.activate(user)
    for code in codes.get_unused_codes()[:2]:
        assert codes.validate_code(code)
    for number in range(passkeys):
        Authenticator.objects.create(user=user, type="webauthn", data={"name": f"Passkey {number}"})


@pytest.mark.parametrize(
    ("passkeys", "said"),
    [
        (None, "Second factors None. Times are in"),
        (0, "Second factors Authenticator app, recovery codes left: 8."),
        (1, "Second factors Authenticator app, 1 passkey, recovery codes left: 8."),
        (2, "Second factors Authenticator app, 2 passkeys, recovery codes left: 8."),
    ],
)
def test_members_page_says_which_second_factors_they_have(
    passkeys: int | None, said: str, lea: Client, viewer: User
) -> None:
    if passkeys is not None:
        protect(viewer, passkeys=passkeys)
    page = lea.get(reverse("member-detail", args=[viewer.pk]))
    offered = reverse("member-forget-factors", args=[viewer.pk]) in page.content.decode()
    assert (said in words_of(page), offered) == (True, passkeys is not None)


def test_members_page_says_that_a_factor_is_asked_for_at_the_next_sign_in(
    lea: Client, viewer: User, settings: Any
) -> None:
    settings.MFA_REQUIRED_ROLES = ["viewer"]
    page = words_of(lea.get(reverse("member-detail", args=[viewer.pk])))
    assert "None. Their role requires one: they must set it up at their next sign-in." in page


def test_taking_away_second_factors_says_first_what_is_lost(lea: Client, viewer: User) -> None:
    protect(viewer, passkeys=2)
    address = reverse("member-forget-factors", args=[viewer.pk])
    assert (
        "Remove vera's second factors? What happens:"
        " Their second factors are deleted permanently: authenticator app, 2 passkeys, recovery codes left: 8."
        " All their sessions are signed out immediately."
        " They can set up another at any time, under Your account."
        " Until then, their password alone is enough to sign in: make sure that the request comes from them."
        " You do not get a code. This action stays on record." in words_of(lea.get(address))
    )
    assert viewer.authenticator_set.count() == 4
    done = lea.post(address, follow=True)
    assert done.redirect_chain == [(reverse("member-detail", args=[viewer.pk]), 302)]
    assert "vera's second factors were removed, and their sessions ended." in words_of(done)
    assert "Second factors None." in words_of(done)
    assert viewer.authenticator_set.count() == 0


def test_taking_away_second_factors_says_what_follows_for_this_member(lea: Client, viewer: User, settings: Any) -> None:
    protect(viewer)
    settings.MFA_REQUIRED_ROLES = ["viewer"]
    viewer.set_unusable_password()
    viewer.save()
    lea.post(reverse("member-link", args=[viewer.pk]))
    asked = reverse("member-forget-factors", args=[viewer.pk])
    said = words_of(lea.get(asked))
    assert "At their next sign-in they must set up a second factor before anything else." in said
    assert "They have no password either: afterwards, create a link for them to set one." in said
    assert "Their unused link to set a password stops working." in said
    settings.OIDC_NAME = "Acme SSO"
    assert "They have no password and sign in with Acme SSO." in words_of(lea.get(asked))


def test_member_whose_role_needs_a_factor_sets_one_up_anew_at_the_next_sign_in(
    lea: Client, viewer: User, settings: Any
) -> None:
    settings.MFA_REQUIRED_ROLES = ["viewer"]
    protect(viewer)
    lea.post(reverse("member-forget-factors", args=[viewer.pk]))
    vera = Client()
    answer = vera.post("/accounts/login/", {"login": "vera", "password": "a-long-password"}, follow=True)
    assert answer.redirect_chain == [("/", 302), ("/accounts/", 302)]
    assert "Set up a second factor to continue." in words_of(answer)


def test_taking_away_what_there_is_not_says_so(lea: Client, viewer: User) -> None:
    address = reverse("member-forget-factors", args=[viewer.pk])
    asked, sent = lea.get(address, follow=True), lea.post(address, follow=True)
    assert "vera has no second factor to remove." in words_of(asked)
    assert "vera has no second factor. Nothing changed." in words_of(sent)


def test_ones_own_second_factors_are_changed_in_ones_own_account(lea: Client, support_lead: User) -> None:
    protect(support_lead)
    page = lea.get(reverse("member-detail", args=[support_lead.pk]))
    assert "Your account is where you set up and remove them." in words_of(page)
    address = reverse("member-forget-factors", args=[support_lead.pk])
    assert address not in page.content.decode()
    for answer in (lea.get(address, follow=True), lea.post(address, follow=True)):
        assert answer.redirect_chain == [("/accounts/", 302)]
        assert "Set up and remove your own second factors here." in words_of(answer)
    assert support_lead.authenticator_set.count() == 2


def test_install_among_thousands_is_found_granted_and_taken(lea: Client) -> None:
    vic = make_user(username="vic", role="viewer")
    for number in range(60):
        make_install(name=f"Customer {number:03} of many")
    rare = make_install(name="Zephyr Labs")
    page = words_of(lea.get(reverse("member-detail", args=[vic.pk])))
    assert "No installs granted yet, so they see nothing." in page
    assert "Zephyr" not in page
    many = lea.get(reverse("member-installs", args=[vic.pk]), {"q": "many"})
    assert (len(many.context["found"]), "There may be more" in words_of(many)) == (50, True)
    found = lea.get(reverse("member-installs", args=[vic.pk]), {"q": "zeph"})
    assert found.context["found"] == [(rare, False)]
    said = words_of(lea.post(reverse("member-grant", args=[vic.pk, rare.pk]), follow=True))
    assert "Zephyr Labs was granted to vic." in said
    assert lea.get(reverse("member-installs", args=[vic.pk]), {"q": "zeph"}).context["found"] == [(rare, True)]
    asked = words_of(lea.get(reverse("member-revoke", args=[vic.pk, rare.pk])))
    assert "Remove vic's access to Zephyr Labs?" in asked
    assert Install.objects.visible_to(vic).count() == 1
    lea.post(reverse("member-revoke", args=[vic.pk, rare.pk]))
    assert Install.objects.visible_to(vic).count() == 0


def test_member_with_many_grants_shows_the_first_and_how_many_there_are(lea: Client) -> None:
    vic = make_user(username="vic", role="viewer")
    for number in range(52):
        make_grant(user=vic, install=make_install(name=f"Customer {number:03}"))
    page = words_of(lea.get(reverse("member-detail", args=[vic.pk])))
    assert "Showing the first 50 of 52 by name." in page
    assert ("Customer 049" in page, "Customer 050" in page) == (True, False)


def test_members_are_in_the_menu_of_support_leads_alone(lea: Client, support: User) -> None:
    client = Client()
    client.force_login(support)
    shown = ['href="/members/"' in one.get("/help/keys/").content.decode() for one in (lea, client)]
    assert shown == [True, False]
