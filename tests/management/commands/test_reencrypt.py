"""`reencrypt` reports its changes, the values that it cannot read, and what to do about them."""

import io
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from dashboard.models import Install, ReceiverReport
from dashboard.queries.routes import RouteRow
from dashboard.receiver import routes_file
from dashboard.receiver.routes_file import read, write
from dashboard.receiver.spool import Spool
from dashboard.receiver.spool_folder import SpoolFailed
from dashboard.vault import Sealed, Secret, Unreadable, encrypt
from tests.actions.test_reencryption import run, tokens
from tests.factories import NOON, make_endpoint, make_install

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def _rotated(db: None, settings) -> None:
    """Store three tokens and one signing secret under the old key, then put the new key first."""
    settings.FIELD_KEYS = [OLD]
    for number in range(3):
        make_install(token=Secret(f"ot_ptk_{number}"), name=f"install {number}")
    make_endpoint(install=Install.objects.earliest("pk"))
    make_endpoint(install=Install.objects.earliest("pk"), secret=None)
    settings.FIELD_KEYS = [NEW, OLD]


@pytest.mark.usefixtures("_rotated")
def test_dry_run_says_how_many_and_changes_nothing(settings) -> None:
    assert "dashboard_install.token: 3 secrets: 3 would be re-encrypted" in run(dry_run=True)
    settings.FIELD_KEYS = [OLD]
    assert tokens() == ["ot_ptk_0", "ot_ptk_1", "ot_ptk_2"]


@pytest.mark.usefixtures("_rotated")
def test_secret_that_no_key_reads_is_left_and_named(settings) -> None:
    lost = Install.objects.order_by("pk")[1]
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    sealed = encrypt(Secret("ot_ptk_lost"))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE dashboard_install SET token = %s WHERE id = %s", [sealed, lost.pk])
    settings.FIELD_KEYS = [NEW, OLD]
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^1 secrets cannot be read with any of FIELD_KEYS. Append the key"):
        call_command("reencrypt", stdout=out)
    assert f"  unreadable: {lost.pk}\n" in out.getvalue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT token FROM dashboard_install WHERE id = %s", [lost.pk])
        assert bytes(cursor.fetchone()[0]) == sealed
    with pytest.raises(Unreadable):
        tokens()


@pytest.mark.django_db
def test_reencrypt_without_keys_says_what_to_do(settings) -> None:
    settings.FIELD_KEYS = []
    with pytest.raises(CommandError, match=r"^FIELD_KEYS is empty: put the new key first"):
        run()


@pytest.mark.usefixtures("_rotated")
def test_file_of_routes_is_reencrypted_and_verified(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RECEIVER_SPOOL_DIR = str(tmp_path)
    file, keys = tmp_path / "routes", settings.FIELD_KEYS
    settings.FIELD_KEYS = [OLD]
    secret = Sealed.of(encrypt(Secret("whsec_1")))
    write(file, [RouteRow(1, 1, "key", "", secret, None, "proven", is_deleted=False, taken_url="")], at=NOON)
    settings.FIELD_KEYS = keys
    assert f"{file}: 2 secrets: 2 would be re-encrypted, 0 already under the first key, 0 unreadable" in run(
        dry_run=True
    )
    with monkeypatch.context() as patch:
        patch.setattr(routes_file, "reencrypt", lambda _path: None)  # as if a receiver wrote it again meanwhile
        with pytest.raises(CommandError, match=r"^2 secrets are not yet under the first key\. Run this again\.$"):
            run()
    said = run()
    assert f"{file}: 2 secrets: 2 re-encrypted" in said
    assert "Verified: the first key reads every secret." in said
    settings.FIELD_KEYS = [NEW]
    assert read(file)


@pytest.mark.usefixtures("_rotated")
def test_file_of_routes_that_cannot_be_read_is_not_called_verified(settings, tmp_path: Path) -> None:
    settings.RECEIVER_SPOOL_DIR = str(tmp_path)
    (tmp_path / "routes").write_bytes(b"damaged")
    with pytest.raises(CommandError, match=r"is not a file of routes\. Delete it"):
        run()


@pytest.mark.usefixtures("_rotated")
def test_reencrypt_says_that_other_machines_have_files_of_their_own() -> None:
    assert "Routes file: none here. A receiver on another machine has its own." in run()


@pytest.mark.usefixtures("_rotated")
def test_spool_that_needs_the_older_key_is_not_called_verified(settings, tmp_path: Path) -> None:
    settings.RECEIVER_SPOOL_DIR = str(tmp_path)
    spool = Spool(tmp_path / "web1-a", keys=[OLD], max_bytes=2**20)
    spool.append([b"an attempt"])
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^Older keys are still needed by what is named above\. Remove none"):
        call_command("reencrypt", stdout=out)
    assert (
        f"{spool.folder}: its receiver still encrypts with an older key: restart it; 1 files need an" in out.getvalue()
    )
    spool.close()
    assert f"{spool.folder}: 1 files need an older key" in run(dry_run=True)
    batch = (again := Spool(tmp_path / "web1-a", keys=[NEW, OLD], max_bytes=2**20)).read()
    assert batch is not None
    again.release(batch)
    said = run()
    again.close()
    assert f"Spools in {tmp_path}: none needs an older key" in said
    assert "Verified" in said


@pytest.mark.usefixtures("_rotated")
def test_spool_that_no_key_reads_is_named(settings, tmp_path: Path) -> None:
    settings.RECEIVER_SPOOL_DIR = str(tmp_path)
    spool = Spool(tmp_path / "web1-a", keys=[Fernet.generate_key().decode()], max_bytes=2**20)
    spool.append([b"an attempt"])
    spool.close()
    assert "1 files cannot be read with FIELD_KEYS, or by this release" in run(dry_run=True)


@pytest.mark.usefixtures("_rotated")
def test_folder_that_cannot_be_read_is_not_called_verified(settings, tmp_path: Path, monkeypatch) -> None:
    settings.RECEIVER_SPOOL_DIR = str(tmp_path)

    def fail(_root: Path, **_keys: object) -> None:
        raise SpoolFailed("The spools cannot be read: Permission denied.")

    monkeypatch.setattr("dashboard.management.commands.reencrypt.needs_key", fail)
    with pytest.raises(CommandError, match="Permission denied"):
        run()


@pytest.mark.usefixtures("_rotated")
def test_receivers_on_other_machines_are_named_instead_of_verified(settings, tmp_path: Path) -> None:
    settings.RECEIVER_SPOOL_DIR = str(tmp_path)
    for name in ("web1-a", "web2-a"):
        ReceiverReport.objects.create(name=name, held=0, heard_at=NOON)
    Spool(tmp_path / "web1-a", keys=[NEW], max_bytes=2**20).close()
    said = run()
    assert "run this where these receivers are too, with their RECEIVER_SPOOL_DIR: web2-a." in said
    assert "Verified" not in said
