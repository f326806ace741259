"""A console for a benchmark: its own PostgreSQL, settings, and many installs."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import django
from cryptography.fernet import Fernet
from django.core.management import call_command

from dashboard.launch import postgres


@contextmanager
def console(**environment: str) -> Iterator[None]:
    """Set Django up on a temporary database."""
    folder = Path(tempfile.mkdtemp(prefix="redeliver-bench-"))
    folder.chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
    server = postgres.start(folder=folder, durable=False)
    try:
        server.create_database("redeliver")
        os.environ |= {
            "DATABASE_URL": server.url("redeliver"),
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            "FIELD_KEYS": Fernet.generate_key().decode(),
            "HTTPS": "0",
            "LOG_LEVEL": "ERROR",
            "SECRET_KEY": "only-for-a-benchmark",
            "STATIC_ROOT": str(folder / "static"),
            "ALLOWED_HOSTS": "testserver",
        } | environment
        django.setup()
        call_command("migrate", verbosity=0)
        yield
        from django.db import connections

        connections.close_all()
        connections["default"].close_pool()
    finally:
        server.stop()
        shutil.rmtree(folder)


@contextmanager
def console_beside_stub(*stub_of: str) -> Iterator[None]:
    """Set Django up on a temporary database; its OpenTrain is a process: fleet_stub.py, or another module."""
    command = [sys.executable, "-m", *(stub_of or ["tests.bench.fleet_stub"])]
    stub = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = stub.stdout.readline().strip()
        with console(OPENTRAIN_BASE_URL=f"http://127.0.0.1:{port}/api/partner/v1"):
            yield
    finally:
        stub.kill()
        stub.wait()


def make_installs(*, first: int, count: int, at: datetime) -> None:
    """Create installs whose tokens end in their numbers."""
    from dashboard.models import Install
    from dashboard.vault import Secret

    Install.objects.bulk_create(
        [
            Install(
                opentrain_id=f"ins_{number}", name=f"Customer {number:05}", organization_id=f"org_{number}",
                app_id="app_1", app_name="Annotator", status="ACTIVE", scopes=["webhooks:manage"], created_at=at,
                token=Secret(f"ot_ptk_{number}"), token_id=f"tok_{number}", token_name="main",
                token_scopes=["webhooks:manage"], checked_at=at, described_at=at,
            )
            for number in range(first, first + count)
        ],
        batch_size=1000,
    )  # fmt: skip


def rss_mb() -> float:
    """Return the peak memory of this process, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
