"""Allowing the sending of missing events and stopping it: stored, audited once, and off at first."""

import uuid

import pytest

from dashboard.actions.audit import NotedBefore
from dashboard.actions.handovers import opting
from dashboard.models import AuditEntry, Endpoint, User
from tests.factories import make_endpoint

pytestmark = pytest.mark.django_db


def hands_over(endpoint: Endpoint) -> bool:
    return Endpoint.objects.values_list("hands_over", flat=True).get(pk=endpoint.pk)


def test_it_is_off_at_first_and_can_be_taken_back(partner_admin: User) -> None:
    endpoint = make_endpoint()
    assert not hands_over(endpoint)
    opting.allow(actor=partner_admin, endpoint=endpoint, operation=uuid.uuid4())
    assert hands_over(endpoint)
    opting.stop(actor=partner_admin, endpoint=endpoint, operation=uuid.uuid4())
    assert not hands_over(endpoint)
    entries = AuditEntry.objects.order_by("id").values_list("action", "phase", "actor_name", "endpoint")
    assert list(entries) == [
        ("allow handing over", "done", "paul", endpoint.pk),
        ("stop handing over", "done", "paul", endpoint.pk),
    ]


def test_what_is_so_already_is_not_noted_again(partner_admin: User) -> None:
    endpoint = make_endpoint(hands_over=True)
    opting.allow(actor=partner_admin, endpoint=endpoint, operation=uuid.uuid4())
    opting.stop(actor=partner_admin, endpoint=make_endpoint(), operation=uuid.uuid4())
    assert not AuditEntry.objects.exists()


def test_form_that_is_sent_twice_changes_nothing_the_second_time(partner_admin: User) -> None:
    endpoint, operation = make_endpoint(), uuid.uuid4()
    opting.allow(actor=partner_admin, endpoint=endpoint, operation=operation)
    opting.stop(actor=partner_admin, endpoint=endpoint, operation=uuid.uuid4())
    with pytest.raises(NotedBefore):
        opting.allow(actor=partner_admin, endpoint=endpoint, operation=operation)
    assert not hands_over(endpoint)
