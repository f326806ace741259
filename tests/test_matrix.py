"""Every URL by every method as every role, compared with the matrix in tests/matrix.py."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dashboard.config.oidc import PROVIDER, Oidc
from dashboard.models import Alert, Endpoint, Install, Rotation, User
from dashboard.rules.alerts import AlertKind
from dashboard.services import demo
from tests.attacks.walking import addresses
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint, make_grant, make_install, make_user
from tests.matrix import PEOPLE, SET_UP, rows

pytestmark = pytest.mark.slow

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SIGN_IN = "/accounts/login/"
LET_IN = {*range(200, 400), HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
MATRIX = {(row.name, row.method): row.cells for row in rows()}
Ask = Callable[..., HttpResponseBase]
DEMO, TOKEN = "http://127.0.0.1:9", "a-token-of-prometheus"


@pytest.fixture
def endpoint(acme: Install, fake_opentrain: FakeOpenTrain, settings: Any) -> Endpoint:
    """An endpoint of Acme Labs during a secret rotation, so that every button has something to do."""
    settings.ACCOUNT_RATE_LIMITS = False  # real users never request everything within seconds
    Install.objects.update(checked_at=timezone.now())
    endpoint = make_endpoint(install=acme)
    Rotation.objects.create(old=endpoint, new=make_endpoint(install=acme), step="prove", started_at=NOON)
    return endpoint


@pytest.fixture
def people(
    viewer: User, partner_admin: User, outsider: User, support: User, support_lead: User
) -> dict[str, User | None]:
    other = make_user(role="viewer")
    make_grant(user=other, install=make_install(checked_at=timezone.now()))
    everybody = (None, make_user(role=""), viewer, other, partner_admin, outsider, support, support_lead)
    return dict(zip(PEOPLE, everybody, strict=True))


def asking(user: User | None) -> Ask:
    """Return a function that sends requests as the user. It rolls back rows and resets cookies after each one."""
    signed_in = Client()
    if user is not None:
        signed_in.force_login(user)
    cookies = {name: morsel.value for name, morsel in signed_in.cookies.items()}

    def ask(method: str, path: str, **sent: Any) -> HttpResponseBase:
        client = Client()
        client.cookies.load(cookies)
        with transaction.atomic():
            response = getattr(client, method.lower())(path, **sent)
            read(response)
            transaction.set_rollback(True)
        return response

    return ask


def read(response: HttpResponseBase) -> bytes:
    return b"".join(response) if response.streaming else response.content


def fits(response: HttpResponseBase, cell: str) -> bool:
    signs_in = response.status_code == HTTPStatus.FOUND and response["Location"].startswith(SIGN_IN)
    if cell == "in":
        return signs_in
    if cell == "ok":
        return response.status_code in LET_IN and not signs_in
    return response.status_code == int(cell)


def written(name: str, method: str, who: str) -> str:
    method = "GET" if method == "HEAD" else method
    return MATRIX[name, method][who] if (name, method) in MATRIX else "405"


def is_theirs(name: str, method: str, who: str, response: HttpResponseBase) -> bool:
    """Return whether a page of django-allauth, which chooses its methods itself, answers as its ANY line says."""
    if (name, "ANY") not in MATRIX:
        return False
    asks_how = method == "OPTIONS" and response.status_code == HTTPStatus.OK
    return asks_how or fits(response, MATRIX[name, "ANY"][who])


def test_every_address_has_its_rows_and_every_row_its_address(endpoint: Endpoint) -> None:
    assert {name for name, _ in MATRIX} == {one.name for one in addresses(endpoint=endpoint)}


@pytest.mark.parametrize("who", PEOPLE)
def test_every_address_answers_as_the_matrix_says(
    who: str, endpoint: Endpoint, people: dict[str, User | None], fake_opentrain: FakeOpenTrain
) -> None:
    ask = asking(people[who])
    wrong = {}
    for one in addresses(endpoint=endpoint):
        for method in METHODS:
            response, cell = ask(method, one.path), written(one.name, method, who)
            if not fits(response, cell) and not is_theirs(one.name, method, who, response):
                wrong[one.name, method] = (response.status_code, "written:", cell)
    assert wrong == {}


def test_no_page_calls_opentrain_however_old_what_it_shows(
    endpoint: Endpoint, people: dict[str, User | None], fake_opentrain: FakeOpenTrain
) -> None:
    """A page never waits for OpenTrain. A worker refreshes what it shows: actions/installs/freshness.py."""
    Install.objects.update(checked_at=NOON, listed_at=NOON, last_error="", last_error_at=None)
    ask = asking(people["support lead"])
    asked = [one for one in addresses(endpoint=endpoint) if {(one.name, "GET"), (one.name, "ANY")} & MATRIX.keys()]
    assert {"install-detail", "endpoint-live", "rotation-detail", "endpoint-deliveries-redeliver"} <= {
        one.name for one in asked
    }
    for one in asked:
        ask("GET", one.path)
        assert fake_opentrain.calls == [], one.name


@pytest.mark.parametrize("who", PEOPLE)
def test_key_of_a_receiver_is_shown_only_to_people_who_manage_the_endpoint(
    who: str, endpoint: Endpoint, people: dict[str, User | None], fake_opentrain: FakeOpenTrain
) -> None:
    """Anyone who has the key can send requests to the receiver. No page, export, list or search has it for others."""
    key = str(endpoint.receiver_key)
    Endpoint.objects.filter(pk=endpoint.pk).update(status="DISABLED", consecutive_failures=10)
    Alert.objects.create(  # as an earlier release stored it
        kind=AlertKind.DISABLED,
        install=endpoint.install,
        endpoint=endpoint,
        install_name="Acme Labs",
        endpoint_name=endpoint.url,
        words=f"OpenTrain delivers it to {endpoint.url} now.",
        opened_at=NOON,
    )
    ask, found = asking(people[who]), set()
    paths = {one.name: one.path for one in addresses(endpoint=endpoint)} | {
        "search of the host": f"{reverse('search')}?q=redeliver.example.com",
        "why, of the endpoint": f"{reverse('why')}?q={endpoint.opentrain_id}",
    }
    for name, path in paths.items():
        found |= {name} if key.encode() in read(ask("GET", path)) else set()
    manages = who in {"partner admin", "support", "support lead"}
    assert ("endpoint-detail" in found) == manages
    assert manages or found == set()


@pytest.mark.parametrize("who", ["viewer", "other viewer", "partner admin", "outsider", "support"])
def test_object_that_one_may_not_know_of_is_answered_like_one_that_does_not_exist(
    who: str, endpoint: Endpoint, people: dict[str, User | None]
) -> None:
    """An object of another install and one that does not exist: the same status, and the same page word for word."""
    ask = asking(people[who])
    paths = {one.name: one.path for one in addresses(endpoint=endpoint)}
    hidden = [(name, method) for (name, method), cells in MATRIX.items() if cells[who] == "404" and method != "ANY"]
    hidden = [(name, method) for name, method in hidden if re.search(r"/[0-9]+/", paths[name])]
    assert hidden
    for name, method in hidden:
        nobodys = re.sub(r"/[0-9]+/", "/999999999/", paths[name])
        assert page(ask(method, paths[name])) == page(ask(method, nobodys)), name


@pytest.fixture
def set_up(endpoint: Endpoint, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """The endpoint with every optional feature on, for the second table of tests/matrix.py."""
    settings.METRICS_TOKEN, settings.DEMO_HANDLER_URL = TOKEN, DEMO
    monkeypatch.setattr(demo, "set_broken", lambda **_: None)
    nobody = Oidc(issuer=DEMO, client_id="redeliver", client_secret="s", name="Acme SSO")
    settings.OIDC_NAME = nobody.name
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [nobody.as_app()]}}
    Endpoint.objects.filter(pk=endpoint.pk).update(handler_url=f"{DEMO}/acme/webhooks")
    return endpoint


def asked_for(name: str, user: User | None, endpoint: Endpoint) -> tuple[str, dict[str, Any]]:
    """Return the URL of an existing object, the user's own where it must be, and the data to send."""
    if name == "session-end":
        own = user and UserSession.objects.create(user=user, ip="127.0.0.1", session_key="s" * 32, user_agent="curl/8")
        return reverse(name, args=[own.pk if own else 1]), {}
    if name in {"openid_connect_login", "openid_connect_callback"}:
        return reverse(name, args=[PROVIDER]), {}
    if name == "metrics":
        return reverse(name), {"headers": {"Authorization": f"Bearer {TOKEN}"}}
    return {one.name: one.path for one in addresses(endpoint=endpoint)}[name], {}


