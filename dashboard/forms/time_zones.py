"""The form of a person's time zone."""

from django import forms
from django.core.exceptions import ValidationError

from dashboard.forms.operation import OperationForm
from dashboard.rules.time_zones import NAME_CHARS, zone_written


class TimeZoneForm(OperationForm):
    """The zone that a person reads times in. Empty is the browser's."""

    time_zone = forms.CharField(max_length=NAME_CHARS, required=False)

    def clean_time_zone(self) -> str:
        text: str = self.cleaned_data["time_zone"]
        name = zone_written(text) if text else ""
        if text and not name:
            raise ValidationError("Choose a time zone from the list, such as Europe/Berlin.")
        return name
