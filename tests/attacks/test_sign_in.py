"""Attacks on sign-in: guessed passwords and codes, account enumeration, session fixation, open redirects."""

import contextlib
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.conf import settings as django_settings
from django.contrib.auth import hashers
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.test import Client
from django.urls import reverse

from dashboard.launch import postgres
from dashboard.models import User
from tests import totp
from tests.factories import make_user
from tests.faults.serving import Site, serving

LOGIN, AUTHENTICATE = reverse("account_login"), reverse("mfa_authenticate")
PASSWORD, SECRET = "a-long-password", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
NAME = re.compile(rb"ana|nobody")


@pytest.fixture
def ana(db: None) -> User:
    return make_user(username="ana", password=PASSWORD)


def attempt(client: Client, name: str, password: str, **form: str) -> Any:
    return client.post(LOGIN, {"login": name, "password": password, **form})


# --- Guessing --------------------------------------------------------------------------------------------------------


def test_sixth_wrong_password_is_answered_429_in_words_and_so_is_the_right_one(ana: User) -> None:
    assert [attempt(Client(), "ana", f"wrong-{number}").status_code for number in range(6)] == [200] * 5 + [429]
    refused = attempt(Client(), "ana", PASSWORD)
    assert (refused.status_code, refused["Retry-After"]) == (429, "300")
    assert "Too many attempts" in refused.content.decode()
    assert "Wait five minutes, then try again." in refused.content.decode()


def test_guessing_one_name_from_many_places_is_refused(ana: User) -> None:
    places = [Client(REMOTE_ADDR=f"203.0.113.{number}") for number in range(6)]
    assert [attempt(one, "ana", "wrong").status_code for one in places] == [200] * 5 + [429]


def test_guessing_many_names_from_one_place_is_refused(db: None) -> None:
    found = [attempt(Client(), f"name-{number}", "wrong").status_code for number in range(12)]
    assert found == [200] * 10 + [429] * 2


def test_guessing_by_many_names_and_ports_of_the_host_is_refused(ana: User, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "localhost"]
    hosts = ["testserver", "localhost", "testserver:81", "testserver:82", "localhost:8000", "localhost:8001"]
    found = [attempt(Client(headers={"Host": host}), "ana", "wrong").status_code for host in hosts]
    assert found == [200] * 5 + [429]


def test_others_sign_in_while_one_name_is_guessed(ana: User) -> None:
    make_user(username="paul", password=PASSWORD)
    for number in range(6):
        attempt(Client(), "ana", f"wrong-{number}")
    assert attempt(Client(), "paul", PASSWORD)["Location"] == "/"


def test_right_passwords_are_not_counted(ana: User) -> None:
    assert {attempt(Client(), "ana", PASSWORD).status_code for _ in range(8)} == {302}


def test_forwarded_address_of_the_guessers_own_making_does_not_help(db: None) -> None:
    found = [
        Client(headers={"X-Forwarded-For": f"203.0.113.{number}"}).post(LOGIN, {"login": f"n{number}", "password": "x"})
        for number in range(11)
    ]
    assert [one.status_code for one in found] == [200] * 10 + [429]


def test_ports_that_the_proxy_names_do_not_make_new_addresses(db: None, settings: Any) -> None:
    settings.TRUSTS_FORWARDED = True
    found = [
        Client(headers={"X-Forwarded-For": f"203.0.113.7:{50_000 + number}"}).post(
            LOGIN, {"login": f"n{number}", "password": "x"}
        )
        for number in range(11)
    ]
    assert [one.status_code for one in found] == [200] * 10 + [429]


@pytest.mark.usefixtures("code_lasts")
def test_guessing_codes_is_refused(ana: User) -> None:
    TOTP.activate(ana, SECRET)
    client = Client()
    attempt(client, "ana", PASSWORD)
    wrong = totp.wrong(SECRET)
    assert [client.post(AUTHENTICATE, {"code": wrong}).status_code for _ in range(6)] == [200] * 5 + [429]
    assert client.post(AUTHENTICATE, {"code": totp.code(SECRET)}).status_code == 429
    other = Client(REMOTE_ADDR="203.0.113.7")
    attempt(other, "ana", PASSWORD)
    assert other.post(AUTHENTICATE, {"code": wrong}).status_code == 429


