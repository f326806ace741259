"""Validation of input only."""

import base64
import hashlib
import uuid
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import QueryDict

from dashboard import addresses
from dashboard.models import Endpoint, Role, User
from dashboard.rules.doctor import NotHeaders, parse_headers

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
URL_CHARS = 2048
HEADERS_CHARS = 32_000
BODY_BYTES = 1024 * 1024
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN_START = "ot_ptk_"  # noqa: S105 - how every token begins, not a token


def web_address(text: str) -> None:
    """Take an http or https address without credentials. Raises: ValidationError."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValidationError("Write the address with plain characters only, without spaces.")
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValidationError("This is not an address that can be called.") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ValidationError("Write the whole address, beginning with https://.")
    if parts.username is not None or parts.password is not None:
        raise ValidationError("Leave user name and password out of the address.")


def handler_address(text: str) -> None:
    """Take a web address that a handler may be at. Raises: ValidationError."""
    web_address(text)
    check_public(text, allowed=settings.HANDLER_PRIVATE_ADDRESSES, setting="HANDLER_PRIVATE_ADDRESSES")


def check_public(text: str, *, allowed: bool, setting: str) -> None:
    """Say early that a private address would not be called; a name is checked at each call. `setting` allows others.

    Raises: ValidationError.
    """
    host = urlsplit(text).hostname or ""
    try:
        kind = "loopback" if host == "localhost" else addresses.kept_out(address=ip_address(host))
    except ValueError:
        return  # a name: what it points at can change
    if kind is not None and not allowed:
        raise ValidationError(
            f"This address is not a public one ({kind}), so it would not be called. Write a public address; "
            f"whoever runs Redeliver can allow others with {setting}=1."
        )


def opentrain_address(text: str) -> None:
    """Take what OpenTrain takes: https, and plain http for localhost only. Raises: ValidationError."""
    web_address(text)
    parts = urlsplit(text)
    if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
        raise ValidationError("OpenTrain delivers to https:// only (plain http:// is for localhost).")


class OperationForm(forms.Form):
    """A press of a button. The same `operation` sent twice is one call."""

    operation = forms.UUIDField(widget=forms.HiddenInput, required=False, initial=uuid.uuid4)


class ConnectForm(OperationForm):
    """An install's token, which is never shown again, not even in its own field."""

    token = forms.CharField(
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "form-control"}),
        error_messages={"required": "Paste the token: it is shown once, on OpenTrain's consent screen."},
    )
    name = forms.CharField(
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "form-control"}),
    )

    def clean_token(self) -> str:
        token: str = self.cleaned_data["token"]
        if not token.startswith(TOKEN_START) or not token.isascii() or not token.isprintable() or " " in token:
            raise ValidationError(f"This is not an install's token: those begin with {TOKEN_START}.")
        return token


class RegisterForm(OperationForm):
    """A new endpoint: through our receiver, or straight to the partner's own URL."""

    RECEIVER, DIRECT = "receiver", "direct"

    path = forms.ChoiceField(choices=[(RECEIVER, "Receive through Redeliver"), (DIRECT, "Straight to my URL")])
    handler_url = forms.CharField(max_length=URL_CHARS, required=False, validators=[handler_address])
    url = forms.CharField(max_length=URL_CHARS, required=False, validators=[opentrain_address])
    event_types = forms.MultipleChoiceField(
        choices=[(name, name) for name in EVENT_TYPES],
        error_messages={"required": "Choose at least one event type."},
    )

    @property
    def through_redeliver(self) -> bool:
        return bool(self.cleaned_data["path"] == self.RECEIVER)

    def clean(self) -> dict[str, object]:
        cleaned: dict[str, object] = super().clean() or {}
        if cleaned.get("path") == self.DIRECT and not cleaned.get("url") and "url" not in self.errors:
            self.add_error("url", "Write the address that OpenTrain is to deliver to.")
        return cleaned


class DoctorForm(forms.Form):
    """A request as somebody pastes it. The secret is never shown again, not even in its own field."""

    TEXT, BASE64 = "text", "base64"

    headers = forms.CharField(
        max_length=HEADERS_CHARS, strip=False, error_messages={"required": "Paste the request's headers."}
    )
    body = forms.CharField(max_length=2 * BODY_BYTES, strip=False, required=False)
    encoding = forms.ChoiceField(choices=[(TEXT, "As text"), (BASE64, "As base64")])
    arrived_at = forms.DateTimeField(
        required=False, error_messages={"invalid": "Write it as 2026-06-12 12:00:00, in UTC, or leave it empty."}
    )
    secret = forms.CharField(max_length=300, strip=False, required=False)

    def clean_headers(self) -> list[tuple[str, str]]:
        try:
            return parse_headers(self.cleaned_data["headers"])
        except NotHeaders:
            raise ValidationError("No line of this is a header, such as X-OpenTrain-Signature: t=…,v1=…") from None

    def clean(self) -> dict[str, object]:
        cleaned: dict[str, object] = super().clean() or {}
        try:
            if len(self.bodies[0]) > BODY_BYTES:
                self.add_error("body", "The body is larger than 1 MiB. Redeliver does not take such deliveries.")
        except ValueError:
            self.add_error("body", "This is not base64.")
        return cleaned

    @property
    def is_exact(self) -> bool:
        """Whether the body is there byte for byte: a browser writes the ends of lines in its own way."""
        return bool(self.cleaned_data.get("encoding") == self.BASE64)

    @property
    def bodies(self) -> list[bytes]:
        """Return the body, and as it may have been as well. Raises: ValueError, where base64 is said and is not."""
        text: str = self.cleaned_data.get("body", "")
        if self.is_exact:
            return [base64.b64decode("".join(text.split()), validate=True)]
        line_feeds = text.replace("\r\n", "\n").encode(errors="replace")
        return [line_feeds, line_feeds.replace(b"\n", b"\r\n")] if b"\n" in line_feeds else [line_feeds]


