"""The embedded server, really started."""

import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from dashboard.launch import postgres
from dashboard.launch.folder import CannotStart

OWNER = """
import pathlib, sys
from dashboard.launch import postgres
server = postgres.start(folder=pathlib.Path(sys.argv[1]), durable=False)
print(server.process.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.django_db
def test_database_of_the_tests_is_postgresql_of_the_embedded_server() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW listen_addresses")
        assert cursor.fetchone() == ("",)


def test_start_on_a_broken_folder_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(CannotStart, match="PG_VERSION is missing"):
        postgres.start(folder=tmp_path)


def test_start_in_a_private_folder_leaves_its_mode_alone_and_works(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    server = postgres.start(folder=tmp_path, durable=False)
    try:
        server.create_database("orders")
        assert postgres.running_url(folder=tmp_path, database="orders") == server.url("orders")
        for find in (server.existing_url, lambda name: postgres.running_url(folder=tmp_path, database=name)):
            with pytest.raises(CannotStart, match="has no database of the Partner API, which was never started there"):
                find("partner_api")
        assert tmp_path.stat().st_mode & 0o777 == 0o700
        with pytest.raises(CannotStart, match="already running"):
            postgres.start(folder=tmp_path)
    finally:
        server.stop()
    assert server.process.returncode == 0
    shutil.rmtree((tmp_path / "postgres").resolve().parent)


def test_client_refuses_a_socket_of_another_user_and_the_log_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    server = postgres.start(folder=tmp_path, durable=False)
    try:
        url = server.url("postgres")
        owner = url.partition("requirepeer=")[2]
        assert pwd.getpwnam(owner).pw_uid == (tmp_path / "postgres").stat().st_uid
        with pytest.raises(psycopg.OperationalError, match='requirepeer specifies "daemon", but actual peer user name'):
            psycopg.connect(url.replace(f"requirepeer={owner}", "requirepeer=daemon"))
        assert (tmp_path / "postgres.log").stat().st_mode & 0o777 == 0o600
        files = [(tmp_path / "postgres" / name).stat() for name in ("pg_hba.conf", "pg_ident.conf")]
        assert {(file.st_mode & 0o777, file.st_uid) for file in files} == {(0o600, pwd.getpwnam(owner).pw_uid)}
    finally:
        server.stop()


def test_link_to_a_database_that_is_gone_makes_no_empty_one(tmp_path: Path) -> None:
    (tmp_path / "postgres").symlink_to(tmp_path / "gone")
    with pytest.raises(CannotStart, match=r"points to .*/gone, which does not exist: restore it, or remove the link"):
        postgres.start(folder=tmp_path)


def test_version_that_is_not_text_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_bytes(b"\xff\xfe")
    with pytest.raises(CannotStart, match="was created by PostgreSQL"):
        postgres.start(folder=tmp_path)


def test_next_start_may_come_the_moment_that_the_server_has_ended(tmp_path: Path, monkeypatch) -> None:
    tmp_path.chmod(0o711)
    first = postgres.start(folder=tmp_path, durable=False)
    following: list[postgres.Server] = []
    wait = first.process.wait

    def wait_and_start(timeout: float) -> int:
        code = wait(timeout=timeout)
        following.append(postgres.start(folder=tmp_path, durable=False))
        return code

    monkeypatch.setattr(first.process, "wait", wait_and_start)
    first.stop()
    try:
        following[0].create_database("orders")
        assert postgres.running_url(folder=tmp_path, database="orders") == following[0].url("orders")
    finally:
        following[0].stop()


def test_start_without_a_folder_in_memory_works_on_a_cluster_that_was_made_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o711)
    postgres.start(folder=tmp_path, durable=False).stop()
    with (tmp_path / "postgres" / "postgresql.conf").open("a") as conf:
        conf.write("dynamic_shared_memory_type = posix\n")
    monkeypatch.setattr(postgres, "_MEMORY", Path("/proc/none"))
    server = postgres.start(folder=tmp_path, durable=False)
    try:
        with psycopg.connect(server.url("postgres")) as connected:
            assert connected.execute("SHOW dynamic_shared_memory_type").fetchone() == ("mmap",)
    finally:
        server.stop()


def test_owner_killed_ends_the_server(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        server_pid = int(owner.stdout.readline())
        owner.kill()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{server_pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{server_pid}").exists()
    shutil.rmtree((tmp_path / "postgres").resolve().parent)


@pytest.mark.django_db(transaction=True)
def test_newest_worker_is_the_one_that_registered_last(postgres_server: postgres.Server) -> None:
    name = str(connection.settings_dict["NAME"])
    before = postgres_server.newest_worker(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT worker_id FROM procrastinate_register_worker_v1()")
        [registered] = cursor.fetchone()
        assert postgres_server.newest_worker(name) == registered > before
        cursor.execute("DELETE FROM procrastinate_workers")
    assert postgres_server.newest_worker(name) == 0


def test_newest_worker_of_a_server_that_is_gone_is_told_in_words(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    server = postgres.start(folder=tmp_path, durable=False)
    server.stop()
    with pytest.raises(CannotStart, match=r"^PostgreSQL does not answer: .+"):
        server.newest_worker("redeliver")


def test_server_that_ended_starts_again_without_waiting_and_its_log_goes_on(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    server = postgres.start(folder=tmp_path, durable=False)
    try:
        first = server.process
        first.kill()
        first.wait()
        deadline = time.monotonic() + 60
        while postgres.running_url(folder=tmp_path, database="postgres") is None:
            if server.process.poll() is not None:  # what the first has left behind may still hold its memory
                server.launch()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (server.log.path, server.process.pid != first.pid) == (tmp_path / "postgres.log", True)
        assert server.log.path.read_text().count("starting PostgreSQL") >= 2
    finally:
        server.stop()
    assert server.process.returncode == 0
