"""Concurrent runs, runs that reach their time limit, and runs that are told to stop."""

import asyncio
import socket
import threading
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.utils import timezone

from dashboard.partner_api import engine
from dashboard.partner_api.endpoints import Registered
from dashboard.partner_api.engine import Report
from dashboard.partner_api.models import Attempt, Delivery
from tests.partner_api import sink
from tests.partner_api.conftest import THEN, Partner, make_endpoint, make_partner
from tests.partner_api.deeds import claim_all, deliver, emit, states
from tests.partner_api.sink import Received, Sink


def test_a_run_whose_time_is_up_says_that_it_is_unfinished(
    partner: Partner, hooked: Registered, receiver: Sink, settings
) -> None:
    settings.PARTNER_API_MAX_PER_ENDPOINT = 1
    settings.PARTNER_API_RUN_BUDGET_S = 0.001
    emit(partner, count=200)
    report = deliver()
    assert report.unfinished
    assert report.attempted < 200


def run_in_thread(reports: list[Report]) -> None:
    try:
        reports.append(async_to_sync(engine.run)())
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_concurrent_runs_share_the_work_and_never_post_a_delivery_twice_at_once(receiver: Sink, settings) -> None:
    settings.PARTNER_API_MAX_PER_ENDPOINT = 3
    partner = make_partner()
    for _ in range(6):
        make_endpoint(partner, url=receiver.url)
    emit(partner, count=25)
    reports: list[Report] = []
    runs = [threading.Thread(target=run_in_thread, args=(reports,)) for _ in range(3)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join(timeout=60)
    assert sum(report.attempted for report in reports) == 150
    assert len(receiver.requests) == len(set(receiver.delivery_ids)) == 150
    assert receiver.doubled == []
    assert states() == ["DELIVERED"] * 150


@pytest.mark.django_db(transaction=True)
def test_a_cancelled_run_records_what_is_in_flight_and_gives_the_rest_back(receiver: Sink, settings) -> None:
    settings.PARTNER_API_MAX_PER_ENDPOINT = 2
    partner = make_partner()
    make_endpoint(partner, url=receiver.url)
    emit(partner, count=8)
    told = threading.Event()

    def answer(received: Received) -> int:
        told.wait(60)
        return 200

    receiver.answer = answer

    async def cancel_in_flight() -> None:
        work = asyncio.create_task(engine.run(clock=timezone.now))
        await asyncio.to_thread(sink.wait_until, lambda: len(receiver.requests) == 2)
        work.cancel()
        await asyncio.sleep(0.05)
        told.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    async_to_sync(cancel_in_flight)()
    assert states() == ["DELIVERED"] * 2 + ["PENDING"] * 6
    assert Delivery.objects.exclude(claimed_by=None).count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_big_endpoint_that_comes_back_is_asked_by_two_posts_before_the_rest_comes(receiver: Sink) -> None:
    """No thundering herd: before the first answer only two due deliveries are posted, then at most ten at once."""
    partner = make_partner()
    make_endpoint(partner, url=receiver.url)
    emit(partner, count=60)
    told, at_first = threading.Event(), []

    def answer(received: Received) -> int:
        told.wait(60)
        return 200

    receiver.answer = answer

    async def go() -> Report:
        work = asyncio.create_task(engine.run(clock=lambda: THEN))
        await asyncio.to_thread(sink.wait_until, lambda: len(receiver.requests) >= 2)
        await asyncio.sleep(0.3)  # a few turns of the run: time to claim more, if it would
        at_first.append(await Delivery.objects.exclude(claimed_by=None).acount())
        at_first.append(len(receiver.requests))
        told.set()
        return await work

    assert async_to_sync(go)().delivered == 60
    assert (at_first, receiver.most_at_once <= 10) == ([2, 2], True)


@pytest.mark.django_db(transaction=True)
def test_what_does_not_end_within_the_grace_is_dropped_and_comes_again(receiver: Sink, monkeypatch) -> None:
    monkeypatch.setattr(engine, "GRACE_S", 0.05)
    partner = make_partner()
    in_flight = threading.Event()

    def hang(connection: socket.socket, over: threading.Event) -> None:
        in_flight.set()
        sink.silent(connection, over)

    with sink.running_socket(hang) as url:
        make_endpoint(partner, url=url)
        emit(partner)

        async def cancel_soon() -> None:
            work = asyncio.create_task(engine.run(clock=lambda: THEN))
            await asyncio.to_thread(sink.wait_until, in_flight.is_set)
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

        async_to_sync(cancel_soon)()
    assert (states(), Attempt.objects.count()) == (["PENDING"], 0)
    assert len(claim_all(now=THEN + timedelta(minutes=1))) == 1
