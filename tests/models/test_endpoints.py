"""Endpoints: the columns that the database derives from their status, who sees them, and the lookup by receiver key."""

import re

import pytest
from django.db import IntegrityError, transaction

from dashboard.models import Endpoint, User
from dashboard.models.endpoints import new_receiver_key, receiver_url
from dashboard.rules.endpoints import AT_RISK_FROM, AUTO_DISABLE_AT, severity
from tests.factories import NOON, make_endpoint, make_grant, make_install, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", ["ACTIVE", "DISABLED", "", "ARCHIVED"])
def test_severity_in_sql_is_the_rules(status: str) -> None:
    streaks = [0, 1, AT_RISK_FROM - 1, AT_RISK_FROM, AUTO_DISABLE_AT - 1, AUTO_DISABLE_AT, AUTO_DISABLE_AT + 1]
    install = make_install()
    made = [make_endpoint(install=install, status=status, consecutive_failures=streak) for streak in streaks]
    stored = [Endpoint.objects.get(pk=endpoint.pk).severity for endpoint in made]
    assert stored == [severity(status=status, consecutive_failures=streak) for streak in streaks]


def test_keys_are_long_and_never_the_same() -> None:
    one, other = new_receiver_key(), new_receiver_key()
    assert one != other
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", one)


def test_door_is_at_the_receivers_address(settings) -> None:
    settings.RECEIVER_URL = "https://hooks.example.com"
    assert receiver_url(receiver_key="abc") == "https://hooks.example.com/hooks/abc/"


def test_endpoint_is_visible_with_its_install(support: User, outsider: User) -> None:
    install = make_install()
    endpoint = make_endpoint(install=install)
    admin = make_user(role="partner_admin")
    make_grant(user=admin, install=install)
    shown = [list(Endpoint.objects.visible_to(user)) for user in (support, admin, outsider, make_user(role=""))]
    assert shown == [[endpoint], [endpoint], [], []]


def test_registered_are_known_to_opentrain_and_unhealthy_are_worse_than_paused() -> None:
    install = make_install()
    well = make_endpoint(install=install)
    ill = make_endpoint(install=install, consecutive_failures=1)
    paused = make_endpoint(install=install, status="DISABLED")
    make_endpoint(install=install, opentrain_id=None, consecutive_failures=1)
    make_endpoint(install=install, deleted_at=NOON, consecutive_failures=1)
    assert set(Endpoint.objects.registered()) == {well, ill, paused}
    assert set(Endpoint.objects.unhealthy()) == {ill}


def test_opentrains_id_is_once_in_an_install() -> None:
    install = make_install()
    make_endpoint(install=install, opentrain_id="whe_1")
    make_endpoint(opentrain_id="whe_1")
    with pytest.raises(IntegrityError), transaction.atomic():
        make_endpoint(install=install, opentrain_id="whe_1")


def test_endpoint_is_known_by_its_handler_or_else_by_its_url() -> None:
    received = Endpoint(url="https://r.example.com/hooks/k/", handler_url="https://h.example.com", receiver_key="k")
    direct = Endpoint(url="https://h.example.com/direct")
    assert (received.known_as, direct.known_as) == ("https://h.example.com", "https://h.example.com/direct")
    assert (received.is_received, direct.is_received) == (True, False)


def test_endpoint_without_a_url_is_known_by_its_id() -> None:
    assert Endpoint(opentrain_id="whe_7", url="").known_as == "whe_7"
