"""The texts of a diagnosis: each kind has one."""

import pytest

from dashboard.rules.doctor.diagnosis import LABELS, Kind, finding


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_label_of_its_own_and_advice(kind: Kind) -> None:
    assert [one for one in LABELS if LABELS[one] == kind.label] == [kind]
    assert finding(kind=kind, words="It is so.").advice


def test_finding_takes_its_kinds_advice_unless_another_is_given() -> None:
    usual, other = finding(kind=Kind.STALE, words="Old."), finding(kind=Kind.STALE, words="Old.", advice="Wait.")
    assert (usual.words, other.advice, usual.advice != "Wait.") == ("Old.", "Wait.", True)
    assert usual.code == other.code != ""


def test_genuine_is_what_opentrain_signed_however_old() -> None:
    genuine = {kind for kind in Kind if finding(kind=kind, words="").genuine}
    assert genuine == {Kind.GENUINE, Kind.STALE, Kind.FUTURE}
