"""Which endpoints have routes, and that the digest shows every change of one."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from dashboard.db.listening import listening
from dashboard.models import Endpoint
from dashboard.queries import routes
from dashboard.vault import Secret
from tests.factories import NOON, make_endpoint, make_install

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def on(settings) -> Iterator[psycopg.Connection[Any]]:
    settings.RECEIVER_URL = "https://redeliver.example.com"
    with listening(routes.CHANNEL) as connection:
        yield connection


def test_endpoints_that_concern_the_receiver_are_read(on: psycopg.Connection[Any]) -> None:
    ours = make_endpoint(handler_url="https://acme.example.com/hook")
    secret_only = make_endpoint(receiver_key=None)
    taken = make_endpoint(receiver_key=None, secret=None, url="https://redeliver.example.com/hooks/some/")
    make_endpoint(receiver_key=None, secret=None)
    make_endpoint(receiver_key=None, secret=None, url="https://redeliver.example.com/hooks/some/", deleted_at=NOON)
    make_endpoint(receiver_key=None, secret=None, url="https://redeliver.example.com/hooks/some/", opentrain_id=None)
    found = {row.endpoint_id: row for row in routes.every(on)}
    assert found.keys() == {ours.pk, secret_only.pk, taken.pk}
    row = found[ours.pk]
    assert (row.key, row.handler_url, row.taken_url) == (ours.receiver_key, "https://acme.example.com/hook", "")
    assert row.secret is not None
    assert row.secret.reveal() == ours.secret.reveal()
    assert found[taken.pk].taken_url == "https://redeliver.example.com/hooks/some/"
    assert routes.of_endpoints(on, list(found)) == list(found.values())
    assert routes.of_keys(on, [ours.receiver_key, "other"]) == [row]


def test_digest_is_the_sum_of_the_rows_hashes(on: psycopg.Connection[Any]) -> None:
    assert routes.digest(on) == 0
    for _ in range(3):
        make_endpoint(registering_since=NOON)
    make_endpoint(secret=None)
    assert routes.digest(on) == sum(row.hash or 0 for row in routes.every(on)) != 0


@pytest.mark.parametrize(
    "change",
    [
        {"receiver_key": "other"},
        {"handler_url": "https://other.example.com/"},
        {"secret": Secret("whsec_other")},
        {"secret": None},
        {"registering_since": NOON},
        {"proof": "waiting"},
        {"deleted_at": NOON},
    ],
    ids=str,
)
def test_digest_shows_a_change(on: psycopg.Connection[Any], change: dict[str, Any]) -> None:
    endpoint, install = make_endpoint(), make_install()
    before = routes.digest(on)
    Endpoint.objects.filter(pk=endpoint.pk).update(status="DISABLED", install=install)
    moved = routes.digest(on)
    Endpoint.objects.filter(pk=endpoint.pk).update(**change)
    assert len({before, moved, routes.digest(on)}) == 3
