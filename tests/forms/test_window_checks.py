"""The form that marks a time as checked: exactly one time, and a note that fits."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.forms.window_checks import WindowCheckForm, WindowForm
from dashboard.rules.lost_window import Stop
from dashboard.rules.window_checks import NOTE_CHARS, span_text

NOON = datetime(2026, 11, 30, 12, 0, 0, 1, tzinfo=UTC)
UNTIL = NOON + timedelta(seconds=110)
NAME = span_text(Stop(NOON, UNTIL))


def test_time_and_note_are_read() -> None:
    operation = uuid.uuid4()
    form = WindowCheckForm({"window": NAME, "note": "  Asked the partner ", "operation": str(operation)})
    assert form.is_valid()
    assert form.cleaned_data == {"window": (NOON, UNTIL), "note": "Asked the partner", "operation": operation}
    assert WindowCheckForm({"window": NAME}).is_valid()  # the note is optional


@pytest.mark.parametrize("window", ["", "yesterday", "1-", "1" * 41])
@pytest.mark.parametrize("form", [WindowForm, WindowCheckForm])
def test_what_names_no_time_is_refused(form: type[WindowForm], window: str) -> None:
    assert "window" in form({"window": window}).errors


def test_note_that_does_not_fit_is_refused() -> None:
    assert WindowCheckForm({"window": NAME, "note": "x" * NOTE_CHARS}).is_valid()
    form = WindowCheckForm({"window": NAME, "note": "x" * (NOTE_CHARS + 1)})
    assert form.errors == {"note": ["Shorten the note to 300 characters."]}
