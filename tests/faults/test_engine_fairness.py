"""A receiver that hangs blocks only its own slots; `make bench-fairness` measures the effect."""

import socket
import threading
from collections import Counter

import pytest
from asgiref.sync import async_to_sync

from dashboard.partner_api import engine
from dashboard.partner_api.models import Attempt, Delivery
from tests.bench import bench_fairness as load
from tests.partner_api import sink
from tests.partner_api.sink import Received, Sink

SLOTS, OWN_SLOTS = 20, 2
"""All slots of a run, and those of an endpoint that has never responded: `fair_scheduler.FIRST_WINDOW`."""
PATIENCE_S = 60
"""Far longer than any step here takes, even on a busy machine."""


class Hanging:
    """A receiver that does not respond until released, and then drops each connection."""

    def __init__(self) -> None:
        self.arrived = 0
        self.holds_its_slots = threading.Event()
        self.let_go = threading.Event()
        self._lock = threading.Lock()

    def behave(self, connection: socket.socket, _over: threading.Event) -> None:
        sink.read_request(connection)
        with self._lock:
            self.arrived += 1
            if self.arrived >= OWN_SLOTS:
                self.holds_its_slots.set()
        self.let_go.wait(2 * PATIENCE_S)


class Healthy:
    """A receiver that responds once it holds all other slots, and releases the hanging one after its last delivery."""

    def __init__(self, hanging: Hanging, receiver: Sink) -> None:
        self._hanging, self._receiver = hanging, receiver
        self._has_the_others = threading.Event()
        self.beside: list[int] = []

    def answer(self, _received: Received) -> int:
        """Record the hanging receiver's number of deliveries. Raises: AssertionError if slots are missing."""
        assert self._hanging.holds_its_slots.wait(PATIENCE_S)
        if len(self._receiver._open) == SLOTS - OWN_SLOTS:
            self._has_the_others.set()
        assert self._has_the_others.wait(PATIENCE_S)
        self.beside.append(self._hanging.arrived)
        if len(self.beside) == load.HEALTHY * load.EACH:
            self._hanging.let_go.set()
        return 200


@pytest.mark.django_db(transaction=True)
def test_a_thousand_deliveries_of_a_hanging_endpoint_hold_two_slots_and_all_healthy_ones_are_served_beside_them(
    postgres_server, settings
) -> None:
    from django.db import connection  # noqa: PLC0415 - its name is that of this test's database

    url, keys = postgres_server.url(connection.settings_dict["NAME"]), settings.PARTNER_API_KEYS[0]
    settings.PARTNER_API_MAX_IN_FLIGHT, settings.PARTNER_API_DISABLE_AFTER = SLOTS, SLOTS
    settings.PARTNER_API_TIMEOUT_S, settings.PARTNER_API_LEASE_S = 2 * PATIENCE_S, 3 * PATIENCE_S
    settings.PARTNER_API_RUN_BUDGET_S = 2 * PATIENCE_S
    hanging = Hanging()
    with sink.running_sink() as receiver, sink.running_socket(hanging.behave) as hanging_url:
        healthy = Healthy(hanging, receiver)
        receiver.answer = healthy.answer
        broken = load.load(url, target=receiver.url, keys=keys, hanging=hanging_url)
        try:
            async_to_sync(engine.run)()
        finally:
            hanging.let_go.set()
    # At every POST to the healthy receiver, from first to last, the hanging one had exactly its two slots.
    assert Counter(healthy.beside) == {OWN_SLOTS: load.HEALTHY * load.EACH}
    assert receiver.most_at_once == SLOTS - OWN_SLOTS
    of_healthy = Delivery.objects.exclude(endpoint=broken)
    assert of_healthy.filter(status="DELIVERED").count() == of_healthy.count() == load.HEALTHY * load.EACH
    assert len(receiver.delivery_ids) == len(set(receiver.delivery_ids)) == load.HEALTHY * load.EACH
    # After its release, it dropped every connection until it was disabled.
    of_broken = Attempt.objects.filter(delivery__endpoint=broken, status_code=None)
    assert (hanging.arrived, of_broken.count()) == (SLOTS, SLOTS)
