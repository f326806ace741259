"""The page that an invitation's link opens."""

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.models import User
from tests.views.test_members import link_in, words_of

PASSWORD = "a-quite-long-password"


@pytest.fixture
def lea(support_lead: User, client: Client) -> Client:
    client.force_login(support_lead)
    return client


def test_password_is_set_by_the_link_which_then_says_that_it_is_over(lea: Client) -> None:
    link = link_in(lea.post(reverse("member-invite"), {"username": "vic", "role": "viewer"}))
    stranger = Client()
    form = {"code": link, "password": PASSWORD, "again": PASSWORD}
    answer = stranger.post(reverse("set-password"), form, follow=True)
    assert answer.redirect_chain == [("/accounts/login/", 302)]
    assert "Your password is set. Sign in as vic." in words_of(answer)
    assert stranger.login(username="vic", password=PASSWORD)
    again = Client().post(reverse("set-password"), form | {"password": "another-long-one", "again": "another-long-one"})
    assert (again.status_code, "This link has expired" in words_of(again)) == (422, True)
    assert Client().login(username="vic", password=PASSWORD)


def test_link_says_whose_account_it_is_for_before_a_password_is_typed(lea: Client) -> None:
    link = link_in(lea.post(reverse("member-invite"), {"username": "vic", "role": "viewer"}))
    stranger = Client()
    opened = words_of(stranger.get(reverse("set-password")))
    assert "The next page says whose account it is for." in opened
    assert "New password" not in opened
    answer = stranger.post(reverse("set-password"), {"code": link})
    assert answer.status_code == 200
    assert "This link is for the account of vic , viewer." in words_of(answer)
    assert "This field is required." not in words_of(answer)
    assert f'name="code" value="{link.partition("#")[2]}"' in answer.content.decode()
    assert 'value="vic" autocomplete="username" readonly' in answer.content.decode()
    wrong = stranger.post(reverse("set-password"), {"code": link, "password": "short", "again": "short"})
    assert "This link is for the account of vic , viewer." in words_of(wrong)
    assert not User.objects.get(username="vic").has_usable_password()


def test_link_that_is_over_names_nobody(lea: Client) -> None:
    link = link_in(lea.post(reverse("member-invite"), {"username": "vic", "role": "viewer"}))
    User.objects.filter(username="vic").update(link_made_at=None)
    answer = Client().post(reverse("set-password"), {"code": link})
    assert (answer.status_code, "This link has expired" in words_of(answer)) == (422, True)
    assert "vic" not in words_of(answer)


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", "short", "This password is too short."),
        ("password", "password", "This password is too common."),
        ("victoria-nova1", "victoria-nova1", "The password is too similar to the username."),
        (PASSWORD, PASSWORD + " ", "The passwords don't match."),
        ("", "", "This field is required."),
    ],
)
def test_password_that_is_not_good_enough_says_why_and_leaves_the_link(
    password: str, again: str, said: str, lea: Client
) -> None:
    invited = lea.post(reverse("member-invite"), {"username": "victoria-nova", "role": "viewer"})
    code = link_in(invited).partition("#")[2]
    answer = Client().post(reverse("set-password"), {"code": code, "password": password, "again": again})
    assert (answer.status_code, said in words_of(answer)) == (422, True)
    form = {"code": code, "password": PASSWORD, "again": PASSWORD}
    assert Client().post(reverse("set-password"), form).status_code == 302


def test_setting_a_password_signs_out_whoever_was_signed_in_here(lea: Client) -> None:
    link = link_in(lea.post(reverse("member-invite"), {"username": "vic", "role": "viewer"}))
    lea.post(reverse("set-password"), {"code": link, "password": PASSWORD, "again": PASSWORD})
    assert lea.get("/")["Location"] == "/accounts/login/?next=/"


@pytest.mark.parametrize("spelled", ["\u200b{}\u00a0", "<{}>", "“{}”", "{}\n"])
def test_pasted_link_is_taken_from_what_is_around_it(spelled: str, lea: Client) -> None:
    link = link_in(lea.post(reverse("member-invite"), {"username": "vic", "role": "viewer"}))
    form = {"code": spelled.format(link), "password": PASSWORD, "again": PASSWORD}
    assert Client().post(reverse("set-password"), form).status_code == 302


def test_link_that_is_not_complete_is_not_called_expired(lea: Client) -> None:
    link = link_in(lea.post(reverse("member-invite"), {"username": "vic", "role": "viewer"}))
    for text, words in (
        (link[:-1], "This is not a complete link. Paste all of it, to the last character."),
        ("", "This is not a complete link."),
        (f"{link}\n{link}", "This contains 2 lines. Paste only one link."),
    ):
        answer = Client().post(reverse("set-password"), {"code": text, "password": PASSWORD, "again": PASSWORD})
        said = words_of(answer)
        assert (answer.status_code, words in said, "expired" in said) == (422, True, False)
