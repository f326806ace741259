"""What is said of endpoints that keep an install from being disconnected."""

import pytest
from django.utils import timezone

from dashboard.presenters.leaving import LISTED, in_the_way
from tests.factories import make_endpoint, make_endpoints, make_install

pytestmark = pytest.mark.django_db

DOOR = "https://redeliver.example.com/hooks/k/"
HOOK = "https://acme.example.com/hook"


@pytest.mark.parametrize(
    ("columns", "labels", "said"),
    [
        ({"handler_url": HOOK}, ["Take Redeliver out of the path…", "Delete…"], "forwards them to its handler"),
        ({}, ["Edit its URL…", "Delete…"], "it has no handler"),
        ({"opentrain_id": None}, [], "being registered"),
        (
            {"receiver_key": None, "url": DOOR},
            ["Edit its URL…", "Delete…"],
            "address",
        ),
        (
            {"url": HOOK, "handler_url": HOOK, "routing_since": timezone.now(), "receiver_key": "k"},
            ["Delete…"],
            "is not known",
        ),
    ],
)
def test_each_endpoint_has_its_ways_out(columns: dict[str, object], labels: list[str], said: str) -> None:
    (one,) = in_the_way([make_endpoint(**columns)])
    assert [control.label for control in one.controls] == labels
    assert said in one.words


def test_only_so_many_are_listed() -> None:
    many = make_endpoints(install=make_install(), count=LISTED + 1, receiver_key=None)
    assert len(in_the_way(many)) == LISTED
