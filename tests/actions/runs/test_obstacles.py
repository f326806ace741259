"""What keeps a run from going on."""

import uuid
from collections.abc import Callable

import pytest
from django.utils import timezone

from dashboard.actions import endpoint_changes
from dashboard.actions.installs import sync
from dashboard.actions.runs import commands, obstacles
from dashboard.models import Endpoint, User
from tests.actions.runs.by_bits import go, make_failed, recover, redeliver, states
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_failed_delivery, make_user

pytestmark = pytest.mark.django_db


def test_endpoint_that_is_moved_outside_pauses_the_run_and_says_why(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    run = redeliver(endpoint, support)
    token, elsewhere = endpoint.install.token, "https://acme.example.com/elsewhere"
    door = endpoint.url
    fake_opentrain.update_endpoint(token=token, endpoint_id=endpoint.opentrain_id, url=elsewhere)
    sync.refresh(install=endpoint.install, now=timezone.now())
    run = go(run)
    assert (run.state, states(run)) == ("paused", {"waiting": 2})
    assert run.why.startswith(f"OpenTrain delivers this endpoint to {elsewhere}: its URL was changed outside Redeliver")
    fake_opentrain.update_endpoint(token=token, endpoint_id=endpoint.opentrain_id, url=door)
    sync.refresh(install=endpoint.install, now=timezone.now())
    commands.resume(actor=support, run=run)
    assert states(go(run)) == {"requested": 2}


def test_endpoint_deleted_elsewhere_is_said_plainly(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    make_failed(endpoint, fake_opentrain, 2)
    run = redeliver(endpoint, support)
    fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    run = go(run)
    assert (run.state, run.why) == ("stopped", f"{obstacles.DELETED} 2 not requested.")


def test_endpoint_deleted_here_names_who_did_it(endpoint: Endpoint, support: User) -> None:
    make_failed_delivery(endpoint=endpoint)
    run = redeliver(endpoint, support)
    endpoint_changes.delete(
        actor=make_user(username="bob"), endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4()
    )
    run = go(run)
    assert (run.state, run.why) == ("stopped", "bob deleted this endpoint. 1 not requested.")


def test_endpoint_paused_by_somebody_stops_a_recovery_and_says_so(
    broken: Callable[..., Endpoint], support: User
) -> None:
    endpoint = broken(failed=2)
    run = go(recover(endpoint, support))
    endpoint.refresh_from_db()
    endpoint_changes.pause(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    run = go(run)
    said = "The endpoint was paused, so deliveries are stopped. OpenTrain gives the reason: "
    assert (run.state, run.why) == ("stopped", f"{said}Paused through the API.")


def test_disabled_endpoint_pauses_a_bulk_run(broken: Callable[..., Endpoint], support: User) -> None:
    run = go(redeliver(broken(failed=2), support))
    assert (run.state, run.why) == (
        "paused",
        "The endpoint is disabled, so deliveries are stopped. Re-enable it, then resume.",
    )


def test_person_who_may_no_longer_act_stops_the_run(endpoint: Endpoint, support: User) -> None:
    make_failed_delivery(endpoint=endpoint)
    run = redeliver(endpoint, support)
    User.objects.filter(pk=support.pk).update(role="")
    run = go(run)
    assert (run.state, run.why) == ("stopped", "ana no longer has permission to act on this endpoint.")
