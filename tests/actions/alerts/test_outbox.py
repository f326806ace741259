"""The alert outbox: messages are claimed once, retried, given up, and never sent by two workers."""

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection

from dashboard.actions.alerts import outbox, watch
from dashboard.actions.alerts.outbox import LEASE, Sent, take
from dashboard.models import AlertChannel, AlertDelivery, Endpoint
from dashboard.rules.time_zones import read_in, zone_named
from dashboard.signatures import verify
from tests.factories import NOON, SECRET, make_channel, make_endpoint, make_install, make_webhook_channel
from tests.services.mailbox import mailbox
from tests.services.misbehaving import answer, closed_port, misbehaving, silent

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _local(settings: Any) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = True


def make_disabled(**columns: Any) -> Endpoint:
    defaults = {"status": "DISABLED", "consecutive_failures": 10, "handler_url": "https://acme.example.com/hook"}
    return make_endpoint(install=make_install(name="Acme Labs"), **defaults | columns)


def send(at: timedelta = timedelta()) -> Sent:
    return outbox.send_due(clock=lambda: NOON + at)


def state_of(delivery: AlertDelivery) -> tuple[str, int, datetime | None]:
    delivery.refresh_from_db()
    return delivery.state, delivery.attempts, delivery.next_attempt_at


def test_alert_and_all_clear_arrive_in_a_mailbox(settings: Any) -> None:
    endpoint = make_disabled()
    make_channel(email="oncall@example.com")
    with mailbox() as box:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        watch.watch(now=NOON)
        assert send() == Sent(sent=1)
        Endpoint.objects.update(status="ACTIVE", consecutive_failures=0)
        watch.watch(now=NOON + 14 * MINUTE)
        assert send(14 * MINUTE) == Sent(sent=1)
    about = "Disabled by OpenTrain: Acme Labs, acme.example.com/hook"
    subjects = [mail["Subject"] for mail in box.mails]
    assert subjects == [f"[Redeliver] {about}", f"[Redeliver] Resolved after 14 min: {about}"]
    assert box.recipients == ["oncall@example.com"] * 2
    assert f"https://redeliver.example.com/endpoints/{endpoint.pk}/" in box.mails[0].get_content()
    assert "It lasted 14 min." in box.mails[1].get_content()


def test_mail_names_the_url_of_an_endpoint_and_never_a_receivers_key(settings: Any) -> None:
    make_disabled(name="Billing")
    endpoint = make_disabled(name="Receiver's", handler_url="")
    make_channel(email="oncall@example.com")
    with mailbox() as box:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        watch.watch(now=NOON)
        assert send() == Sent(sent=1)
    text = box.mails[0].get_content()
    addresses = [line for line in text.splitlines() if line.startswith("Endpoint: ")]
    assert addresses[0] == "Endpoint: https://acme.example.com/hook"
    assert addresses[1].startswith("Endpoint: https://redeliver.example.com/hooks/")
    assert endpoint.receiver_key is not None
    assert endpoint.receiver_key[:8] not in text


def test_times_of_a_mail_are_in_the_channels_zone_whoever_sends_it(settings: Any) -> None:
    make_disabled()
    make_channel(email="oncall@example.com", time_zone="Asia/Kolkata")
    with mailbox() as box, read_in(zone_named("Europe/Berlin")):
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        watch.watch(now=NOON)
        assert send() == Sent(sent=1)
    assert "Since 2026-06-12 17:30:00 UTC+05:30" in box.mails[0].get_content()


def test_hostile_names_stay_in_their_line_of_a_mail(settings: Any) -> None:
    make_disabled(handler_url="https://a.example.com/\r\nBcc: everybody@example.com\r\n\r\nHello")
    make_channel(email="oncall@example.com")
    with mailbox() as box:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", box.port
        watch.watch(now=NOON)
        assert send() == Sent(sent=1)
    (mail,) = box.mails
    assert mail["Bcc"] is None
    assert mail["Subject"].endswith("a.example.com/ Bcc: everybody@example.com Hello")
    assert box.recipients == ["oncall@example.com"]


def test_webhook_is_signed_and_says_what_happened() -> None:
    endpoint = make_disabled()
    with misbehaving(answer(200)) as server:
        make_webhook_channel(url=f"{server.url}/hook")
        watch.watch(now=NOON)
        assert send() == Sent(sent=1)
    (request,) = server.requests
    found = verify(
        secret=SECRET,
        headers=request.values("X-Redeliver-Signature"),
        body=request.body,
        now=int(NOON.timestamp()),
    )
    said, delivery = json.loads(request.body), AlertDelivery.objects.get()
    assert found.ok
    assert (said["id"], said["alerts"][0]["endpoint"]) == (
        str(delivery.pk), {"id": endpoint.pk, "name": "acme.example.com/hook", "url": "https://acme.example.com/hook"},
    )  # fmt: skip
    assert request.values("X-Redeliver-Delivery") == [str(delivery.pk)]
    assert (delivery.state, delivery.attempts, delivery.next_attempt_at) == ("sent", 1, None)


