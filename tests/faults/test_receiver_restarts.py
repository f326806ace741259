"""A receiver is replaced under load: its successor takes over the socket, and no delivery fails."""

import http.client
import itertools
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from dashboard.models import Attempt, Delivery
from dashboard.signatures import sign
from tests.factories import BODY, SECRET, make_endpoint
from tests.faults.serving import PATIENCE_S, Site
from tests.services.misbehaving import Connection, answer, misbehaving

pytestmark = pytest.mark.slow

CLIENTS, REPLACED = 8, 3
SLOW_S = 0.3


class Sender:
    """Sends deliveries over one connection for as long as the receiver keeps it, as a load balancer does."""

    def __init__(self, *, port: int, key: str, numbers: Iterator[int]) -> None:
        self.failed: list[str] = []
        self.delivered: list[str] = []
        self._port, self._key, self._numbers = port, key, numbers
        self._connection: http.client.HTTPConnection | None = None

    def send(self) -> None:
        """Send one delivery; a kept connection that was closed before anything came is dialled anew, once."""
        delivery_id = f"dlv_{next(self._numbers)}"
        kept = self._connection is not None
        try:
            status = self._post(delivery_id)
        except (ConnectionError, http.client.RemoteDisconnected) as error:
            self.close()
            try:
                status = self._post(delivery_id) if kept else str(error)
            except OSError as again:
                status = str(again)
        if status == http.HTTPStatus.OK:
            self.delivered.append(delivery_id)
        else:
            self.failed.append(f"{delivery_id}: {status}")

    def _post(self, delivery_id: str) -> object:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        headers = {
            "Content-Type": "application/json",
            "X-OpenTrain-Event": "contract.started",
            "X-OpenTrain-Delivery": delivery_id,
            "X-OpenTrain-Signature": sign(secret=SECRET, body=BODY, timestamp=int(time.time())),
        }
        self._connection.request("POST", f"/hooks/{self._key}/", BODY, headers)
        response = self._connection.getresponse()
        response.read()
        if response.will_close:
            self.close()
        return response.status

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def slow(connection: Connection) -> None:
    time.sleep(SLOW_S)  # a handler's work
    answer(200, b"{}")(connection)


@pytest.mark.xdist_group("faults")
def test_receiver_is_replaced_under_load_without_a_failed_delivery(site: Site) -> None:
    with misbehaving(slow) as handler, socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        key = str(make_endpoint(handler_url=handler.url).receiver_key)
        port = site.start_another_receiver(inherits=listening)
        numbers, done = itertools.count(), threading.Event()
        senders = [Sender(port=port, key=key, numbers=numbers) for _ in range(CLIENTS)]

        def send(sender: Sender) -> None:
            while not done.is_set():
                sender.send()
            sender.close()

        threads = [threading.Thread(target=send, args=[sender]) for sender in senders]
        for thread in threads:
            thread.start()
        try:
            for number in range(REPLACED):
                site.start_another_receiver(inherits=listening)
                ending = site.others[number]
                ending.send_signal(signal.SIGTERM)
                assert ending.wait(PATIENCE_S) == 0
        finally:
            done.set()
            for thread in threads:
                thread.join(PATIENCE_S)
        assert [failure for sender in senders for failure in sender.failed] == []
        sent = {one for sender in senders for one in sender.delivered}
        assert len(sent) > CLIENTS * REPLACED
        assert set(Delivery.objects.values_list("opentrain_id", flat=True)) >= sent
        assert Attempt.objects.exclude(cause="").count() == 0
