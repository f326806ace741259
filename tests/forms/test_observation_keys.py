"""The form for observation keys: replacing a key needs confirmation."""

import pytest
from django.http import QueryDict

from dashboard.forms.observation_keys import ObservationKeyForm


@pytest.mark.parametrize(
    ("sent", "replaces", "valid"),
    [("", False, True), ("confirmed=on", False, True), ("", True, False), ("confirmed=on", True, True)],
)
def test_replacing_a_key_has_to_be_confirmed(sent: str, replaces: bool, valid: bool) -> None:
    form = ObservationKeyForm(QueryDict(sent), replaces=replaces)
    assert form.is_valid() is valid
    assert list(form.errors) == ([] if valid else ["confirmed"])
