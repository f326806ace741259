"""Key rotation: every secret is re-encrypted under the first key while the site runs."""

import io

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from allauth.mfa.utils import decrypt
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from dashboard.actions import reencryption
from dashboard.actions.reencryption import Counted
from dashboard.models import Endpoint, Install
from dashboard.queries import integrity
from dashboard.queries import stored_secrets as sealed
from dashboard.queries.stored_secrets import Column
from dashboard.vault import Secret
from tests.factories import SECRET, make_endpoint, make_install, make_user

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
TOKENS = Column(Install, "token")


@pytest.fixture
def _rotated(db: None, settings) -> None:
    """Store three tokens and one signing secret under the old key, then put the new key first."""
    settings.FIELD_KEYS = [OLD]
    for number in range(3):
        make_install(token=Secret(f"ot_ptk_{number}"), name=f"install {number}")
    make_endpoint(install=Install.objects.earliest("pk"))
    make_endpoint(install=Install.objects.earliest("pk"), secret=None)
    settings.FIELD_KEYS = [NEW, OLD]


def run(**options: object) -> str:
    out = io.StringIO()
    call_command("reencrypt", stdout=out, **options)
    return out.getvalue()


def tokens() -> list[str]:
    return [install.token.reveal() for install in Install.objects.order_by("pk")]


@pytest.mark.usefixtures("_rotated")
def test_reencrypt_moves_every_secret_to_the_first_key(settings) -> None:
    said = run()
    assert "dashboard_install.token: 3 secrets: 3 re-encrypted, 0 already under the first key" in said
    assert "dashboard_endpoint.secret: 1 secrets: 1 re-encrypted" in said
    assert said.splitlines()[-1] == ("Verified: the first key reads every secret. You can remove the older keys.")
    settings.FIELD_KEYS = [NEW]
    assert tokens() == ["ot_ptk_0", "ot_ptk_1", "ot_ptk_2"]
    assert [one.secret and one.secret.reveal() for one in Endpoint.objects.order_by("pk")] == [SECRET, None]


@pytest.mark.usefixtures("_rotated")
def test_reencrypt_stopped_in_between_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "BATCH", 2)
    rows = iter([None, None])

    class Killed(Exception):
        pass

    def stop() -> None:
        if next(rows, Killed) is Killed:
            raise Killed

    with pytest.raises(Killed):
        reencryption.reencrypt(place=TOKENS, dry_run=False, on_row=stop)
    assert reencryption.left(place=TOKENS) == 1
    assert reencryption.reencrypt(place=TOKENS, dry_run=False) == Counted(TOKENS, current=2, changed=1)
    assert reencryption.left(place=TOKENS) == 0


@pytest.mark.usefixtures("_rotated")
def test_token_replaced_between_reading_and_writing_stays_the_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Install.objects.earliest("pk")
    fresh = reencryption._fresh

    def slowly(stored: bytes) -> bytes:
        Install.objects.filter(pk=first.pk).update(token=Secret("ot_ptk_replaced"))
        return fresh(stored)

    monkeypatch.setattr(reencryption, "_fresh", slowly)
    done = reencryption.reencrypt(place=TOKENS, dry_run=False)
    assert (done.overtaken, done.changed) == (1, 2)
    assert tokens() == ["ot_ptk_replaced", "ot_ptk_1", "ot_ptk_2"]
    assert reencryption.left(place=TOKENS) == 0


@pytest.fixture
def _second_factor(db: None, settings) -> None:
    """Store an authenticator app and recovery codes under the old key; the third code is used."""
    settings.FIELD_KEYS = [OLD]
    user = make_user(username="ana")
    TOTP.activate(user, "JBSWY3DPEHPK3PXP")
    codes = RecoveryCodes.activate(user)
    assert codes.validate_code(codes.generate_codes()[2]) is True
    settings.FIELD_KEYS = [NEW, OLD]


@pytest.mark.usefixtures("_second_factor")
def test_reencrypt_moves_second_factors_and_keeps_what_is_beside_them(settings) -> None:
    before = Authenticator.objects.get(type="recovery_codes").wrap()
    codes = before.generate_codes()
    said = run()
    assert "mfa_authenticator.data.secret: 1 secrets: 1 re-encrypted" in said
    assert "mfa_authenticator.data.seed: 1 secrets: 1 re-encrypted" in said
    settings.FIELD_KEYS = [NEW]
    after = Authenticator.objects.get(type="recovery_codes").wrap()
    assert (after.generate_codes(), after.get_unused_codes()) == (codes, [*codes[:2], *codes[3:]])
    assert decrypt(Authenticator.objects.get(type="totp").data["secret"]) == "JBSWY3DPEHPK3PXP"


@pytest.mark.usefixtures("_second_factor")
def test_second_factor_that_no_key_reads_is_named(settings) -> None:
    settings.FIELD_KEYS = [NEW]
    with pytest.raises(CommandError, match=r"^2 secrets cannot be read with any of FIELD_KEYS"):
        run()
    assert [fault for fault in integrity.faults() if "mfa_authenticator" in fault] == [
        "1 secrets in mfa_authenticator.data.secret cannot be read with FIELD_KEYS: restore the keys",
        "1 secrets in mfa_authenticator.data.seed cannot be read with FIELD_KEYS: restore the keys",
    ]
