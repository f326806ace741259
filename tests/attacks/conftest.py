"""The real receiver with the console behind it, on the test database."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from dashboard.launch import postgres
from tests.faults.serving import Site, serving

PATIENCE_S = 2
"""The server's read and write timeout in these tests; 30 s in production (dashboard/receiver/server.py)."""
METRICS_TOKEN = "a-token-of-prometheus"


@pytest.fixture
def make_server(
    transactional_db: None, postgres_server: postgres.Server, tmp_path: Path
) -> Iterator[Callable[..., Site]]:
    """Start a site with further variables."""
    name = str(connection.settings_dict["NAME"])
    base = {"METRICS_TOKEN": METRICS_TOKEN, "LOG_FORMAT": "json", "WEB_PATIENCE_S": str(PATIENCE_S)}
    (tmp_path / "metrics").mkdir()
    base["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path / "metrics")
    with contextlib.ExitStack() as stack:

        def start(**given: str) -> Site:
            site = stack.enter_context(serving(tmp_path, database_url=postgres_server.url(name), **base | given))
            site.start()
            return site

        yield start
    with connection.cursor() as cursor:  # a killed server's connections close a moment later
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )


@pytest.fixture
def server(make_server: Callable[..., Site]) -> Site:
    return make_server()
