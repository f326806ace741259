"""Marking a time of which events may be missing as checked."""

from datetime import datetime

from django import forms
from django.core.exceptions import ValidationError

from dashboard.forms.operation import OperationForm
from dashboard.rules.window_checks import NOTE_CHARS, span_from


class WindowForm(OperationForm):
    """Names a time of an endpoint by when it began and ended, as the page showed it."""

    window = forms.CharField(max_length=40)

    def clean_window(self) -> tuple[datetime, datetime]:
        named = span_from(self.cleaned_data["window"])
        if named is None:
            raise ValidationError("This names no time.")
        return named


class WindowCheckForm(WindowForm):
    """How a person checked it, in their words."""

    note = forms.CharField(
        required=False,
        max_length=NOTE_CHARS,
        error_messages={"max_length": f"Shorten the note to {NOTE_CHARS} characters."},
    )