@pytest.mark.parametrize("who", PEOPLE)
def test_what_is_set_up_answers_as_the_matrix_says(
    who: str, set_up: Endpoint, people: dict[str, User | None], fake_opentrain: FakeOpenTrain
) -> None:
    user = people[who]
    if user is not None:
        TOTP.activate(user, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
        RecoveryCodes.activate(user)
    ask, wrong = asking(user), {}
    for row in rows(SET_UP):
        path, sent = asked_for(row.name, user, set_up)
        response = ask(row.method, path, **sent)
        if not fits(response, row.cells[who]):
            wrong[row.name, row.method] = (response.status_code, "written:", row.cells[who])
    assert wrong == {}


def test_what_the_first_table_hides_because_it_is_not_there_is_in_the_second() -> None:
    nobody_sees = {
        row.name for row in rows() if set(row.cells.values()) <= {"404", "401", "in"} and "404" in row.cells.values()
    }
    assert nobody_sees - {row.name for row in rows(SET_UP)} == set()


def page(response: HttpResponseBase) -> tuple[int, bytes]:
    """Return the status and body without the CSRF token and the time, which differ each time."""
    return response.status_code, re.sub(
        rb'name="csrfmiddlewaretoken" value="[^"]*"|data-now="\d+"', b"", read(response)
    )
