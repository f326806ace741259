"""The form of a person's time zone."""

import pytest

from dashboard.forms.time_zones import TimeZoneForm


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"), (" europe/berlin ", "Europe/Berlin"),
        ("America/New York", "America/New_York"), ("new york", "America/New_York"),
        ("utc", "UTC"), ("Etc/GMT-3", "Etc/GMT-3"), ("", ""),
    ],
)  # fmt: skip
def test_zone_is_taken_as_people_write_it(written: str, name: str) -> None:
    form = TimeZoneForm({"time_zone": written})
    assert form.is_valid()
    assert form.cleaned_data["time_zone"] == name


@pytest.mark.parametrize("written", ["Nowhere", "Europe", "../etc/passwd", "Factory", "localtime", "x" * 61, "<b>"])
def test_zone_that_there_is_not_is_refused(written: str) -> None:
    form = TimeZoneForm({"time_zone": written})
    assert not form.is_valid()
