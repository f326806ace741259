"""A malformed signature header: its likely meaning."""

import base64

import pytest

from dashboard.rules.doctor.header import READ_CHARS, read

DIGEST = "0123456789abcdef" * 4
STAMP = "1781265600"


@pytest.mark.parametrize(
    "value",
    [
        f"t={STAMP}, v1={DIGEST}",
        f'"t={STAMP},v1={DIGEST}"',
        f"t={STAMP};v1={DIGEST}",
        f"t={STAMP} v1={DIGEST}",
        f"t = {STAMP}, v1 = {DIGEST}",
        f"t={STAMP},v1={DIGEST},",
        f"\u201ct={STAMP},v1={DIGEST}\u201d",
        f"`t={STAMP},v1={DIGEST}`",
        f"v1={DIGEST},t={STAMP}",
        f"t={STAMP},v1={DIGEST},v0=00",
        f"t={STAMP},v1={DIGEST.upper()}",
        f"T={STAMP},V1={DIGEST}",
        f"t={STAMP},v1={base64.b64encode(bytes.fromhex(DIGEST)).decode()}",
        f"t={STAMP},v1={base64.urlsafe_b64encode(bytes.fromhex(DIGEST)).decode().rstrip('=')}",
    ],
)
def test_form_that_can_be_guessed_gives_time_and_signature_and_one_fault(value: str) -> None:
    found = read(value)
    assert (found.stamp, found.digest, len(found.faults)) == (STAMP, DIGEST, 1)


@pytest.mark.parametrize(
    ("value", "stamp", "digest"),
    [
        ("", "", ""),
        ("  ", "", ""),
        (f"sha256={DIGEST}", "", ""),
        ("v1,AAAA", "", ""),
        (f"v1={DIGEST}", "", DIGEST),
        (f"t=,v1={DIGEST}", "", DIGEST),
        (f"t=now,v1={DIGEST}", "", DIGEST),
        (f"t={STAMP}", STAMP, ""),
        (f"t={STAMP},v1=", STAMP, ""),
        (f"t={STAMP},v1={DIGEST[:-1]}", STAMP, ""),
        (f"t={STAMP},v1=!", STAMP, ""),
        (f"t={STAMP}000,v1={DIGEST}", f"{STAMP}000", DIGEST),
    ],
)
def test_what_cannot_be_guessed_is_empty_and_has_one_fault(value: str, stamp: str, digest: str) -> None:
    found = read(value)
    assert (found.stamp, found.digest, len(found.faults)) == (stamp, digest, 1)


def test_every_fault_is_told_once() -> None:
    faults = read(f'"v1={DIGEST.upper()}; t={STAMP}000; v0=1"').faults
    assert len(faults) == len(set(faults)) == 7


def test_only_the_beginning_of_a_long_header_is_read() -> None:
    assert read(f"t={STAMP}," + " " * READ_CHARS + f"v1={DIGEST}").digest == ""
