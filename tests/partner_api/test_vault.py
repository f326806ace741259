"""Signing secrets, encrypted at rest under the Partner API's own keys."""

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from dashboard.partner_api import vault


def test_secrets_survive_a_new_key_and_not_the_loss_of_the_old(settings) -> None:
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    settings.PARTNER_API_KEYS = [old]
    sealed = vault.seal("whsec_x")
    assert "whsec" not in sealed
    settings.PARTNER_API_KEYS = [new, old]
    assert vault.unseal(sealed) == "whsec_x"
    settings.PARTNER_API_KEYS = [new]
    with pytest.raises(vault.Unreadable):
        vault.unseal(sealed)


@pytest.mark.parametrize("keys", [[], ["not a key"]])
def test_without_a_good_key_it_says_how_to_make_one_and_shows_none(settings, keys: list[str]) -> None:
    settings.PARTNER_API_KEYS = keys
    with pytest.raises(ImproperlyConfigured, match="PARTNER_API_KEYS must hold one or more Fernet keys") as refusal:
        vault.seal("whsec_x")
    assert "not a key" not in str(refusal.value)
