"""Entering the signing secret of an endpoint that was created outside at the receiver's address."""

import uuid

import pytest
from django.db import connection
from django.db.models import BinaryField
from django.db.models.functions import Cast
from django.utils import timezone

from dashboard.actions import audit
from dashboard.actions.signing_secrets import NotPossible, enter, mark_proven
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.vault import Sealed, Secret
from tests.factories import NOON, SECRET, make_delivery, make_endpoint, make_install

pytestmark = pytest.mark.django_db
ENTERED = Secret("whsec_entered-by-hand-0123456789abcdefghijklmnop")


def remade(install: Install) -> tuple[Endpoint, Endpoint]:
    """An endpoint that was deleted outside, and the one that was created outside with the same URL."""
    old = make_endpoint(install=install, handler_url="https://acme.example.com/hook", deleted_at=timezone.now())
    new = make_endpoint(install=install, url=old.url, receiver_key=None, secret=None)
    return old, new


def given(endpoint: Endpoint, actor: User, operation: uuid.UUID | None = None) -> None:
    enter(actor=actor, endpoint=endpoint, secret=ENTERED, operation=operation or uuid.uuid4())


def test_remade_endpoint_takes_over_key_and_handler_and_keeps_the_secret_encrypted(
    acme: Install, support: User
) -> None:
    old, new = remade(acme)
    key = old.receiver_key
    given(new, support)
    old.refresh_from_db()
    new.refresh_from_db()
    assert (new.receiver_key, new.handler_url, new.secret) == (key, "https://acme.example.com/hook", ENTERED)
    assert (old.receiver_key, old.handler_url, old.secret) == (None, "https://acme.example.com/hook", Secret(SECRET))
    assert new.is_received
    entry = AuditEntry.objects.get(action="enter signing secret")
    assert (entry.actor_name, entry.endpoint_id, entry.phase) == ("ana", new.pk, "done")
    assert ENTERED.reveal() not in str(vars(entry))
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM dashboard_endpoint WHERE id = %s", [new.pk])
        assert ENTERED.reveal().encode() not in bytes(cursor.fetchone()[0])


def test_secret_can_be_entered_again_until_a_delivery_was_verified_with_it(acme: Install, support: User) -> None:
    _old, new = remade(acme)
    given(new, support)
    given(Endpoint.objects.get(pk=new.pk), support)
    make_delivery(endpoint=new)
    with pytest.raises(NotPossible, match="verifies this endpoint's deliveries already"):
        given(Endpoint.objects.get(pk=new.pk), support)
    assert AuditEntry.objects.filter(action="enter signing secret").count() == 2


def test_form_that_is_sent_twice_is_one_entry(acme: Install, support: User) -> None:
    _old, new = remade(acme)
    operation = uuid.uuid4()
    given(new, support, operation)
    with pytest.raises(audit.NotedBefore):
        given(new, support, operation)


def test_address_of_another_endpoint_is_never_taken_over(acme: Install, support: User) -> None:
    """Neither one that is in use, nor one of another install, nor one that does not exist."""
    there = make_endpoint(install=acme)
    other = make_endpoint(install=make_install(), deleted_at=timezone.now())
    unknown = "https://redeliver.example.com/hooks/unknown/"
    for url in (there.url, other.url, unknown, "https://acme.example.com/hook"):
        new = make_endpoint(install=acme, url=url, receiver_key=None, secret=None)
        with pytest.raises(NotPossible):
            given(new, support)
        new.refresh_from_db()
        assert (new.receiver_key, new.secret) == (None, None)
    assert Endpoint.objects.filter(receiver_key__in=[there.receiver_key, other.receiver_key]).count() == 2
    assert AuditEntry.objects.count() == 0


def test_deleted_endpoint_takes_nothing_over(acme: Install, support: User) -> None:
    _old, new = remade(acme)
    Endpoint.objects.filter(pk=new.pk).update(deleted_at=timezone.now())
    with pytest.raises(NotPossible):
        given(new, support)


@pytest.mark.parametrize("proof", ["waiting", "none"])
def test_secret_of_a_routed_endpoint_can_be_entered_until_it_is_proven(
    acme: Install, support: User, proof: str
) -> None:
    routed = make_endpoint(install=acme, proof=proof, routed_at=NOON)
    make_delivery(endpoint=routed, last_signature="mismatch")
    given(routed, support)
    routed.refresh_from_db()
    assert (routed.secret, routed.proof) == (ENTERED, "waiting")
    make_delivery(endpoint=routed)
    mark_proven({routed.pk: stored(routed)})
    routed.refresh_from_db()
    with pytest.raises(NotPossible, match="verifies this endpoint's deliveries already"):
        given(routed, support)


def test_secret_of_a_routed_endpoint_that_is_entered_before_its_deliveries_are_in_the_log_has_to_be_proven(
    acme: Install, support: User
) -> None:
    """They wait in a spool. A mistyped secret would refuse all that come."""
    routed = make_endpoint(install=acme, proof="proven", routed_at=NOON)
    given(routed, support)
    routed.refresh_from_db()
    assert (routed.secret, routed.proof) == (ENTERED, "waiting")


def stored(endpoint: Endpoint) -> Sealed:
    """The secret as the receiver has it."""
    found = Endpoint.objects.filter(pk=endpoint.pk).values_list(Cast("secret", BinaryField()), flat=True).get()
    return Sealed.of(found)


def test_endpoint_that_waits_is_proven_and_one_without_a_secret_is_not() -> None:
    waiting, none, other = (make_endpoint(proof=proof) for proof in ("waiting", "none", "waiting"))
    mark_proven({waiting.pk: stored(waiting), none.pk: stored(none)})
    found = dict(Endpoint.objects.values_list("pk", "proof"))
    assert found == {waiting.pk: "proven", none.pk: "none", other.pk: "waiting"}


def test_secret_that_was_changed_before_the_proof_is_noted_is_not_proven(acme: Install, support: User) -> None:
    routed = make_endpoint(install=acme, proof="waiting", routed_at=NOON)
    before = stored(routed)
    given(routed, support)
    mark_proven({routed.pk: before})
    routed.refresh_from_db()
    assert (routed.secret, routed.proof) == (ENTERED, "waiting")
