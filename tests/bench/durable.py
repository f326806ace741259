"""A PostgreSQL with durable commits for a benchmark, and Django on it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Durable:
    """A database in `folder`, which is removed in the end. `postmaster` is the process ID of its PostgreSQL."""

    folder: Path
    url: str
    postmaster: int

    def set_up(self, settings: str) -> None:
        """Set Django up on the database, for this process and those that it starts."""
        from cryptography.fernet import Fernet

        os.environ |= {
            "DJANGO_SETTINGS_MODULE": settings,
            "DATABASE_URL": self.url,
            "FIELD_KEYS": Fernet.generate_key().decode(),
            "SECRET_KEY": "only-for-a-benchmark",
            "HTTPS": "0",
        }
        import django

        django.setup()


@contextmanager
def durable() -> Iterator[Durable]:
    """Run a PostgreSQL."""
    from dashboard.launch import postgres

    with tempfile.TemporaryDirectory(prefix="redeliver-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
        server = postgres.start(folder=folder)
        try:
            server.create_database("redeliver")
            yield Durable(folder, server.url("redeliver"), server.process.pid)
        finally:
            server.stop()
