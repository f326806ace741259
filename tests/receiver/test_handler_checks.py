"""The receiver's threads that check handlers for the console."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from dashboard.actions import handler_checks as actions
from dashboard.models import HandlerCheck
from dashboard.receiver import handler_checks
from dashboard.receiver.handler_checks import HandlerChecks
from dashboard.services import handler
from dashboard.services.handler import HandlerAnswer
from tests.factories import make_endpoint, make_endpoints, make_install
from tests.receiver.tables import database_away, soon

pytestmark = pytest.mark.django_db(transaction=True)

WITHIN_S = 30.0


@contextmanager
def running(name: str = "web1-a") -> Iterator[None]:
    checks = HandlerChecks(name=name)
    checks.start()
    try:
        yield
    finally:
        checks.end(within_s=WITHIN_S)
        checks._calls.shutdown(wait=True)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "TAKEN_WITHIN_S", WITHIN_S)


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    urls: list[str] = []

    def probe(*, url: str, deadline_s: float) -> HandlerAnswer:
        assert 0 < deadline_s <= 5
        urls.append(url)
        return HandlerAnswer(405, (), b"", 31)

    monkeypatch.setattr(handler, "probe", probe)
    return urls


def test_notification_wakes_it(probed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_checks, "LOOK_EVERY_S", 600.0)
    endpoint = make_endpoint(url="https://acme.example.com/in")
    checks = HandlerChecks(name="web1-a")
    checks.start()
    for _ in range(3):  # the first may be found without
        assert actions.ask([endpoint])[endpoint.pk].is_from_receiver
    checks._ending.set()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [actions.CHANNEL])
    checks.end(within_s=WITHIN_S)
    assert not checks._thread.is_alive()
    assert probed == ["https://acme.example.com/in"] * 3


def test_check_is_found_without_a_notification(probed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_checks, "LOOK_EVERY_S", 0.01)
    with running():
        check = HandlerCheck.objects.create(endpoint=make_endpoint())
        soon(lambda: HandlerCheck.objects.get(pk=check.pk).answered_at)
    check.refresh_from_db()
    assert (check.taken_by, check.status, check.latency_ms) == ("web1-a", 405, 31)


def test_two_receivers_make_each_check_once(probed: list[str]) -> None:
    install = make_install()
    make_endpoints(install=install, count=20)
    endpoints = list(install.endpoints.all())
    with running("web1-a"), running("web1-b"):
        found = actions.ask(endpoints)
    assert len(found) == 20
    assert sorted(probed) == sorted(one.url for one in endpoints)


def test_slow_handler_does_not_hold_up_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, fast = make_endpoint(url="https://slow.example.com/"), make_endpoint(url="https://fast.example.com/")
    go_on = threading.Event()

    def probe(*, url: str, deadline_s: float) -> HandlerAnswer:
        if "slow" in url:
            go_on.wait(WITHIN_S)
        return HandlerAnswer(405, (), b"", 31)

    monkeypatch.setattr(handler, "probe", probe)
    with running():
        waiting = HandlerCheck.objects.create(endpoint=slow)
        assert actions.ask([fast])[fast.pk].is_fine
        assert HandlerCheck.objects.get(pk=waiting.pk).answered_at is None
        go_on.set()


def test_error_is_logged_without_the_url_and_the_next_check_is_made(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = make_endpoint(url="https://acme.example.com/in?api_key=s3cr3t")
    failures = iter([1])

    def probe(*, url: str, deadline_s: float) -> HandlerAnswer:
        for _ in failures:
            raise ValueError(url)
        return HandlerAnswer(405, (), b"", 31)

    monkeypatch.setattr(handler, "probe", probe)
    monkeypatch.setattr(actions, "ANSWERED_WITHIN_S", 0.5)
    with running():
        assert actions.ask([endpoint]) == {}
        monkeypatch.setattr(actions, "ANSWERED_WITHIN_S", WITHIN_S)
        assert actions.ask([endpoint])[endpoint.pk].is_fine
    assert "a handler is not checked: ValueError" in caplog.text
    assert "s3cr3t" not in caplog.text


def test_thread_survives_a_database_that_was_away(probed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_checks, "TRY_EVERY_S", 0.01)
    endpoint = make_endpoint()
    with running():
        assert actions.ask([endpoint])
        with database_away():
            pass
        assert actions.ask([endpoint])
