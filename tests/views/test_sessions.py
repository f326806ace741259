"""A user's sessions, and signing out of them."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse

from dashboard.models import AuditEntry, User
from tests.factories import make_user

pytestmark = pytest.mark.django_db
LIST = reverse("session-list")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Safari/604.1"


@pytest.fixture
def ana() -> User:
    return make_user(username="ana", password="a-long-password")


def signed_in(user_agent: str, ip: str = "127.0.0.1") -> Client:
    client = Client(headers={"User-Agent": user_agent}, REMOTE_ADDR=ip)
    client.post(reverse("account_login"), {"login": "ana", "password": "a-long-password"})
    return client


def session_of(client: Client) -> UserSession:
    return UserSession.objects.get(session_key=client.session.session_key)


def test_list_shows_device_place_and_which_one_is_this(ana: User) -> None:
    laptop, _phone = signed_in(FIREFOX), signed_in(SAFARI, "203.0.113.7")
    page = laptop.get(LIST).content.decode()
    assert page.index("Firefox on Linux") < page.index("This session") < page.index("Safari on iPhone")
    assert "203.0.113.7" in page
    assert "End all other sessions" in page


def test_ended_session_is_signed_out_at_once(ana: User) -> None:
    laptop, phone = signed_in(FIREFOX), signed_in(SAFARI)
    assert phone.get("/").status_code == 200
    page = laptop.post(reverse("session-end", args=[session_of(phone).pk]), follow=True).content.decode()
    assert "Ended: Safari on iPhone from 127.0.0.1 is signed out." in page
    assert (phone.get("/").status_code, laptop.get("/").status_code) == (302, 200)
    assert "End all other sessions" not in page
    noted = AuditEntry.objects.latest("pk")
    assert (noted.action, noted.words) == (
        "end session",
        "The session of Safari on iPhone from 127.0.0.1 was ended.",
    )


def test_ended_session_is_led_to_sign_in_by_htmx_too(ana: User) -> None:
    laptop, phone = signed_in(FIREFOX), signed_in(SAFARI)
    laptop.post(reverse("session-end-others"))
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/installs/"}
    response = phone.get(reverse("install-list-live"), headers=headers)
    assert (response["HX-Redirect"], response.content) == ("/accounts/login/?next=/installs/", b"")


def test_end_all_others_leaves_this_one(ana: User) -> None:
    others = [signed_in(SAFARI), signed_in(FIREFOX)]
    laptop = signed_in(FIREFOX)
    laptop.post(reverse("session-end-others"))
    assert [one.get("/").status_code for one in [*others, laptop]] == [302, 302, 200]
    assert UserSession.objects.count() == 1


def test_ending_this_one_leads_to_sign_in(ana: User) -> None:
    laptop = signed_in(FIREFOX)
    response = laptop.post(reverse("session-end", args=[session_of(laptop).pk]))
    assert response["Location"] == reverse("account_login")
    assert laptop.get("/").status_code == 302


def test_session_of_somebody_else_cannot_be_ended_and_is_not_known(ana: User, client: Client) -> None:
    laptop = signed_in(FIREFOX)
    client.force_login(make_user(username="eve"))
    assert client.post(reverse("session-end", args=[session_of(laptop).pk])).status_code == 404
    assert laptop.get("/").status_code == 200
    client.post(reverse("session-end-others"))
    assert laptop.get("/").status_code == 200


def test_list_does_not_show_what_has_run_out(ana: User, settings) -> None:
    laptop, phone = signed_in(FIREFOX), signed_in(SAFARI)
    forgotten = session_of(phone)
    forgotten.last_seen_at -= timedelta(minutes=settings.SESSION_IDLE_MINUTES)
    forgotten.save()
    assert "Safari on iPhone" not in laptop.get(LIST).content.decode()


def test_place_is_the_proxys_word_only_behind_a_proxy(ana: User, settings) -> None:
    forwarded = "198.51.100.1, 203.0.113.7"
    seen_of = [
        (False, forwarded, "127.0.0.1"),
        (True, forwarded, "203.0.113.7"),
        (True, "203.0.113.7:51234", "203.0.113.7"),
        (True, "[2001:db8::1]:443", "2001:db8::1"),
        (True, "unknown", "127.0.0.1"),
    ]
    for behind, header, seen in seen_of:
        settings.TRUSTS_FORWARDED = behind
        client = Client(headers={"X-Forwarded-For": header})
        client.post(reverse("account_login"), {"login": "ana", "password": "a-long-password"})
        assert session_of(client).ip == seen
