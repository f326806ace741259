"""Deliveries of endpoints whose secret no delivery has proven, or that changes meanwhile."""

import pytest

from dashboard.models import Attempt, Delivery
from dashboard.vault import Secret
from tests.factories import BODY, SECRET, make_endpoint
from tests.receiver.delivering import OTHER_SECRET, deliver, said
from tests.services.misbehaving import answer, hanging_up, head, misbehaving, raw


@pytest.mark.django_db
def test_waiting_endpoint_passes_on_what_is_not_verified_until_a_first_delivery_verifies(receiver) -> None:
    with misbehaving(*[answer(202, b"handled", headers=["X-Inner: 1"])] * 2) as server:
        endpoint = make_endpoint(handler_url=server.url)
        receiver.routes.proofs[endpoint.pk] = "waiting"
        stranger = deliver(receiver, endpoint, secret=OTHER_SECRET, X_OpenTrain_Delivery="dlv_0")
        assert (stranger.status_code, stranger.content) == (202, b'{"signature": "not verified"}')
        assert "x-inner" not in stranger.headers
        assert receiver.journal.proved == []
        known = deliver(receiver, endpoint)
        assert (known.status_code, known.content, receiver.journal.proved) == (202, b"handled", [(endpoint.pk, SECRET)])
        assert said(deliver(receiver, endpoint, secret=OTHER_SECRET)) == (401, "mismatch")
        assert len(server.requests) == 2
    attempts = Attempt.objects.order_by("id")
    assert list(attempts.values_list("signature", "handler_status")) == [("mismatch", 202), ("verified", 202)]


@pytest.mark.django_db
def test_secret_that_is_proven_is_the_one_that_verified_though_it_was_entered_a_moment_ago(
    receiver, monkeypatch
) -> None:
    endpoint = make_endpoint(secret=Secret(OTHER_SECRET))
    receiver.routes.proofs[endpoint.pk] = "waiting"
    stale = stale_route(receiver, monkeypatch, endpoint)
    type(endpoint).objects.filter(pk=endpoint.pk).update(secret=Secret(SECRET), handler_url="")
    assert deliver(receiver, endpoint).status_code == 200
    assert (stale.secret.reveal(), receiver.journal.proved) == (OTHER_SECRET, [(endpoint.pk, SECRET)])


@pytest.mark.django_db
@pytest.mark.parametrize(("proof", "status"), [("proven", 503), ("waiting", 503), ("none", 200)])
def test_secret_that_was_taken_away_a_moment_ago_verifies_nothing(receiver, monkeypatch, proof, status) -> None:
    """Least of all what somebody signed with an empty secret."""
    endpoint = make_endpoint()
    receiver.routes.proofs[endpoint.pk] = proof
    stale_route(receiver, monkeypatch, endpoint)
    type(endpoint).objects.filter(pk=endpoint.pk).update(secret=None)
    assert deliver(receiver, endpoint, secret="").status_code == status
    assert list(Attempt.objects.values_list("signature", flat=True)) == (["unchecked"] if status == 200 else [])
    assert receiver.journal.proved == []


@pytest.mark.django_db
def test_delivery_of_an_endpoint_that_took_over_the_address_a_moment_ago_is_its_own(receiver, monkeypatch) -> None:
    old = make_endpoint(secret=Secret(OTHER_SECRET))
    stale_route(receiver, monkeypatch, old)
    key = old.receiver_key
    type(old).objects.filter(pk=old.pk).update(receiver_key=None)
    new = make_endpoint(install=old.install, receiver_key=key)
    assert deliver(receiver, new).status_code == 200
    assert Delivery.objects.get().endpoint == new


def stale_route(receiver, monkeypatch, endpoint):
    """Let the receiver begin with the route as it is now, whatever changes; what it asks for anew is current."""
    route = receiver.run(receiver.routes.get(endpoint.receiver_key))

    async def get(_key):
        return route

    async def reread(_route):
        return await type(receiver.routes).get(receiver.routes, endpoint.receiver_key)

    monkeypatch.setattr(receiver.routes, "get", get)
    monkeypatch.setattr(receiver.routes, "reread", reread)
    return route


@pytest.mark.django_db
@pytest.mark.parametrize(("proof", "given"), [("waiting", {"secret": OTHER_SECRET}), ("none", {})])
@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (answer(500, b"Traceback: inner"), 500),
        (answer(302, b"inner", headers=["Location: http://inner/", "Set-Cookie: inner=1"]), 302),
        (raw(head(200, "Content-Length: 9", "Content-Encoding: gzip", "X-Inner: 1") + b"inner"), 200),
        (hanging_up, 502),
    ],
    ids=["error", "redirect", "broken body", "no answer"],
)
def test_stranger_is_told_the_status_and_nothing_else_of_the_handler(receiver, behaviour, status, proof, given) -> None:
    with misbehaving(behaviour) as server:
        endpoint = make_endpoint(handler_url=server.url, **({} if given else {"secret": None}))
        receiver.routes.proofs[endpoint.pk] = proof
        stranger = deliver(receiver, endpoint, **given)
    assert (stranger.status_code, stranger.content) == (status, b'{"signature": "not verified"}')
    assert set(stranger.headers) <= {"content-type", "content-length", "date", "server", "connection"}
    assert "inner" not in str(stranger.headers)


@pytest.mark.django_db
def test_endpoint_without_a_secret_that_is_routed_anyway_passes_all_on_as_unchecked(receiver) -> None:
    with misbehaving(answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url, secret=None)
        receiver.routes.proofs[endpoint.pk] = "none"
        assert deliver(receiver, endpoint).status_code == 200
        assert server.requests[0].body == BODY
    assert Attempt.objects.get().signature == "unchecked"