class EditForm(OperationForm):
    """Where an endpoint delivers, and what: the handler's URL behind our receiver, or else its own URL."""

    address = forms.CharField(max_length=URL_CHARS, required=False)
    event_types = forms.MultipleChoiceField(error_messages={"required": "Choose at least one event type."})
    seen = forms.CharField(max_length=64, required=False)

    def __init__(self, data: QueryDict | None, *, endpoint: Endpoint, was_asked: bool = False) -> None:
        """`was_asked` says that this very form was taken before: then it is no news that the endpoint is different."""
        address = endpoint.handler_url if endpoint.is_received else endpoint.url
        super().__init__(data, initial={"address": address, "event_types": endpoint.event_types})
        self.endpoint, self.was_asked = endpoint, was_asked
        # A type that OpenTrain has added since this was written is kept as long as nobody unticks it.
        names = [*EVENT_TYPES, *(name for name in endpoint.event_types if name not in EVENT_TYPES)]
        field = cast("forms.MultipleChoiceField", self.fields["event_types"])
        field.choices = [(name, name) for name in names]

    @property
    def state(self) -> str:
        """What the form starts from, as one word, so that it is noticed when somebody changes it meanwhile."""
        state = [self.endpoint.url, self.endpoint.handler_url, *sorted(self.endpoint.event_types)]
        return hashlib.sha256("\n".join(state).encode()).hexdigest()

    def clean_seen(self) -> str:
        seen: str = self.cleaned_data["seen"]
        if seen not in {"", self.state} and not self.was_asked:
            raise ValidationError("Somebody has changed this endpoint since you opened this page.")
        return seen

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"]
        if self.endpoint.is_received:
            if address and address != self.endpoint.handler_url:
                handler_address(address)
        elif not address:
            raise ValidationError("Write the address that OpenTrain is to deliver to.")
        elif address != self.endpoint.url:
            opentrain_address(address)
        return address


class DeleteForm(OperationForm):
    """A deletion, confirmed by typing the word that the page names."""

    confirmation = forms.CharField(max_length=300, required=False)

    def __init__(self, data: QueryDict | None, *, word: str) -> None:
        super().__init__(data)
        self.word = word

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if typed.strip().lower() != self.word.lower():
            raise ValidationError(f"This is not what is to be typed. Type {self.word}, and nothing else.")
        return typed


class ObservationKeyForm(OperationForm):
    """A new key, or none any more. Where one is in use, that it stops working has to be confirmed."""

    confirmed = forms.BooleanField(required=False)

    def __init__(self, data: QueryDict | None, *, replaces: bool) -> None:
        super().__init__(data)
        self.replaces = replaces

    def clean_confirmed(self) -> bool:
        confirmed: bool = self.cleaned_data["confirmed"]
        if self.replaces and not confirmed:
            raise ValidationError("A key is in use. Tick this if it may stop working; nothing was changed yet.")
        return confirmed


class InviteForm(OperationForm):
    """Who is invited, and as what."""

    username = forms.CharField(
        max_length=150,
        validators=[User.username_validator],
        error_messages={"required": "Give a user name, to sign in with."},
    )
    role = forms.ChoiceField(choices=[(role.value, role.label) for role in Role if role])
    email = forms.EmailField(required=False, max_length=254)

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if email and User.objects.filter(email__iexact=email).exists():
            raise ValidationError("There is an account of this address already.")
        return email

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=username).exists():
            raise ValidationError("There is an account of this name already.")
        return username


class SetPasswordForm(forms.Form):
    """A password, twice, by the code of a link. `owner` is whose it becomes."""

    code = forms.CharField(max_length=200)
    password = forms.CharField(max_length=1000, strip=False)
    again = forms.CharField(max_length=1000, strip=False)

    def __init__(self, data: QueryDict | None = None, *, owner: User | None = None) -> None:
        super().__init__(data)
        self.owner = owner

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password, self.owner)
        return password

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if "password" in self.cleaned_data and again != self.cleaned_data["password"]:
            raise ValidationError("The two are not the same.")
        return again
