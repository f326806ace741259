"""Where attempts are kept."""

import pytest

from dashboard.receiver.keeping import Keeping, Place


@pytest.mark.parametrize(("place", "ok"), [(Place.DATABASE, True), (Place.SPOOL, True), (Place.NOTHING, False)])
def test_attempt_is_kept_by_database_or_spool(place: Place, ok: bool) -> None:
    assert Keeping(place, "").ok is ok
