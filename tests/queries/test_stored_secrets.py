"""Every place where a secret is stored is known; a secret is replaced only if it has not changed since it was read."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from cryptography.fernet import Fernet

from dashboard.queries import stored_secrets as sealed
from dashboard.queries.stored_secrets import FactorKey
from tests.factories import make_user

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_columns_are_every_column_of_secrets() -> None:
    found = {str(place) for place in sealed.places()}
    assert {"dashboard_install.token", "dashboard_endpoint.secret", "mfa_authenticator.data.secret"} <= found


@pytest.fixture
def _second_factor(db: None, settings) -> None:
    """A user's authenticator app and recovery codes under the old key, with the third code used."""
    settings.FIELD_KEYS = [OLD]
    user = make_user(username="ana")
    TOTP.activate(user, "JBSWY3DPEHPK3PXP")
    codes = RecoveryCodes.activate(user)
    assert codes.validate_code(codes.generate_codes()[2]) is True
    settings.FIELD_KEYS = [NEW, OLD]


@pytest.mark.usefixtures("_second_factor")
def test_second_factor_set_up_anew_between_reading_and_writing_stays_the_new_one() -> None:
    place = FactorKey("secret")
    [(pk, stored)] = list(place.stored())
    Authenticator.objects.filter(pk=pk).update(data={"secret": "another"})
    assert place.replace(pk=pk, stored=stored, fresh=b"fresh") is False
    assert Authenticator.objects.get(pk=pk).data == {"secret": "another"}
