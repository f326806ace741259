"""The real web server with gunicorn.conf.py, on the test database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from dashboard.launch import postgres
from tests.faults.serving import Site, serving

PATIENCE_S = 2
"""The server's read and write timeout in these tests; 30 s in production (dashboard/launch/web_worker.py)."""
METRICS_TOKEN = "a-token-of-prometheus"


@pytest.fixture
def server(transactional_db: None, postgres_server: postgres.Server, tmp_path: Path) -> Iterator[Site]:
    name = str(connection.settings_dict["NAME"])
    given = {"METRICS_TOKEN": METRICS_TOKEN, "LOG_FORMAT": "json", "WEB_PATIENCE_S": str(PATIENCE_S)}
    (tmp_path / "metrics").mkdir()
    given["PROMETHEUS_MULTIPROC_DIR"] = str(tmp_path / "metrics")
    with serving(tmp_path, database_url=postgres_server.url(name), **given) as site:
        site.start()
        yield site
    with connection.cursor() as cursor:  # a killed server's connections close a moment later
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )
