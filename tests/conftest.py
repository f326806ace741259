"""What every test stands on: a real PostgreSQL for each test process, and no network beyond loopback."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dj_database_url
import pytest
import pytest_socket
from django.conf import settings
from django.db import connections

from dashboard.launch import postgres
from tests.contract.fixtures import fake_opentrain  # noqa: F401 - a fixture for every test of the console


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


@pytest.fixture(autouse=True)
def _loopback_only() -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)