def test_guessing_the_password_of_an_open_session_is_refused(ana: User) -> None:
    client = Client()
    client.force_login(ana)
    again = reverse("account_reauthenticate")
    assert [client.post(again, {"password": "wrong"}).status_code for _ in range(6)] == [200] * 5 + [429]


def test_counting_does_not_forget_when_very_many_names_are_tried() -> None:
    assert django_settings.CACHES["default"]["OPTIONS"]["MAX_ENTRIES"] == 100_000


@pytest.fixture
def two_sites(transactional_db: None, postgres_server: postgres.Server, tmp_path: Path) -> Iterator[list[Site]]:
    """Two web servers with separate processes and one database."""
    name = str(connection.settings_dict["NAME"])
    with contextlib.ExitStack() as stack:
        sites = []
        for part in ("one", "two"):
            (tmp_path / part).mkdir()
            given = {"database_url": postgres_server.url(name), "ALLOWED_HOSTS": "127.0.0.1"}
            site = stack.enter_context(serving(tmp_path / part, **given))
            site.start()
            sites.append(site)
        yield sites
    with connection.cursor() as cursor:  # a killed server's connections close a moment later
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )


def attempt_at(site: Site, password: str) -> int:
    """Try a password in a new browser; return the response's status after redirects."""
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    address = f"http://127.0.0.1:{site.port}{LOGIN}"
    with opener.open(address, timeout=60) as page:
        [token, *_] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    form = urlencode({"csrfmiddlewaretoken": token, "login": "ana", "password": password}).encode()
    try:
        with opener.open(address, form, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.slow
def test_tries_are_counted_over_processes(two_sites: list[Site]) -> None:
    make_user(username="ana", password=PASSWORD)
    one, two = two_sites
    assert [attempt_at(site, "wrong") for site in (one, two, one, two, one)] == [200] * 5
    assert [attempt_at(site, "wrong") for site in (two, one)] == [429, 429]
    assert attempt_at(two, PASSWORD) == 429


# --- Account enumeration ---------------------------------------------------------------------------------------------


def said_of(name: str) -> list[tuple[int, bytes, list[str]]]:
    """Return the responses to six attempts with a name: status, page without the name, headers."""
    found = []
    for number in range(6):
        answer = attempt(Client(REMOTE_ADDR=f"203.0.113.{number}"), name, f"wrong-{number}")
        page = re.sub(rb'name="csrfmiddlewaretoken" value="\w+"|data-now="\d+"', b"", NAME.sub(b"", answer.content))
        found.append((answer.status_code, page, sorted(set(answer.headers) - {"X-Request-ID"})))
    return found


def test_account_that_is_there_is_answered_as_one_that_is_not(ana: User) -> None:
    assert said_of("ana") == said_of("nobody")


def test_closed_account_is_answered_as_one_that_is_not_there(db: None) -> None:
    make_user(username="ana", password=PASSWORD, is_active=False)
    assert said_of("ana") == said_of("nobody")


def test_name_that_is_not_there_costs_as_much_as_one_that_is(ana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts password hashes, which take the time, rather than measuring time."""
    hashed: list[str] = []
    hasher = hashers.get_hasher("default").__class__
    encode = hasher.encode
    monkeypatch.setattr(hasher, "encode", lambda *args: hashed.append("") or encode(*args))
    costs = []
    without = make_user(username="sso-only")
    without.set_unusable_password()
    without.save()
    for name in ("ana", "nobody", "sso-only"):
        hashed.clear()
        attempt(Client(), name, "wrong")
        costs.append(len(hashed))
    assert costs == [1, 1, 1]


def test_forgotten_password_is_asked_for_nowhere(db: None) -> None:
    page = Client().get(LOGIN).content.decode()
    assert "reset" not in page
    assert Client().post("/accounts/password/reset/", {"email": "ana@example.com"}).status_code == 404


# --- Session fixation ------------------------------------------------------------------------------------------------


def planted() -> tuple[Client, str]:
    """Return a browser whose session key an attacker knows, and that key."""
    session = SessionStore()
    session["planted"] = True
    session.create()
    client = Client()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = session.session_key
    return client, session.session_key


def is_signed_in(key: str) -> bool:
    client = Client()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = key
    return client.get("/installs/").status_code == 200


def test_session_planted_before_a_password_is_another_one_after_it(ana: User) -> None:
    client, key = planted()
    attempt(client, "ana", PASSWORD)
    assert client.get("/installs/").status_code == 200
    assert client.session.session_key != key
    assert not is_signed_in(key)


@pytest.mark.usefixtures("code_lasts")
def test_session_planted_before_a_second_factor_is_another_one_after_it(ana: User) -> None:
    TOTP.activate(ana, SECRET)
    client, key = planted()
    attempt(client, "ana", PASSWORD)
    before = client.session.session_key
    assert not is_signed_in(before)
    client.post(AUTHENTICATE, {"code": totp.code(SECRET)})
    assert client.get("/installs/").status_code == 200
    assert client.session.session_key not in {key, before}
    assert not is_signed_in(key)
    assert not is_signed_in(before)


def test_session_key_of_an_attackers_choice_is_not_taken_up(ana: User) -> None:
    client = Client()
    client.cookies[django_settings.SESSION_COOKIE_NAME] = chosen = "a" * 32
    attempt(client, "ana", PASSWORD)
    assert client.session.session_key != chosen
    assert not is_signed_in(chosen)


def test_session_is_of_no_use_after_signing_out(ana: User) -> None:
    client = Client()
    attempt(client, "ana", PASSWORD)
    key = client.session.session_key
    assert key is not None
    client.post(reverse("account_logout"))
    assert not is_signed_in(key)


# --- Open redirects --------------------------------------------------------------------------------------------------

ELSEWHERE = [
    "https://evil.example/", "//evil.example/", "///evil.example", "/\\evil.example", "\\/evil.example",
    "http:evil.example", "https:evil.example", "javascript:alert(1)", "data:text/html,x",
    "/%09/evil.example\t", "\t//evil.example",
    "https://testserver@evil.example/", "http://localhost/", "http://127.0.0.1:9000/", "https://redeliver.example.com/",
    "http://testserver/", "evil.example", "ftp://testserver/", "/x\r\nLocation: https://evil.example",
]  # fmt: skip


@pytest.mark.usefixtures("code_lasts")
@pytest.mark.parametrize("address", ELSEWHERE)
@pytest.mark.parametrize("way", ["password", "second factor", "signed in already", "sign out", "asked again"])
def test_next_leads_nowhere_but_to_a_path_of_ours(address: str, way: str, ana: User, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1", "redeliver.example.com"]
    client = Client()
    if way == "password":
        answer = attempt(client, "ana", PASSWORD, next=address)
    elif way == "second factor":
        TOTP.activate(ana, SECRET)
        attempt(client, "ana", PASSWORD, next=address)
        answer = client.post(AUTHENTICATE, {"code": totp.code(SECRET), "next": address})
    elif way == "signed in already":
        client.force_login(ana)
        answer = client.get(LOGIN, {"next": address})
    elif way == "sign out":
        client.force_login(ana)
        answer = client.post(reverse("account_logout"), {"next": address})
    else:
        client.force_login(ana)
        answer = client.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": address})
    assert answer.status_code == 302
    assert answer["Location"] in {"/", LOGIN}, answer["Location"]


def test_next_of_ours_is_followed(ana: User) -> None:
    assert attempt(Client(), "ana", PASSWORD, next="/runs/?batch=1")["Location"] == "/runs/?batch=1"


def test_current_url_of_a_forged_htmx_request_leads_nowhere_else(db: None) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "https://evil.example/steal/"}
    answer = Client().get(reverse("inbox-live"), headers=headers)
    assert answer["HX-Redirect"] == f"{LOGIN}?next=/"
