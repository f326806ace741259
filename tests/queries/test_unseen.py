"""Endpoints whose deliveries Redeliver does not see."""

import pytest
from django.utils import timezone

from dashboard.models import Install
from dashboard.queries.unseen import unseen
from tests.factories import make_endpoint

pytestmark = pytest.mark.django_db


def test_direct_and_moved_endpoints_of_the_install_are_unseen(acme: Install) -> None:
    make_endpoint(install=acme)  # received
    direct = make_endpoint(install=acme, receiver_key=None)
    moved = make_endpoint(install=acme, url="https://acme.example.com/elsewhere")
    make_endpoint(install=acme, receiver_key=None, deleted_at=timezone.now())
    make_endpoint(install=acme, receiver_key=None, opentrain_id=None)
    make_endpoint(install=acme, receiver_key=None, observation_key_sha256="0" * 64)  # its handler reports them
    make_endpoint(receiver_key=None)  # of another install
    assert list(unseen(install=acme)) == [direct, moved]


def test_query_agrees_with_the_model(acme: Install) -> None:
    rows = [make_endpoint(install=acme), make_endpoint(install=acme, receiver_key=None)]
    found = set(unseen(install=acme).values_list("pk", flat=True))
    assert found == {row.pk for row in rows if not row.is_received}
