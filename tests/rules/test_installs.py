"""The reasons why OpenTrain's last answer for an install is of no use."""

from dashboard.models import Install
from dashboard.rules.installs import NEEDS_PERSON, Trouble


def test_only_what_passes_without_a_person_is_left_out() -> None:
    assert set(Trouble) - NEEDS_PERSON == {Trouble.NONE, Trouble.RATE_LIMITED, Trouble.UNREACHABLE}


def test_every_trouble_fits_its_column_and_none_is_empty() -> None:
    assert max(len(trouble) for trouble in Trouble) <= Install._meta.get_field("last_error_code").max_length
    assert [trouble for trouble in Trouble if not trouble] == [Trouble.NONE]
