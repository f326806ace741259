"""Every address by every method as every role, compared with the matrix that is written in tests/matrix.py."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from django.db import transaction
from django.http.response import HttpResponseBase
from django.test import Client
from django.utils import timezone

from dashboard.models import Endpoint, Install, Rotation, User
from tests.attacks.walking import addresses
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON, make_endpoint, make_grant, make_install, make_user
from tests.matrix import PEOPLE, rows

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SIGN_IN = "/accounts/login/"
LET_IN = {*range(200, 400), HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
MATRIX = {(row.name, row.method): row.cells for row in rows()}
Ask = Callable[[str, str], HttpResponseBase]


@pytest.fixture
def endpoint(acme: Install, fake_opentrain: FakeOpenTrain, settings: Any) -> Endpoint:
    """An endpoint of Acme Labs whose secret is being rotated, so that every button has something to do."""
    settings.ACCOUNT_RATE_LIMITS = False  # nobody else asks for everything within seconds
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
    """Return how the person asks. Nothing that an answer does to rows or cookies is there for the next."""
    signed_in = Client()
    if user is not None:
        signed_in.force_login(user)
    cookies = {name: morsel.value for name, morsel in signed_in.cookies.items()}

    def ask(method: str, path: str) -> HttpResponseBase:
        client = Client()
        client.cookies.load(cookies)
        with transaction.atomic():
            response = getattr(client, method.lower())(path)
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
    """Tell whether a page of others, which takes methods as it likes, answers as its one line says."""
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


@pytest.mark.parametrize("who", ["viewer", "other viewer", "partner admin", "outsider", "support"])
def test_object_that_one_may_not_know_of_is_answered_like_one_that_does_not_exist(
    who: str, endpoint: Endpoint, people: dict[str, User | None]
) -> None:
    """Theirs or nobody's: the same status, and word for word the same page."""
    ask = asking(people[who])
    paths = {one.name: one.path for one in addresses(endpoint=endpoint)}
    hidden = [(name, method) for (name, method), cells in MATRIX.items() if cells[who] == "404" and method != "ANY"]
    hidden = [(name, method) for name, method in hidden if re.search(r"/[0-9]+/", paths[name])]
    assert hidden
    for name, method in hidden:
        nobodys = re.sub(r"/[0-9]+/", "/999999999/", paths[name])
        assert page(ask(method, paths[name])) == page(ask(method, nobodys)), name


def page(response: HttpResponseBase) -> tuple[int, bytes]:
    """Return a response but for what differs each time."""
    return response.status_code, re.sub(rb'name="csrfmiddlewaretoken" value="[^"]*"', b"", read(response))