def test_slack_channel_gets_slacks_form() -> None:
    make_disabled(handler_url="https://a.example.com/<!channel>")
    with misbehaving(answer(200)) as server:
        make_webhook_channel(url=server.url, slack=True)
        watch.watch(now=NOON)
        send()
    said = json.loads(server.requests[0].body)
    assert sorted(said) == ["mrkdwn", "text", "unfurl_links", "unfurl_media"]
    assert "a.example.com/&lt;!channel&gt;" in said["text"]


def test_message_that_is_not_taken_is_tried_again_with_longer_and_longer_pauses_and_given_up() -> None:
    make_disabled()
    with misbehaving(answer(503)) as server:
        make_webhook_channel(url=server.url)
        watch.watch(now=NOON)
        delivery = AlertDelivery.objects.get()
        at = timedelta()
        for number, wait in enumerate((30, 120, 600, 3600, 10_800), start=1):
            assert send(at) == Sent(failed=1)
            again = NOON + at + timedelta(seconds=wait)
            assert state_of(delivery) == ("waiting", number, again)
            assert send(at + timedelta(seconds=wait - 1)) == Sent()
            at += timedelta(seconds=wait)
        assert send(at) == Sent(failed=1)
    assert state_of(delivery) == ("given_up", 6, None)
    assert (delivery.words, delivery.ended_at) == ("The webhook answered 503.", NOON + at)
    assert len({request.values("X-Redeliver-Delivery")[0] for request in server.requests}) == 1
    assert len(server.requests) == 6


def test_message_is_taken_at_last() -> None:
    make_disabled()
    with misbehaving(answer(503), answer(200)) as server:
        make_webhook_channel(url=server.url)
        watch.watch(now=NOON)
        send()
        assert send(MINUTE) == Sent(sent=1)
    assert state_of(AlertDelivery.objects.get()) == ("sent", 2, None)


def test_webhook_that_hangs_holds_up_no_other(monkeypatch: Any) -> None:
    monkeypatch.setattr("dashboard.services.alerts.DEADLINE_S", 2)
    make_disabled()
    with misbehaving(silent) as hanging, misbehaving(answer(200)) as well:
        make_webhook_channel(url=hanging.url)
        make_webhook_channel(url=well.url)
        watch.watch(now=NOON)
        assert send() == Sent(sent=1, failed=1)
    assert set(AlertDelivery.objects.values_list("state", "words")) >= {
        ("waiting", "The webhook did not accept the alert: no response in time.")
    }


def test_message_of_a_killed_worker_is_due_again_after_its_lease() -> None:
    make_disabled()
    with misbehaving(answer(200)) as server:
        make_webhook_channel(url=server.url)
        watch.watch(now=NOON)
        assert len(take(now=NOON)) == 1  # then the worker dies
        assert send(LEASE - MINUTE) == Sent()
        assert send(LEASE) == Sent(sent=1)
    assert state_of(AlertDelivery.objects.get()) == ("sent", 2, None)


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_send_each_message_once() -> None:
    make_disabled()
    with misbehaving(answer(200)) as server:
        for _ in range(12):
            make_webhook_channel(url=server.url)
        watch.watch(now=NOON)
        together = threading.Barrier(4)
        found: list[Sent] = []

        def work() -> None:
            try:
                together.wait(60)
                found.append(send())
            finally:
                connection.close()

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    assert sum(one.sent for one in found) == 12
    assert len({request.values("X-Redeliver-Delivery")[0] for request in server.requests}) == 12
    assert len(server.requests) == 12


def test_message_of_a_deleted_channel_is_not_sent() -> None:
    make_disabled()
    with misbehaving(answer(200)) as server:
        make_webhook_channel(url=server.url)
        watch.watch(now=NOON)
        AlertChannel.objects.all().delete()
        assert send() == Sent(failed=1)
        assert server.connections == 0
    assert AlertDelivery.objects.get().words == "The channel was deleted."


def test_address_whose_key_is_missing_is_said_and_tried_again(settings: Any) -> None:
    make_disabled()
    make_webhook_channel(url=f"http://localhost:{closed_port()}/")
    watch.watch(now=NOON)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert send() == Sent(failed=1)
    delivery = AlertDelivery.objects.get()
    assert delivery.words.startswith("The channel's address cannot be read with the keys in FIELD_KEYS")
    assert delivery.state == "waiting"


def test_nothing_is_open_in_the_database_while_a_message_is_sent(monkeypatch: Any) -> None:
    make_disabled()
    make_webhook_channel(url="https://alerts.example.com/")
    watch.watch(now=NOON)
    threads: list[str] = []

    def post(**_: object) -> str:
        threads.append(threading.current_thread().name)
        assert connection.connection is None  # this thread has opened no connection
        return "Answered 200 in 1 ms."

    monkeypatch.setattr("dashboard.services.alerts.post", post)
    assert send() == Sent(sent=1)
    assert threads[0].startswith("alert")
