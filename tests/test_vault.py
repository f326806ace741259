"""Secrets show nothing in memory, and need their key at rest."""

import logging
from copy import copy

import pytest
from cryptography.fernet import Fernet

from dashboard.vault import Sealed, Secret, Unreadable, decrypt, encrypt

CANARY = Secret("c4n4ry")


def test_secret_shows_its_text_by_reveal_alone(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("dashboard").warning("%s %r", CANARY, CANARY)
    said = [str(CANARY), repr(CANARY), f"{CANARY}", f"{[CANARY]}", f"{CANARY!s:>20}", caplog.text]
    assert [text for text in said if "c4n4ry" in text] == []
    assert CANARY.reveal() == "c4n4ry"


def test_secrets_are_equal_by_their_text() -> None:
    assert copy(CANARY) == Secret("c4n4ry") != Secret("another")
    assert {CANARY: 1}[Secret("c4n4ry")] == 1


@pytest.mark.parametrize("text", ["", "whsec_x", "ü\n\0"])
def test_secret_is_read_as_it_was_stored(text: str) -> None:
    stored = encrypt(Secret(text))
    assert (decrypt(stored), decrypt(memoryview(stored), once=True)) == (Secret(text), Secret(text))
    assert stored != encrypt(Secret(text))
    assert text == "" or text.encode() not in stored


def test_first_key_encrypts_and_every_key_decrypts(settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.FIELD_KEYS = [old]
    before = encrypt(CANARY)
    settings.FIELD_KEYS = [new, old]
    after = encrypt(CANARY)
    assert decrypt(before) == CANARY
    settings.FIELD_KEYS = [new]
    assert decrypt(after) == CANARY
    for once in (False, True):
        with pytest.raises(Unreadable):
            decrypt(before, once=once)


def test_sealed_secret_is_decrypted_only_when_it_is_revealed(settings) -> None:
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    stored = encrypt(CANARY)
    sealed = Sealed.of(memoryview(stored))
    assert sealed.stored == stored
    assert (sealed, sealed.reveal()) == (Sealed.of(stored), "c4n4ry")
    assert [text for text in (str(sealed), repr(sealed), f"{[sealed]}") if text.strip("[]") != "secret"] == []
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    for one in (sealed, Sealed.of(b"\xff\0")):
        with pytest.raises(Unreadable):
            one.reveal()


@pytest.mark.parametrize("stored", [b"", b"x", encrypt(CANARY)[:-1]], ids=["empty", "short", "cut off"])
def test_damaged_bytes_are_unreadable_and_never_a_value(stored: bytes) -> None:
    with pytest.raises(Unreadable) as raised:
        decrypt(stored)
    assert "c4n4ry" not in str(raised.value)
