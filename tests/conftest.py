"""What every test stands on: a real PostgreSQL for each test process, and no network beyond loopback."""

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

from dashboard.launch import postgres
from dashboard.models import Install, User
from tests.contract.fixtures import fake_opentrain  # noqa: F401 - a fixture for every test of the console
from tests.factories import make_grant, make_install, make_user

# The first example of text in a fresh clone takes seconds to make, and any example takes long while the machine stalls;
# that says nothing of what is tested. Speed is for the benchmarks.
hypothesis.settings.register_profile(
    "redeliver", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("redeliver")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    folder = Path(tempfile.mkdtemp(prefix="redeliver-test-"))
    folder.chmod(0o711)  # as root the server runs as somebody else, who must come by here
    server = postgres.start(folder=folder, durable=False)
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres_server: postgres.Server) -> None:
    """Point Django at it; pytest-django makes and drops the test database there."""
    parsed = dj_database_url.parse(postgres_server.url("postgres"))
    for target in (settings.DATABASES["default"], connections["default"].settings_dict):
        target.update(parsed)


@pytest.fixture(scope="session", autouse=True)
def _audit_is_emptied_between_tests() -> Iterator[None]:
    """Let Django's `flush` after a transactional test pass by the trigger that lets nobody empty the audit.

    As a replica of another server would: a superuser may, and that is what tests are on their own PostgreSQL. Once
    more, where a page that a browser has left still reads what is to be emptied, and the two wait for each other.
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


@pytest.fixture(autouse=True)
def _loopback_only() -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture
def support(db: None) -> User:
    """Ana answers customers: she sees every install."""
    return make_user(role="support", username="ana")


@pytest.fixture
def support_lead(db: None) -> User:
    """Lea leads support: she sees every install, and says who else may."""
    return make_user(role="support_lead", username="lea")


@pytest.fixture
def acme(db: None) -> Install:
    return make_install(name="Acme Labs")


@pytest.fixture
def partner_admin(acme: Install) -> User:
    """Paul looks after Acme Labs."""
    paul = make_user(role="partner_admin", username="paul")
    make_grant(user=paul, install=acme)
    return paul


@pytest.fixture
def viewer(acme: Install) -> User:
    """Vera works at Acme Labs too: she looks, and changes nothing."""
    vera = make_user(role="viewer", username="vera")
    make_grant(user=vera, install=acme)
    return vera


@pytest.fixture
def outsider(db: None) -> User:
    """Olga is a partner admin too, of another install than Acme Labs."""
    olga = make_user(role="partner_admin", username="olga")
    make_grant(user=olga, install=make_install(name="Other Data"))
    return olga


@pytest.fixture
def code_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock in the middle of a code's 30 s, so that none runs out in a test."""
    stopped = float(int(time.time()) // 30 * 30 + 15)
    monkeypatch.setattr("time.time", lambda: stopped)
