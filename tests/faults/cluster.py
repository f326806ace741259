"""A PostgreSQL for tests that stop, kill, fill or slow it, with a migrated database and one endpoint."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from dashboard.launch import postgres
from tests.faults.serving import PATIENCE_S, Site

KEY = "k" * 43
"""Receiver key of the endpoint."""
_MAKE_ENDPOINT = "from tests.factories import make_endpoint; make_endpoint(receiver_key='{key}')"
_SLOW_COMMITS = """
CREATE TABLE slow_commits (seconds float NOT NULL);
INSERT INTO slow_commits VALUES (0);
CREATE FUNCTION wait_once_at_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('faults.waited', true) IS DISTINCT FROM pg_current_xact_id()::text THEN
        PERFORM set_config('faults.waited', pg_current_xact_id()::text, false);
        PERFORM pg_sleep((SELECT seconds FROM slow_commits));
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON dashboard_attempt
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_once_at_commit();
"""


@dataclass
class Cluster:
    """One PostgreSQL and its folder. Its database "redeliver" is the receiver's."""

    folder: Path
    server: postgres.Server

    @property
    def url(self) -> str:
        return self.server.url("redeliver")

    def environment(self, folder: Path) -> dict[str, str]:
        """Return the environment of a receiver that stands alone on this database."""
        return Site(folder=folder, port=0, database_url=self.url).environment | {"RECEIVER_CONSOLE": ""}

    def processes(self) -> list[int]:
        """Return the numbers of the postmaster and of its children."""
        postmaster = self.server.process.pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to each process of it."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self) -> None:
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """End all of it at once with SIGKILL."""
        children = self.processes()[1:]
        self.send(signal.SIGKILL)
        self.server.process.wait(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while any(Path(f"/proc/{pid}/cmdline").exists() for pid in children):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server = postgres.start(folder=self.folder)

    def revive(self) -> None:
        """Wait until it answers after a panic. If it cannot recover alone, it ends, and is started again."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self.server.process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.url).close()
                return
            time.sleep(0.1)
        self.start()

    def set(self, setting: str) -> None:
        """Change a setting for every session, also of those that are open: "name = value"."""
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as database:
            database.execute("SET default_transaction_read_only = off")
            database.execute(f"ALTER SYSTEM SET {setting}")
            database.execute("SELECT pg_reload_conf()")

    def slow_down(self, seconds: float) -> None:
        """Let each commit of attempts take this long."""
        with psycopg.connect(self.url, autocommit=True) as database:
            database.execute("UPDATE slow_commits SET seconds = %s", [seconds])

    def prepare(self) -> None:
        """Make a migrated database, with the endpoint that has KEY, of which each test gets a copy."""
        self.server.create_database("prepared")
        url = self.server.url("prepared")
        site = Site(folder=self.folder, port=0, database_url=url)
        site.manage("migrate", "--noinput")
        site.manage("shell", "-v", "0", "-c", _MAKE_ENDPOINT.format(key=KEY))
        with psycopg.connect(url, autocommit=True) as database:
            database.execute(_SLOW_COMMITS)

    def renew(self, *, handler_url: str) -> None:
        """Let the database be a fresh copy. Deliveries go to this handler."""
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as database:
            database.execute("DROP DATABASE IF EXISTS redeliver WITH (FORCE)")
            database.execute("CREATE DATABASE redeliver TEMPLATE prepared")
        with psycopg.connect(self.url, autocommit=True) as database:
            database.execute("UPDATE dashboard_endpoint SET handler_url = %s", [handler_url])


@contextlib.contextmanager
def clustered() -> Iterator[Cluster]:
    """Run a prepared cluster until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="redeliver-fault-"))
    folder.chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
    try:
        one = Cluster(folder, postgres.start(folder=folder))
        try:
            one.prepare()
            yield one
        finally:
            one.thaw()
            one.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def moved(cluster: Cluster, *, to: Path) -> Iterator[Cluster]:
    """Run a copy of a cluster in another folder, until the block ends. The cluster itself is stopped meanwhile."""
    cluster.stop()
    subprocess.run(["cp", "-a", cluster.folder / "postgres", to], check=True)
    copy = Cluster(to, postgres.start(folder=to))
    try:
        yield copy
    finally:
        copy.stop()
        cluster.start()
