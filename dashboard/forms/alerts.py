"""The form of an alert channel."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import QueryDict

from dashboard.actions.alerts.channels import ChannelDetails
from dashboard.forms.operation import OperationForm
from dashboard.forms.pasted import PastedEmailField, PastedField
from dashboard.forms.web_addresses import URL_CHARS, check_public, web_address
from dashboard.models import AlertChannel, Install, User
from dashboard.rules import pasted
from dashboard.rules.alerts import KINDS, OF_ALL_INSTALLS, AlertKind
from dashboard.rules.invisible import is_visible
from dashboard.rules.outside_texts import on_one_line
from dashboard.rules.time_zones import NAME_CHARS as TIME_ZONE_CHARS
from dashboard.rules.time_zones import readers_zone_name, zone_written
from dashboard.vault import Secret

Way = AlertChannel.Way
NAME_CHARS = 100
EMAIL_CHARS = 254
"""Longer addresses do not exist. Source: RFC 5321, 4.5.3.1.3."""
_NO_QUIET_TIME = {"invalid": "Enter a time such as 22:00, or leave both empty."}


class ChannelForm(OperationForm):
    """A new or existing channel. An existing channel's way (email or webhook) cannot change.

    A webhook's URL is never shown again, not even in its own field. An empty field keeps it.
    """

    name = forms.CharField(max_length=NAME_CHARS, error_messages={"required": "Enter a name."})
    way = forms.ChoiceField(choices=Way.choices, required=False)
    install = forms.ModelChoiceField(
        queryset=Install.objects.none(),
        required=False,
        error_messages={"invalid_choice": "Choose an install from the list.", "required": "Choose an install."},
    )
    kinds = forms.MultipleChoiceField(
        choices=[
            (kind.value, f"{kind.label} (all installs only)" if kind in OF_ALL_INSTALLS else kind.label)
            for kind in KINDS
        ],
        error_messages={"required": "Choose at least one kind of alert."},
    )
    email = PastedEmailField(
        max_length=EMAIL_CHARS, required=False, error_messages={"invalid": "Enter a valid email address."}
    )
    url = PastedField(read=pasted.url, max_length=URL_CHARS, required=False)
    slack = forms.BooleanField(required=False)
    quiet_start = forms.TimeField(required=False, error_messages=_NO_QUIET_TIME)
    quiet_end = forms.TimeField(required=False, error_messages=_NO_QUIET_TIME)
    time_zone = forms.CharField(max_length=TIME_ZONE_CHARS, required=False)

    def __init__(
        self, data: QueryDict | None, *, user: User, channel: AlertChannel | None = None, install_id: int | None = None
    ) -> None:
        """`install_id` is the initial choice of a new channel's install."""
        super().__init__(data, initial=_initial(channel, install_id))
        self.channel = channel
        field = cast("forms.ModelChoiceField[Install]", self.fields["install"])
        field.queryset = cast("QuerySet[Install]", Install.objects.visible_to(user).defer("token").order_by("name"))
        field.required = not user.sees_every_install
        if not user.sees_every_install:
            kinds = cast("forms.MultipleChoiceField", self.fields["kinds"])
            kinds.choices = [(kind.value, kind.label) for kind in KINDS if kind not in OF_ALL_INSTALLS]

    @property
    def chosen_way(self) -> str:
        """The channel's own way, or for a new channel the chosen one; email if the choice is invalid."""
        if self.channel is not None:
            return self.channel.way
        given = str(self["way"].value() or "")
        return given if given in Way.values else Way.EMAIL.value

    def clean_name(self) -> str:
        name = on_one_line(self.cleaned_data["name"], most=NAME_CHARS)
        if not any(is_visible(char) for char in name if char != " "):
            raise ValidationError("Enter a name.")
        return name

    def clean_kinds(self) -> list[str]:
        """Add "disabled" to "about to be disabled", so that a channel learns how it ended."""
        kinds = set(self.cleaned_data["kinds"])
        kinds |= {AlertKind.DISABLED.value} if AlertKind.AT_RISK in kinds else set()
        return sorted(kinds)

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        if url and self.chosen_way == Way.WEBHOOK:
            web_address(url)
            if not url.startswith("https://") and not settings.ALERT_PRIVATE_ADDRESSES:
                raise ValidationError("Enter a URL that begins with https://: alerts contain your customers' names.")
            check_public(url, allowed=settings.ALERT_PRIVATE_ADDRESSES, setting="ALERT_PRIVATE_ADDRESSES")
        return url

    def clean_time_zone(self) -> str:
        text: str = self.cleaned_data["time_zone"]
        name = zone_written(text) if text else readers_zone_name()
        if not name:
            raise ValidationError("Choose a time zone from the list, such as Europe/Berlin.")
        return name

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.chosen_way == Way.EMAIL and "email" in cleaned and not cleaned["email"]:
            self.add_error("email", "Enter the email address to send alerts to.")
        if self.chosen_way == Way.WEBHOOK and self.channel is None and "url" in cleaned and not cleaned["url"]:
            self.add_error("url", "Enter the URL to send alerts to.")
        if cleaned.get("install") is not None and cleaned.get("kinds"):
            cleaned["kinds"] = [kind for kind in cleaned["kinds"] if kind not in OF_ALL_INSTALLS]
            if not cleaned["kinds"]:
                self.add_error("kinds", "Only a channel for all installs gets these alerts. Choose another kind.")
        start, end = cleaned.get("quiet_start"), cleaned.get("quiet_end")
        are_both_read = "quiet_start" in cleaned and "quiet_end" in cleaned
        if are_both_read and (start, end) != (None, None) and (start is None or end is None or start == end):
            self.add_error("quiet_end", "Quiet hours need two different times; leave both empty for none.")
        return cleaned

    @property
    def details(self) -> ChannelDetails:
        """Return the channel described by a valid form."""
        given, mails = self.cleaned_data, self.chosen_way == Way.EMAIL
        return ChannelDetails(
            name=given["name"],
            way=Way(self.chosen_way),
            install=given["install"],
            kinds=tuple(given["kinds"]),
            email=given["email"] if mails else "",
            url=Secret(given["url"]) if given["url"] and not mails else None,
            slack=given["slack"] and not mails,
            quiet_start=given["quiet_start"],
            quiet_end=given["quiet_end"],
            time_zone=given["time_zone"],
        )


def _initial(channel: AlertChannel | None, install_id: int | None) -> dict[str, Any]:
    if channel is None:
        kinds = [kind.value for kind in KINDS]
        return {"install": install_id, "kinds": kinds, "time_zone": readers_zone_name(), "way": Way.EMAIL}
    return {
        "name": channel.name,
        "install": channel.install_id,
        "kinds": channel.kinds,
        "email": channel.email,
        "slack": channel.slack,
        "quiet_start": channel.quiet_start and f"{channel.quiet_start:%H:%M}",
        "quiet_end": channel.quiet_end and f"{channel.quiet_end:%H:%M}",
        "time_zone": channel.time_zone,
    }
