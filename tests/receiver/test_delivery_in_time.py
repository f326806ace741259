"""How many deliveries wait, how long, and what is known of answers that come late."""

import asyncio
import resource
import threading
import time
from collections.abc import Iterator

import pytest

from dashboard import metrics
from dashboard.models import Attempt, Delivery
from dashboard.receiver.limits import RESERVED, Limits
from tests.factories import BODY, make_endpoint
from tests.receiver.delivering import after, deliver, receiving, refusal, request, said, until
from tests.receiver.tables import soon
from tests.services.misbehaving import answer, misbehaving


@pytest.mark.django_db
def test_delivery_beyond_the_waits_is_answered_503_and_recorded_as_busy() -> None:
    limits = Limits(descriptors=RESERVED + 2)
    limits.most_of_endpoint = 0
    with misbehaving(answer(200)) as server, receiving(limits=limits) as receiver:
        response = deliver(receiver, make_endpoint(handler_url=server.url))
        assert server.connections == 0
    assert (said(response), response["Retry-After"]) == ((503, "busy"), "5")
    attempt = Attempt.objects.get()
    assert (attempt.answered_status, attempt.ok, attempt.cause, attempt.handler_status) == (503, False, "busy", None)


@pytest.mark.django_db
def test_delivery_whose_body_finds_no_room_is_told_to_come_again_and_recorded_as_refused() -> None:
    limits = Limits(descriptors=100_000, most_bytes=len(BODY) - 1)
    with misbehaving(answer(200)) as server, receiving(limits=limits) as receiver:
        response = deliver(receiver, make_endpoint(handler_url=server.url))
        assert server.connections == 0
    assert (said(response), response["Retry-After"]) == ((503, "busy"), "5")
    assert refusal() == (503, "busy")
    assert limits.bytes_held == 0


@pytest.mark.django_db
def test_answer_just_before_the_deadline_gets_through_and_one_after_it_is_a_time_out() -> None:
    deadlines = {"handler_s": 0.985, "record_s": 5.0, "opentrain_s": 5.0}  # a tenth of the real first one
    with (
        misbehaving(after(0.8, answer(200)), after(2, answer(200))) as server,
        receiving(**deadlines) as receiver,
    ):
        endpoint = make_endpoint(handler_url=server.url)
        assert deliver(receiver, endpoint).status_code == 200
        assert said(deliver(receiver, endpoint)) == (504, "timeout")
        assert list(receiver.journal.in_time.values()) == [True, True]
        assert receiver.journal.left_s[0] < 5.0 - 0.8


@pytest.mark.django_db
def test_past_the_deadline_the_handler_is_not_called() -> None:
    with misbehaving(answer(200)) as server, receiving(handler_s=0.0) as receiver:
        response = deliver(receiver, make_endpoint(handler_url=server.url))
        assert server.connections == 0
    assert said(response) in {(504, "late"), (408, "late")}
    assert Attempt.objects.filter(ok=True).count() == 0


@pytest.mark.django_db
def test_body_that_does_not_arrive_in_time_is_refused() -> None:
    with misbehaving(answer(200)) as server, receiving(handler_s=0.2) as receiver:
        response = receiver.say(request(make_endpoint(handler_url=server.url))[:-3])
        assert server.connections == 0
    assert said(response) == (408, "late")
    assert refusal() == (408, "late")


@pytest.mark.django_db
def test_sender_that_went_away_is_recorded_as_not_answered(receiver) -> None:
    with misbehaving(after(0.5, answer(200))) as server:
        endpoint = make_endpoint(handler_url=server.url)

        async def leave() -> None:
            _reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(request(endpoint))
            await until(lambda: server.connections)
            writer.transport.abort()
            await until(lambda: receiver.journal.left_s)

        receiver.run(leave())
    attempt = Attempt.objects.get()
    assert (attempt.handler_status, attempt.answered_in_time, attempt.ok, attempt.cause) == (200, False, False, "gone")
    assert Delivery.objects.values_list("last_ok", "last_cause").get() == (False, "gone")
    assert receiver.journal.in_time == {}


@pytest.mark.django_db
def test_sender_that_leaves_while_the_attempt_is_recorded_is_noted_apart(receiver) -> None:
    endpoint = make_endpoint()

    async def leave() -> None:
        _reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)

        def has_gone() -> bool:
            return all(one.transport is None for one in receiver.server.connections)

        def go() -> None:
            writer.transport.abort()
            receiver.journal.thread.post(lambda: soon(has_gone))  # the record comes after it

        receiver.journal.before_record = go
        writer.write(request(endpoint))
        await until(lambda: receiver.journal.in_time)

    receiver.run(leave())
    attempt = Attempt.objects.get()
    assert (attempt.answered_in_time, attempt.ok) == (None, True)
    assert receiver.journal.in_time == {attempt.uuid: False}


@pytest.mark.django_db
def test_answer_in_time_is_noted_under_the_attempts_name(receiver) -> None:
    deliver(receiver, make_endpoint())
    assert receiver.journal.in_time == {Attempt.objects.get().uuid: True}


@pytest.mark.django_db
def test_answer_that_goes_out_after_opentrains_time_did_not_reach_it() -> None:
    with receiving(opentrain_s=1.0) as slow:
        slow.journal.before_record = lambda: time.sleep(1.0)  # stays in the loop's way
        deliver(slow, make_endpoint())
    assert slow.journal.in_time == {Attempt.objects.get().uuid: False}


@pytest.mark.django_db
def test_delivery_counts_as_delivered_only_once_opentrain_has_got_the_answer(monkeypatch) -> None:
    counted = []
    monkeypatch.setattr(metrics, "count_receipt", lambda **given: counted.append(given["result"]))
    with receiving() as receiver:
        deliver(receiver, make_endpoint())
    with receiving(opentrain_s=1.0) as receiver:
        receiver.journal.before_record = lambda: time.sleep(1.0)
        deliver(receiver, make_endpoint())
    assert counted == ["delivered", "gone"]


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open the files of a thousand deliveries at both ends, and of as many calls to the handler."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 5000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.django_db
@pytest.mark.usefixtures("many_files")
def test_a_thousand_deliveries_wait_for_a_slow_handler_at_once() -> None:
    """They have a minute, so that a busy machine can open two thousand connections."""
    go = threading.Event()
    with (
        receiving(handler_s=60.0, record_s=61.0, opentrain_s=62.0) as receiver,
        misbehaving(after(go, answer(200))) as server,
    ):
        endpoint = make_endpoint(handler_url=server.url)

        async def all_at_once():
            tasks = [
                asyncio.create_task(receiver.exchange(request(endpoint, X_OpenTrain_Delivery=f"dlv_{number}")))
                for number in range(1000)
            ]
            await until(lambda: receiver.limits.waiting == 1000)
            go.set()
            return await asyncio.gather(*tasks)

        statuses = {response.status_code for response in receiver.run(all_at_once())}
        assert statuses == {200}
        assert Attempt.objects.filter(ok=True).count() == 1000
        assert receiver.limits.waiting == 0
