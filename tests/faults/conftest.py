"""A site on the test database, and a PostgreSQL that may be stopped: with committed data that other processes see."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from dashboard.launch import postgres
from tests.faults.cluster import Cluster, clustered
from tests.faults.serving import Site, serving


@pytest.fixture
def site(transactional_db: None, postgres_server: postgres.Server, tmp_path: Path) -> Iterator[Site]:
    name = str(connection.settings_dict["NAME"])
    with serving(tmp_path, database_url=postgres_server.url(name)) as running:
        running.start()
        yield running
    with connection.cursor() as cursor:  # a killed server's connections close a moment later
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL that tests may stop and kill. Use it in the xdist group "receiver_faults", which shares it."""
    with clustered() as one:
        yield one
