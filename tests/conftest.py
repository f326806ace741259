"""Fixtures of every test: a real PostgreSQL for each test process, and no network beyond loopback."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dj_database_url
import hypothesis
import pytest
import pytest_socket
from django.conf import settings
from django.db import OperationalError, connections
from django.db.backends.postgresql.operations import DatabaseOperations
from psycopg.errors import DeadlockDetected

from dashboard.actions import handler_checks
from dashboard.launch import postgres
from dashboard.models import Install, User
from tests.contract.fixtures import fake_opentrain  # noqa: F401 - a fixture for every test of the console
from tests.factories import make_grant, make_install, make_user

# Hypothesis takes seconds for the first text example in a fresh clone, and any example takes long on a stalled machine.
# Neither says anything about the code under test; the benchmarks measure speed.
hypothesis.settings.register_profile(
    "redeliver", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("redeliver")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    folder = Path(tempfile.mkdtemp(prefix="redeliver-test-"))
    folder.chmod(0o711)  # as root, the server runs as another user, who must be able to enter
    server = postgres.start(folder=folder, durable=False)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres_server: postgres.Server) -> None:
    """Point Django at this server; pytest-django creates and drops the test database on it."""
    parsed = dj_database_url.parse(postgres_server.url("postgres"))
    for target in (settings.DATABASES["default"], connections["default"].settings_dict):
        target.update(parsed)


@pytest.fixture(scope="session", autouse=True)
def _audit_is_emptied_between_tests() -> Iterator[None]:
    """Let Django's `flush` after a transactional test bypass the trigger that protects the audit from being emptied.

    It acts as a replica, which a superuser may, and tests are superusers on their own PostgreSQL. After a deadlock it
    tries once more: a page that a browser has left may still be reading the tables that are emptied.
    """
    flush = DatabaseOperations.execute_sql_flush
    passing = "SET LOCAL session_replication_role = replica"

    def empty(self: DatabaseOperations, sql: list[str]) -> None:
        try:
            flush(self, [passing, *sql])
        except OperationalError as error:
            if not isinstance(error.__cause__, DeadlockDetected):
                raise
            flush(self, [passing, *sql])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DatabaseOperations, "execute_sql_flush", empty)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_receiver_is_waited_for() -> Iterator[None]:
    """Let checks of handlers be made from the console at once: no receiver runs beside most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler_checks, "TAKEN_WITHIN_S", 0)
        yield


@pytest.fixture(autouse=True)
def _loopback_only() -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture
def support(db: None) -> User:
    """Ana, of support: she sees every install."""
    return make_user(role="support", username="ana")


@pytest.fixture
def support_lead(db: None) -> User:
    """Lea, a support lead: she sees every install and manages members."""
    return make_user(role="support_lead", username="lea")


@pytest.fixture
def acme(db: None) -> Install:
    return make_install(name="Acme Labs")


@pytest.fixture
def partner_admin(acme: Install) -> User:
    """Paul, a partner admin of Acme Labs."""
    paul = make_user(role="partner_admin", username="paul")
    make_grant(user=paul, install=acme)
    return paul


@pytest.fixture
def viewer(acme: Install) -> User:
    """Vera, a viewer of Acme Labs: she sees everything there and changes nothing."""
    vera = make_user(role="viewer", username="vera")
    make_grant(user=vera, install=acme)
    return vera


@pytest.fixture
def outsider(db: None) -> User:
    """Olga, a partner admin of another install than Acme Labs."""
    olga = make_user(role="partner_admin", username="olga")
    make_grant(user=olga, install=make_install(name="Other Data"))
    return olga


@pytest.fixture
def code_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock in the middle of a TOTP code's 30 s, so that no code expires during a test."""
    stopped = float(int(time.time()) // 30 * 30 + 15)
    monkeypatch.setattr("time.time", lambda: stopped)
