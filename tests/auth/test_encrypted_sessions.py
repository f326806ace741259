"""Sessions are encrypted at rest, and changes of keys or releases cause no errors for users."""

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.contrib.sessions.backends.db import SessionStore as SignedStore
from django.contrib.sessions.models import Session
from django.test import Client

from dashboard import vault
from dashboard.auth.encrypted_sessions import SessionStore
from dashboard.models import User
from tests.attacks.unpacking import unpacked

pytestmark = pytest.mark.django_db
HELD = {"mfa.totp.secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}


def stored() -> str:
    return Session.objects.get().session_data


def kept(store: type[SignedStore]) -> str:
    """Store HELD in a session; return the session's key."""
    session = store()
    session.update(HELD)
    session.create()
    session.save()
    assert session.session_key is not None
    return session.session_key


def rotate(settings: Any) -> str:
    """Put a new key first; return it."""
    settings.FIELD_KEYS = [Fernet.generate_key().decode(), *settings.FIELD_KEYS]
    return settings.FIELD_KEYS[0]


@pytest.mark.parametrize(("store", "is_seen"), [(SignedStore, True), (SessionStore, False)])
def test_what_a_session_holds_is_seen_in_its_row_by_nobody_without_a_key(
    store: type[SignedStore], is_seen: bool
) -> None:
    key = kept(store)
    assert (HELD["mfa.totp.secret"] in unpacked(stored()), dict(store(key).items())) == (is_seen, HELD)


def test_session_of_before_is_read_and_encrypted_when_it_is_next_stored() -> None:
    key = kept(SignedStore)
    session = SessionStore(key)
    assert dict(session.items()) == HELD
    session.save()
    assert (":" in stored(), dict(SessionStore(key).items())) == (False, HELD)


def test_session_is_read_under_an_older_key_and_stored_under_the_first(settings: Any) -> None:
    key = kept(SessionStore)
    first = rotate(settings)
    session = SessionStore(key)
    assert dict(session.items()) == HELD
    session.save()
    settings.FIELD_KEYS = [first]
    assert dict(SessionStore(key).items()) == HELD


@pytest.mark.parametrize("data", ["", "nonsense", "gAAAAA", "a:b:c", "ü"])
def test_session_that_cannot_be_read_is_empty(data: str) -> None:
    key = kept(SessionStore)
    Session.objects.update(session_data=data)
    assert dict(SessionStore(key).items()) == {}


def test_person_whose_sessions_key_was_taken_away_signs_in_again(client: Client, support: User, settings: Any) -> None:
    client.force_login(support)
    assert client.get("/help/keys/").status_code == 200
    settings.FIELD_KEYS = [rotate(settings)]
    assert client.get("/help/keys/")["Location"] == "/accounts/login/?next=/help/keys/"
    client.force_login(support)
    assert client.get("/help/keys/").status_code == 200


def test_release_of_before_takes_an_encrypted_session_for_a_strangers(caplog: pytest.LogCaptureFixture) -> None:
    """While consoles restart one by one, both releases run."""
    key = kept(SessionStore)
    assert dict(SignedStore(key).items()) == {}
    assert caplog.messages == ["Session data corrupted"]


def test_sessions_are_not_remembered_among_the_secrets_that_are_needed_again() -> None:
    before = vault._decrypted.cache_info()
    assert dict(SessionStore(kept(SessionStore)).items()) == HELD
    assert vault._decrypted.cache_info() == before
