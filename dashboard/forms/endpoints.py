"""Registering, editing and deleting endpoints."""

import hashlib
from typing import cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from dashboard.config.masking import masking
from dashboard.forms.names import NameField
from dashboard.forms.operation import OperationForm
from dashboard.forms.pasted import PastedField
from dashboard.forms.web_addresses import URL_CHARS, handler_address, opentrain_address
from dashboard.models import Endpoint
from dashboard.rules import pasted
from dashboard.rules.endpoint_titles import NAME_CHARS, to_type
from dashboard.rules.masking import REDACTED

EVENT_TYPES = (
    "contract.started",
    "contract.ended",
    "project_link.created",
    "project_link.removed",
    "install.revoked",
    "milestone.funded",
    "milestone.budget_low",
    "milestone.budget_depleted",
)
"""Source: partner-api, "Operations"."""


class RegisterForm(OperationForm):
    """A new endpoint: through the receiver, or directly to the partner's own URL."""

    RECEIVER, DIRECT = "receiver", "direct"

    path = forms.ChoiceField(choices=[(RECEIVER, "Receive through Redeliver"), (DIRECT, "Directly to my URL")])
    handler_url = PastedField(read=pasted.url, max_length=URL_CHARS, required=False, validators=[handler_address])
    url = PastedField(read=pasted.url, max_length=URL_CHARS, required=False, validators=[opentrain_address])
    name = NameField(most=NAME_CHARS)
    twice = forms.CharField(max_length=URL_CHARS, required=False)
    """The handler that the user was told has an endpoint already, and wants another one for."""
    event_types = forms.MultipleChoiceField(
        choices=[(name, name) for name in EVENT_TYPES],
        error_messages={"required": "Choose at least one event type."},
    )

    @property
    def through_redeliver(self) -> bool:
        return bool(self.cleaned_data["path"] == self.RECEIVER)

    @property
    def handler(self) -> str:
        """The URL that deliveries reach in the end; empty for a receiver without a handler."""
        given: str = self.cleaned_data["handler_url" if self.through_redeliver else "url"]
        return given

    @property
    def is_meant_twice(self) -> bool:
        """Whether the user confirmed that the handler gets another endpoint."""
        return bool(self.handler) and self.cleaned_data["twice"] == self.handler

    def clean(self) -> dict[str, object]:
        cleaned: dict[str, object] = super().clean() or {}
        if cleaned.get("path") == self.DIRECT and not cleaned.get("url") and "url" not in self.errors:
            self.add_error("url", "Enter the address for OpenTrain to deliver to.")
        return cleaned


class EditForm(OperationForm):
    """An endpoint's address and event types. The address is the handler's URL behind the receiver, or its own URL."""

    address = PastedField(read=pasted.url, max_length=URL_CHARS, required=False)
    event_types = forms.MultipleChoiceField(error_messages={"required": "Choose at least one event type."})
    seen = forms.CharField(max_length=64, required=False)
    twice = forms.CharField(max_length=URL_CHARS, required=False)
    """The handler that the user was told has another endpoint, and wants to get its events twice."""

    def __init__(self, data: QueryDict | None, *, endpoint: Endpoint, was_asked: bool = False) -> None:
        """`was_asked` says that this form was already submitted once: then the endpoint is expected to differ."""
        self.kept = endpoint.handler_url if endpoint.is_received else endpoint.url
        self.shown = shown = masking().url(self.kept)
        super().__init__(data, initial={"address": shown, "event_types": endpoint.event_types})
        # An address that was not edited stays exactly as it is.
        pasted_field = cast("PastedField", self.fields["address"])
        pasted_field.read = lambda text: text if text == shown else pasted.url(text)
        self.endpoint, self.was_asked = endpoint, was_asked
        # An event type that OpenTrain added later stays selected until it is cleared.
        names = list(dict.fromkeys([*EVENT_TYPES, *endpoint.event_types]))
        field = cast("forms.MultipleChoiceField", self.fields["event_types"])
        field.choices = [(name, name) for name in names]

    @property
    def is_meant_twice(self) -> bool:
        """Whether the user confirmed that the handler gets events from another endpoint too."""
        return bool(self.cleaned_data["twice"]) and self.cleaned_data["twice"] == self.cleaned_data["address"]

    @property
    def state(self) -> str:
        """Digest of the endpoint's current values, to detect changes made while the form is open."""
        state = [self.endpoint.url, self.endpoint.handler_url, *sorted(self.endpoint.event_types)]
        return hashlib.sha256("\n".join(state).encode()).hexdigest()

    def clean_seen(self) -> str:
        seen: str = self.cleaned_data["seen"]
        if seen not in {"", self.state} and not self.was_asked:
            raise ValidationError("Someone changed this endpoint after you opened this page.")
        return seen

    def clean_event_types(self) -> list[str]:
        """Refuse a change that would send a name to OpenTrain that was cut."""
        names: list[str] = self.cleaned_data["event_types"]
        cut = [name for name in self.endpoint.cut_event_types if name in names]
        if cut and set(names) != set(self.endpoint.event_types):
            raise ValidationError(
                f"Redeliver does not know the whole name of “{cut[0]}”, so it cannot send it to OpenTrain. "
                "Clear it, or change no event type."
            )
        return names

    def clean_address(self) -> str:
        """Return the address. One that was left as it is shown stays as it is, with what is hidden of it.

        Raises: ValidationError.
        """
        address: str = self.cleaned_data["address"]
        if address == self.shown:
            return self.kept
        if REDACTED in address:
            raise ValidationError(
                f"Replace {REDACTED} with the value that it hides, or leave the address as it was: {self.shown}"
            )
        if self.endpoint.is_received:
            if address and address != self.endpoint.handler_url:
                handler_address(address)
        elif not address:
            raise ValidationError("Enter the address for OpenTrain to deliver to.")
        elif address != self.endpoint.url:
            opentrain_address(address)
        return address


class DeleteForm(OperationForm):
    """A deletion, confirmed by typing the word shown on the page."""

    confirmation = PastedField(read=pasted.bare, max_length=300, required=False)

    def __init__(self, data: QueryDict | None, *, word: str) -> None:
        super().__init__(data)
        self.word = word

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if to_type(typed).casefold() != to_type(pasted.bare(self.word)).casefold():
            raise ValidationError(f"That doesn't match. Type {self.word} and nothing else.")
        return typed


class KeepUrlForm(OperationForm):
    """The button that keeps a URL that was changed outside Redeliver at `changed_at`, as far as the page knows."""

    changed_at = forms.CharField(max_length=40)


class SigningSecretForm(OperationForm):
    """An endpoint's signing secret, which is never shown again, not even in its own field."""

    secret = PastedField(
        read=pasted.signing_secret,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "form-control"}),
        error_messages={"required": "Paste the signing secret."},
    )
