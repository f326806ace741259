"""Verifying a pg_dump backup restored by pg_restore, intact and damaged in several ways."""

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connection

from dashboard.launch import postgres
from dashboard.launch.site import manage
from tests.factories import make_attempt, make_delivery, make_endpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def restored(transactional_db: None, postgres_server: postgres.Server, tmp_path: Path) -> Iterator[str]:
    """URL of a restored copy of the test database with an install, endpoint and delivery; also writes counts.json."""
    make_attempt(delivery=make_delivery(endpoint=make_endpoint()))
    call_command("verify_backup", save=tmp_path / "counts.json", stdout=io.StringIO())
    source, name = str(connection.settings_dict["NAME"]), f"restored_{os.getpid()}"
    binaries = postgres._binaries(user=None)
    if not (binaries / "pg_dump").exists():
        pytest.skip("this PostgreSQL comes without pg_dump")
    dump = tmp_path / "redeliver.dump"
    subprocess.run([binaries / "pg_dump", "-Fc", "-f", dump, postgres_server.url(source)], check=True, timeout=60)
    postgres_server.create_database(name)
    url = postgres_server.url(name)
    subprocess.run([binaries / "pg_restore", "--exit-on-error", "-d", url, dump], check=True, timeout=60)
    yield url
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def verify(url: str, *arguments: str, **changed: str) -> tuple[int, str]:
    environ = {"DATABASE_URL": url, "SECRET_KEY": "x", "FIELD_KEYS": django_settings.FIELD_KEYS[0], **changed}
    environ = os.environ | environ | {"DJANGO_SETTINGS_MODULE": "dashboard.settings"}
    command = manage("verify_backup", *arguments)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.xdist_group("faults")
def test_restored_copy_is_whole_until_something_is_lost(restored: str, tmp_path: Path) -> None:
    against = ["--against", str(tmp_path / "counts.json")]
    status, said = verify(restored, *against)
    assert (status, said.splitlines()[-1]) == (
        0, "This copy is complete: constraints hold, every secret can be read, the audit is complete.",
    )  # fmt: skip
    assert "dashboard_delivery: 1 rows" in said

    status, said = verify(restored, *against, FIELD_KEYS=Fernet.generate_key().decode())
    assert (status, said.count("cannot be read with FIELD_KEYS: restore the keys")) == (1, 2)

    with psycopg.connect(restored) as copy:
        copy.execute("DELETE FROM dashboard_attempt")
    assert verify(restored, *against)[1].splitlines()[-1] == ("- dashboard_attempt has 0 rows; the backup had 1")


@pytest.mark.django_db
def test_counts_that_are_none_are_told_so(tmp_path: Path) -> None:
    (tmp_path / "counts.json").write_text(json.dumps(3))
    for name in ("counts.json", "missing.json"):
        with pytest.raises(CommandError, match="does not contain row counts"):
            call_command("verify_backup", against=tmp_path / name, stdout=io.StringIO())
