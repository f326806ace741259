"""Routes in memory follow the database, and a key is unknown only when the database says so."""

import time
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import CharField, Value
from django.db.models.functions import Cast, Concat
from django.utils import timezone

from dashboard.models import Endpoint
from dashboard.receiver import routes as routes_module
from dashboard.receiver import routes_reader
from dashboard.receiver.routes import FIRST_READ_S, Route, RoutesAway
from dashboard.signatures import OTHERS_TRIED
from dashboard.vault import Secret
from tests.factories import NOON, make_endpoint, make_endpoints, make_install
from tests.receiver.tables import Running, database_away, running, soon

pytestmark = pytest.mark.django_db(transaction=True)
UNKNOWN = "no-such-key"


@pytest.fixture
def without_notifications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listen where nobody notifies, as behind a proxy that shares connections, and look more often."""
    monkeypatch.setattr(routes_reader, "CHANNEL", "elsewhere")
    monkeypatch.setattr(routes_reader, "LOOK_EVERY_S", 0.05)


@pytest.fixture
def notified_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_reader, "LOOK_EVERY_S", 3600.0)


def known(table: Running, endpoint: Endpoint) -> Any:
    """Return what is in memory for an endpoint."""
    return table.table._tables.by_endpoint.get(endpoint.pk)


def test_route_has_what_a_delivery_needs() -> None:
    endpoint = make_endpoint(handler_url="https://acme.example.com/hook", registering_since=NOON, proof="none")
    with running() as table:
        assert table.table.count == 1
        route = table.get(endpoint.receiver_key)
    assert route == Route(
        endpoint.receiver_key,
        endpoint.pk,
        endpoint.install_id,
        "https://acme.example.com/hook",
        route.secret,
        NOON,
        "none",
    )
    assert route.secret.reveal() == endpoint.secret.reveal()
    shown = repr([route, known(table, endpoint)])
    for given in (endpoint.secret.reveal(), endpoint.receiver_key, "acme.example.com"):
        assert given not in shown


def test_known_key_needs_no_database(django_assert_num_queries) -> None:
    endpoint = make_endpoint()
    with running() as table, database_away():
        soon(lambda: not table.table._reader.is_answering)
        assert table.get(endpoint.receiver_key).endpoint_id == endpoint.pk


def test_what_can_be_no_key_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as table:
        monkeypatch.setattr(table.table._reader, "ask", pytest.fail)
        for text in ("", "a/b", "k" * 65, "kéy", "a b", "key\n"):
            assert table.get(text) is None


# Changes


@pytest.mark.parametrize("way", ["notified_only", "without_notifications"])
def test_changes_are_followed(way: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(way)
    endpoint, other = make_endpoint(), make_endpoint()
    rows = Endpoint.objects.filter(pk=endpoint.pk)
    with running() as table:
        rows.update(handler_url="https://new.example.com/hook")
        soon(lambda: known(table, endpoint).handler_url == "https://new.example.com/hook")
        endpoint.secret = Secret("whsec_new")
        endpoint.save(update_fields=["secret"])
        soon(lambda: known(table, endpoint).secret.reveal() == "whsec_new")
        rows.update(registering_since=NOON)
        soon(lambda: known(table, endpoint).registering_since == NOON)
        rows.update(proof="waiting")
        soon(lambda: known(table, endpoint).proof == "waiting")
        rows.update(receiver_key="new-key")
        soon(lambda: known(table, endpoint).key == "new-key")
        assert table.get(endpoint.receiver_key) is None
        assert table.get("new-key").endpoint_id == endpoint.pk
        made = make_endpoint()
        soon(lambda: known(table, made))
        Endpoint.objects.filter(pk=other.pk).delete()
        soon(lambda: not known(table, other))
        assert table.get(other.receiver_key) is None
        rows.update(receiver_key=None, secret=None, url="https://acme.example.com/")
        soon(lambda: not known(table, endpoint))
        assert table.table.count == 1


@pytest.mark.usefixtures("notified_only")
def test_many_changes_of_one_transaction_are_followed() -> None:
    install = make_install()
    endpoints = [make_endpoint(install=install) for _ in range(50)]
    with running() as table:
        with transaction.atomic():
            for endpoint in endpoints:
                Endpoint.objects.filter(pk=endpoint.pk).update(handler_url=f"https://{endpoint.pk}.example.com/")
        soon(lambda: all(known(table, one).handler_url == f"https://{one.pk}.example.com/" for one in endpoints))


@pytest.mark.usefixtures("notified_only")
def test_changes_are_followed_that_come_while_others_are_read() -> None:
    endpoint = make_endpoint()
    with running() as table:
        for number in range(200):
            Endpoint.objects.filter(pk=endpoint.pk).update(handler_url=f"https://{number}.example.com/")
        soon(lambda: known(table, endpoint).handler_url == "https://199.example.com/")


# Keys that are not in memory


@pytest.mark.usefixtures("without_notifications")
def test_key_that_is_not_in_memory_is_asked_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_reader, "LOOK_EVERY_S", 3600.0)
    with running() as table:
        endpoint = make_endpoint()
        assert table.get(endpoint.receiver_key).endpoint_id == endpoint.pk
        assert table.get(UNKNOWN) is None


def test_more_keys_than_can_wait_are_not_called_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_module, "ASKING_MOST", 10)
    with running() as table:
        found = table.get_all([f"key-{number}" for number in range(30)])
        assert found[:10] == [None] * 10
        assert all(isinstance(one, RoutesAway) for one in found[10:])


def test_unknown_key_without_a_database_is_not_called_unknown() -> None:
    endpoint = make_endpoint()
    with running() as table:
        with database_away():
            with pytest.raises(RoutesAway):
                table.get(UNKNOWN)
            assert table.get(endpoint.receiver_key).endpoint_id == endpoint.pk
        soon(lambda: table.table._reader.is_answering)
        assert table.get(UNKNOWN) is None
        Endpoint.objects.filter(pk=endpoint.pk).update(handler_url="https://after.example.com/")
        soon(lambda: known(table, endpoint).handler_url)


def test_database_that_does_not_answer_is_away_after_a_second_and_then_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes_module, "ANSWER_WITHIN_S", 0.2)
    monkeypatch.setattr(routes_reader, "ANSWER_WITHIN_S", 0.2)
    endpoint = make_endpoint()
    with running() as table:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE dashboard_endpoint IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(RoutesAway):
                table.get(UNKNOWN)
            soon(lambda: not table.table._reader.is_answering)  # its thread may have asked later than we
            monkeypatch.setattr(table.table._reader, "ask", pytest.fail)
            with pytest.raises(RoutesAway):
                table.get(UNKNOWN)
            assert table.get(endpoint.receiver_key)
            monkeypatch.undo()
        soon(lambda: table.table._reader.is_answering)
        assert table.get(UNKNOWN) is None


def test_table_starts_while_the_database_is_away_and_reads_it_later() -> None:
    endpoint = make_endpoint()
    with database_away():
        table = running()
        one = table.__enter__()
        assert one.table.read_at is None
        with pytest.raises(RoutesAway):
            one.get(endpoint.receiver_key)
    soon(lambda: one.table.read_at)
    assert one.get(endpoint.receiver_key).endpoint_id == endpoint.pk
    table.__exit__(None, None, None)


# Registration and rotation


@pytest.mark.usefixtures("without_notifications")
def test_endpoint_that_is_being_registered_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_reader, "LOOK_EVERY_S", 3600.0)
    endpoint = make_endpoint(secret=None, registering_since=timezone.now())
    with running() as table:
        assert table.get(endpoint.receiver_key).secret is None
        endpoint.secret, endpoint.registering_since = Secret("whsec_first"), None
        endpoint.save()
        assert table.get(endpoint.receiver_key).secret.reveal() == "whsec_first"


def test_endpoint_without_a_secret_is_not_asked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoints = [
        make_endpoint(secret=None, registering_since=at) for at in (None, timezone.now() - timedelta(minutes=2))
    ]
    with running() as table:
        monkeypatch.setattr(table.table._reader, "ask", pytest.fail)
        assert [table.get(one.receiver_key).secret for one in endpoints] == [None, None]


@pytest.mark.usefixtures("without_notifications")
def test_route_can_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes_reader, "LOOK_EVERY_S", 3600.0)
    endpoint = make_endpoint()
    with running() as table:
        old = table.get(endpoint.receiver_key)
        endpoint.secret = Secret("whsec_rotated")
        endpoint.save()
        assert table.call(table.table.reread(old)).secret.reveal() == "whsec_rotated"
        with database_away():
            soon(lambda: not table.table._reader.is_answering)
            assert table.call(table.table.reread(old)) is old


# Other endpoints


@pytest.mark.usefixtures("notified_only")
def test_other_secrets_are_those_of_the_install_newest_first() -> None:
    install = make_install()
    make_endpoint()
    make_endpoint(install=install, secret=None)
    others = [
        make_endpoint(install=install, secret=Secret(f"whsec_{number}"), receiver_key=None) for number in range(3)
    ]
    others[1].deleted_at = NOON
    others[1].save()
    endpoint = make_endpoint(install=install, secret=Secret("whsec_own"))
    with running() as table:
        route = table.get(endpoint.receiver_key)
        assert table.others(route) == ["whsec_2", "whsec_1", "whsec_0"]
        for number in range(OTHERS_TRIED):
            make_endpoint(install=install, secret=Secret(f"whsec_later_{number}"))
        soon(lambda: table.table.count == OTHERS_TRIED + 3)
        assert table.others(route) == [f"whsec_later_{number}" for number in reversed(range(OTHERS_TRIED))]


@pytest.mark.usefixtures("without_notifications")
@pytest.mark.parametrize("end", ["", "/"])
def test_endpoint_made_anew_at_the_url_of_a_deleted_one(settings, end: str) -> None:
    settings.RECEIVER_URL = "https://redeliver.example.com"
    endpoint = make_endpoint()
    url = f"https://redeliver.example.com/hooks/{endpoint.receiver_key}{end}"
    with running() as table:
        route = table.get(endpoint.receiver_key)

        def remade_at() -> int | None:
            return table.call(table.table.remade_at(route))

        make_endpoint(receiver_key=None, secret=None, url=url)
        remade = make_endpoint(install=endpoint.install, receiver_key=None, secret=None, url=url)
        soon(lambda: known(table, remade))
        assert remade_at() is None
        Endpoint.objects.filter(pk=endpoint.pk).update(deleted_at=NOON)
        soon(lambda: remade_at() == remade.pk)
        Endpoint.objects.filter(pk=remade.pk).update(deleted_at=NOON)
        soon(lambda: remade_at() is None)


# The file


def test_table_starts_with_the_file_while_the_database_is_away(tmp_path: Path) -> None:
    endpoint = make_endpoint(handler_url="https://acme.example.com/hook", registering_since=NOON)
    other = make_endpoint(install=endpoint.install, secret=Secret("whsec_other"))
    file = tmp_path / "folder" / "routes"
    with running(file) as table:
        before = table.get(endpoint.receiver_key)
        soon(file.exists)
    Endpoint.objects.filter(pk=other.pk).update(handler_url="https://later.example.com/")
    with database_away():
        started = running(file)
        table = started.__enter__()
        assert table.get(endpoint.receiver_key) == before
        assert before.secret.reveal() == endpoint.secret.reveal()
        assert table.others(before) == ["whsec_other"]
        assert known(table, other).handler_url == ""
        with pytest.raises(RoutesAway):
            table.get(UNKNOWN)
    soon(lambda: known(table, other).handler_url == "https://later.example.com/")
    started.__exit__(None, None, None)


def test_start_does_not_wait_long_for_a_database_that_hangs(tmp_path: Path) -> None:
    endpoint = make_endpoint()
    file = tmp_path / "routes"
    with running(file):
        soon(file.exists)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE dashboard_endpoint IN ACCESS EXCLUSIVE MODE")
        started = running(file)
        before = time.monotonic()
        table = started.__enter__()
        assert time.monotonic() - before < FIRST_READ_S - 1
        assert table.get(endpoint.receiver_key)
    started.__exit__(None, None, None)


def test_thousands_of_routes_are_read_in_seconds_and_take_little_memory(tmp_path: Path) -> None:
    """Measured for 5,000 on two cores: 25 ms, and 0.7 KB each."""
    install = make_install()
    make_endpoints(
        install=install, count=3000, secret=Secret("whsec_many"), handler_url="https://acme.example.com/hook"
    )
    Endpoint.objects.update(receiver_key=Concat(Value("key-"), Cast("pk", CharField())))
    last = Endpoint.objects.latest("pk")
    tracemalloc.start()
    try:
        started = time.monotonic()
        with running(tmp_path / "routes") as table:
            assert table.get(last.receiver_key).secret.reveal() == "whsec_many"
            took_s, (held, _peak) = time.monotonic() - started, tracemalloc.get_traced_memory()
            assert table.table.count == 3000
    finally:
        tracemalloc.stop()
    assert took_s < 5
    assert held < 3000 * 2000
