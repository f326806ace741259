"""Which endpoints the receiver takes deliveries of."""

import pytest
from django.utils import timezone

from dashboard.models.endpoints import new_receiver_key, receiver_url
from dashboard.queries.received import received
from tests.factories import make_endpoint, make_install

pytestmark = pytest.mark.django_db

HOOK = "https://acme.example.com/hook"


def test_endpoints_behind_the_receiver_are_found_and_no_others() -> None:
    install, key = make_install(), new_receiver_key()
    behind = make_endpoint(install=install, handler_url=HOOK)
    pending = make_endpoint(install=install, opentrain_id=None)
    claims = make_endpoint(install=install, receiver_key=None, url=receiver_url(receiver_key=key))
    routing = make_endpoint(
        install=install, receiver_key=new_receiver_key(), url=HOOK, handler_url=HOOK, routing_since=timezone.now()
    )
    make_endpoint(install=install, handler_url=HOOK, deleted_at=timezone.now())
    make_endpoint(install=install, url=HOOK, handler_url=HOOK, bypassed_at=timezone.now())
    make_endpoint(install=install, url="https://moved.example.com/", handler_url=HOOK)
    make_endpoint(install=install, receiver_key=None, url="https://acme.example.com/hooks/opentrain")
    make_endpoint(handler_url=HOOK)
    expected = sorted(one.pk for one in (behind, pending, claims, routing))
    assert [one.pk for one in received(install=install)] == expected
