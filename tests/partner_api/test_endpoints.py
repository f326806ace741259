"""Changes of an endpoint: what is kept, what is requeued, and what is not found."""

import re
from datetime import timedelta
from typing import Any

import pytest

from dashboard.partner_api import endpoints, vault
from dashboard.partner_api.endpoints import Changes, Registered
from dashboard.partner_api.errors import NotFound
from dashboard.partner_api.models import Attempt, Delivery, Endpoint
from tests.partner_api.conftest import BOTH, THEN, Partner, make_deliveries, make_endpoint

LATER = THEN + timedelta(hours=1)


def change(endpoint: Endpoint, **changes: Any) -> Endpoint:
    return endpoints.change(
        install_id=endpoint.install_id, endpoint_id=endpoint.pk, changes=Changes(**changes), now=LATER
    )


def redeliver(endpoint: Endpoint, *, delivery_id: str | None = None) -> int:
    return endpoints.redeliver(
        install_id=endpoint.install_id, endpoint_id=endpoint.pk, delivery_id=delivery_id, now=LATER
    ).count


def test_secret_is_shown_once_and_kept_sealed(registered: Registered) -> None:
    assert re.fullmatch(r"whsec_[A-Za-z0-9_-]{43}", registered.secret)
    stored = Endpoint.objects.get().secret_sealed
    assert registered.secret not in stored
    assert vault.unseal(stored) == registered.secret
    assert registered.secret not in repr(registered)


def test_new_endpoint_is_active_and_has_its_own_secret(partner: Partner, registered: Registered) -> None:
    other = make_endpoint(partner)
    assert (registered.endpoint.status, registered.endpoint.consecutive_failures) == ("ACTIVE", 0)
    assert registered.secret != other.secret
    assert endpoints.newest_first(install_id=partner.install_id)[0].pk in {registered.endpoint.pk, other.endpoint.pk}
    assert len(endpoints.newest_first(install_id=partner.install_id)) == 2


def test_change_changes_only_what_it_names(endpoint: Endpoint) -> None:
    changed = change(endpoint, url="https://new.example.com/")
    assert (changed.url, changed.event_types, changed.status) == ("https://new.example.com/", BOTH, "ACTIVE")
    assert change(endpoint, event_types=["contract.ended"]).event_types == ["contract.ended"]
    assert Endpoint.objects.get().url == "https://new.example.com/"


def test_pause_keeps_the_streak_and_active_begins_it_anew(endpoint: Endpoint) -> None:
    Endpoint.objects.update(consecutive_failures=4)
    paused = change(endpoint, status="DISABLED")
    assert (paused.disabled_at, bool(paused.disabled_reason), paused.consecutive_failures) == (LATER, True, 4)
    active = change(endpoint, status="ACTIVE")
    assert (active.disabled_at, active.disabled_reason, active.consecutive_failures) == (None, None, 0)


def test_pause_of_a_disabled_endpoint_keeps_why_and_since_when(endpoint: Endpoint) -> None:
    Endpoint.objects.update(status="DISABLED", disabled_at=THEN, disabled_reason="10 failures.")
    paused = change(endpoint, status="DISABLED")
    assert (paused.disabled_at, paused.disabled_reason) == (THEN, "10 failures.")


def test_delete_takes_the_deliveries_along_and_returns_what_it_was(partner: Partner, endpoint: Endpoint) -> None:
    other = make_endpoint(partner).endpoint
    make_deliveries(partner, endpoint, count=2, status="FAILED")
    deleted = endpoints.delete(install_id=endpoint.install_id, endpoint_id=endpoint.pk)
    assert deleted.url == endpoint.url
    assert list(Endpoint.objects.all()) == [other]
    assert set(Delivery.objects.values_list("endpoint", flat=True)) <= {other.pk}
    assert not Attempt.objects.exists()


def test_redeliver_all_requeues_what_failed_with_all_attempts_anew(partner: Partner, endpoint: Endpoint) -> None:
    failed = make_deliveries(partner, endpoint, count=2, status="FAILED")
    make_deliveries(partner, endpoint, count=1, status="DELIVERED")
    Delivery.objects.update(tries=5)
    assert redeliver(endpoint) == 2
    rows = Delivery.objects.filter(status="PENDING").values_list("pk", "tries", "round", "next_attempt_at")
    assert {pk: tuple(rest) for pk, *rest in rows} == dict.fromkeys(failed, (0, rows[0][2], LATER))
    assert redeliver(endpoint) == 0


@pytest.mark.parametrize("status", ["PENDING", "DELIVERED", "FAILED"])
def test_redeliver_one_requeues_it_whatever_its_status(partner: Partner, endpoint: Endpoint, status: str) -> None:
    one, other = make_deliveries(partner, endpoint, count=2, status=status)
    rounds = dict(Delivery.objects.values_list("pk", "round"))
    assert redeliver(endpoint, delivery_id=one) == 1
    assert dict(Delivery.objects.values_list("pk", "round")) == {one: rounds[one] + 1, other: rounds[other]}


@pytest.mark.parametrize("endpoint_id", ["", "whe_1", "whe_" + "0" * 32, "whe_" + "A" * 32, "\0", "dlv_" + "0" * 32])
def test_what_is_not_there_is_not_found(partner: Partner, endpoint: Endpoint, endpoint_id: str) -> None:
    known = {"install_id": partner.install_id, "endpoint_id": endpoint_id}
    for call in (
        lambda: endpoints.get(**known),
        lambda: endpoints.change(**known, changes=Changes(), now=LATER),
        lambda: endpoints.delete(**known),
        lambda: endpoints.redeliver(**known, delivery_id=None, now=LATER),
    ):
        with pytest.raises(NotFound):
            call()


def test_endpoint_of_another_install_is_not_found_either(outsider: Partner, endpoint: Endpoint) -> None:
    with pytest.raises(NotFound):
        endpoints.get(install_id=outsider.install_id, endpoint_id=endpoint.pk)


@pytest.mark.parametrize("delivery_id", ["", "dlv_1", "dlv_" + "0" * 32, "\0"])
def test_delivery_that_is_not_there_requeues_nothing(partner: Partner, endpoint: Endpoint, delivery_id: str) -> None:
    make_deliveries(partner, endpoint, count=1, status="FAILED")
    with pytest.raises(NotFound):
        redeliver(endpoint, delivery_id=delivery_id)
    assert Delivery.objects.get().status == "FAILED"
