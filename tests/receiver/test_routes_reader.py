"""The thread that reads routes: how often it asks, and what it survives."""

import contextlib
import errno
import fcntl
import logging
import os
import re
import resource
import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from dashboard.models import Endpoint
from dashboard.receiver import routes_file, routes_reader
from tests.factories import make_endpoint, make_endpoints, make_install
from tests.receiver.tables import database_away, running, soon

pytestmark = pytest.mark.django_db(transaction=True)


def test_keys_asked_at_the_same_time_are_few_statements(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    of_keys = routes_reader.routes.of_keys
    monkeypatch.setattr(routes_reader.routes, "of_keys", lambda on, keys: asked.append(len(keys)) or of_keys(on, keys))
    with running() as table:
        assert table.get_all([f"key-{number}" for number in range(500)]) == [None] * 500
        assert sum(asked) == 500
        assert len(asked) <= 5


def test_database_is_not_asked_more_often_though_strangers_send_key_after_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_reader, "ASK_EVERY_S", 0.1)
    with running() as table:
        began = time.monotonic()
        assert [table.get(f"key-{number}") for number in range(5)] == [None] * 5
        assert time.monotonic() - began >= 4 * 0.1


def test_routes_are_read_while_deliveries_have_all_low_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2048), before[1]))
    pair = socket.socketpair

    def high() -> list[socket.socket]:
        with contextlib.ExitStack() as low:
            ends = [low.enter_context(end) for end in pair()]
            return [socket.socket(fileno=fcntl.fcntl(end, fcntl.F_DUPFD, 1024)) for end in ends]

    monkeypatch.setattr(routes_reader.socket, "socketpair", high)
    make_endpoint()
    try:
        with running() as table:
            assert table.table._reader._woken.fileno() > 1023
            assert table.get("no-such-key") is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_nothing_is_read_while_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, reads = [], []
    digest, every = routes_reader.routes.digest, routes_reader.routes.every
    monkeypatch.setattr(routes_reader, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(routes_reader.routes, "digest", lambda on: looks.append(1) or digest(on))
    monkeypatch.setattr(routes_reader.routes, "every", lambda on: reads.append(1) or every(on))
    install = make_install()
    make_endpoint(install=install)
    with running() as table:
        soon(lambda: len(looks) > 5)
        Endpoint.objects.update(status="DISABLED", consecutive_failures=10)
        make_endpoints(install=install, count=3)
        so_far = len(looks)
        soon(lambda: len(looks) > so_far + 5)
        assert len(reads) == 1
        assert table.table.count == 1


def test_outage_is_logged_once_and_its_end_too(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(routes_reader, "TRY_EVERY_S", 0.01)
    tries = []
    listening = routes_reader.listening
    monkeypatch.setattr(routes_reader, "listening", lambda channel: tries.append(1) or listening(channel))
    caplog.set_level(logging.INFO)
    make_endpoint()
    with running() as table:
        with database_away():
            soon(lambda: len(tries) > 5)
        soon(lambda: table.table._reader.is_answering)
    away, again = [record.getMessage() for record in caplog.records if record.name == routes_reader.__name__]
    assert re.fullmatch(r"the database cannot be asked for routes \(\w+\); 1 are in memory", away)
    assert again == "the database answers again: 1 routes are current"


def test_thread_goes_on_after_an_error_that_nobody_expected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(routes_reader, "TRY_EVERY_S", 0.01)
    of_keys = routes_reader.routes.of_keys
    failures = iter([ZeroDivisionError()])

    def failing_once(on, keys):
        for error in failures:
            raise error
        return of_keys(on, keys)

    monkeypatch.setattr(routes_reader.routes, "of_keys", failing_once)
    with running() as table:
        [away] = table.get_all(["unknown-key"])
        assert type(away).__name__ == "RoutesAway"
        soon(lambda: table.table._reader.is_answering)
        assert table.get("unknown-key") is None
    assert "ZeroDivisionError" in caplog.text


def test_notification_that_is_not_ours_is_left_alone() -> None:
    with running() as table:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify('dashboard_routes', 'anything')")
        endpoint = make_endpoint()
        soon(lambda: table.table.count)
        assert table.get(endpoint.receiver_key)


def test_table_that_never_started_ends() -> None:
    routes_reader.RoutesReader().end()


# The file


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(routes_reader, "WRITE_AFTER_S", 0.01)
    return tmp_path / "routes"


def kept(file: Path) -> list[str]:
    """Return the handlers that the file knows."""
    found = routes_file.read(file)
    return sorted(row.handler_url for row in found.rows) if found else []


def test_changes_are_written_to_the_file(file: Path) -> None:
    endpoint = make_endpoint()
    with running(file):
        soon(lambda: kept(file) == [""])
        Endpoint.objects.update(handler_url="https://new.example.com/")
        soon(lambda: kept(file) == ["https://new.example.com/"])
        Endpoint.objects.filter(pk=endpoint.pk).delete()
        soon(lambda: kept(file) == [])


def test_file_is_written_now_and_then_so_that_its_age_is_that_of_its_routes(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_reader, "WRITE_EVERY_S", 0.05)
    make_endpoint()
    with running(file):
        soon(file.exists)
        first = file.stat().st_ino, file.stat().st_mtime_ns
        soon(lambda: (file.stat().st_ino, file.stat().st_mtime_ns) != first)


def test_file_that_is_old_is_warned_about(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    routes_file.write(file, [], at=timezone.now() - timedelta(hours=25, minutes=1))
    with running(file):
        pass
    assert f"the routes in {file} are 25 h old" in caplog.text
    caplog.clear()
    routes_file.write(file, [], at=timezone.now() - timedelta(hours=23))
    with running(file):
        pass
    assert "h old" not in caplog.text


def test_file_that_cannot_be_read_is_named_and_replaced(file: Path, settings, caplog: pytest.LogCaptureFixture) -> None:
    make_endpoint(secret=None)
    with running(file):
        soon(file.exists)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    with running(file):
        soon(lambda: kept_or_not(file) == [""])
    assert f"no routes without the database: {file} is damaged, or FIELD_KEYS lacks the key" in caplog.text


def kept_or_not(file: Path) -> list[str] | None:
    try:
        return kept(file)
    except routes_file.RoutesUnreadable:
        return None


def test_disk_that_is_full_is_logged_once_and_tried_again(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries = []
    write = routes_file.write

    def full(*_args: object, **_options: object) -> None:
        tries.append(1)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(routes_file, "write", full)
    make_endpoint()
    with running(file) as table:
        soon(lambda: len(tries) > 3)
        assert table.get("unknown-key") is None
        monkeypatch.setattr(routes_file, "write", write)
        soon(lambda: kept(file) == [""])
    assert caplog.text.count(f"{file} cannot be written: No space left on device. It is tried again") == 1
