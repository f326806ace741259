"""Which endpoints would give a handler the same events a second time."""

import pytest
from django.utils import timezone

from dashboard.models import Install
from dashboard.queries.same_handler import newly_same, same_handler
from tests.factories import make_endpoint, make_install

pytestmark = pytest.mark.django_db

HOOK = "https://acme.example.com/hook"


def found(install: Install, handler: str = HOOK, *types: str) -> list[tuple[str | None, tuple[str, ...]]]:
    asked = types or ("contract.started", "contract.ended")
    return [
        (one.endpoint.opentrain_id, one.event_types)
        for one in same_handler(install=install, handler=handler, event_types=asked)
    ]


def test_endpoints_with_the_same_handler_are_found_with_the_events_that_come_twice() -> None:
    install = make_install()
    make_endpoint(install=install, opentrain_id="whe_behind", handler_url=HOOK)
    make_endpoint(
        install=install, opentrain_id="whe_direct", receiver_key=None, url="https://ACME.example.com:443/hook/"
    )
    make_endpoint(install=install, handler_url="https://acme.example.com/other")
    make_endpoint(install=install, handler_url=HOOK, deleted_at=timezone.now())
    make_endpoint(handler_url=HOOK)
    expected = ("contract.started",)
    assert found(install) == [("whe_behind", expected), ("whe_direct", expected)]


def test_other_events_do_not_come_twice() -> None:
    install = make_install()
    make_endpoint(install=install, handler_url=HOOK)
    assert found(install, HOOK, "contract.ended") == []


def test_receivers_without_a_handler_are_no_handler_in_common() -> None:
    install = make_install()
    make_endpoint(install=install)
    assert found(install, "") == []


def test_endpoint_that_is_being_registered_counts_with_every_event() -> None:
    install = make_install()
    make_endpoint(install=install, opentrain_id=None, event_types=[], handler_url=HOOK)
    assert found(install) == [(None, ("contract.started", "contract.ended"))]


def test_change_is_asked_about_only_if_more_comes_twice_than_before() -> None:
    install = make_install()
    types = ["contract.started", "contract.ended"]
    one = make_endpoint(install=install, handler_url=HOOK, event_types=types)
    two = make_endpoint(install=install, handler_url=HOOK, event_types=["contract.started"])
    assert newly_same(endpoint=two, handler=HOOK, event_types=["contract.started"]) == []
    (found,) = newly_same(endpoint=two, handler=HOOK, event_types=types)
    assert (found.endpoint, found.event_types) == (one, tuple(types))
    assert newly_same(endpoint=two, handler="https://acme.example.com/other", event_types=types) == []
