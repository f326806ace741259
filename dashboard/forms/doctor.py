"""The signature doctor's form."""

import base64
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from dashboard.forms.pasted import cleaned
from dashboard.rules import pasted, written_times
from dashboard.rules.attempts import BODY_LIMIT, BODY_LIMIT_WORDS
from dashboard.rules.doctor import NotHeaders, parse_headers
from dashboard.rules.time_zones import readers_zone_name

_URL_SAFE = str.maketrans("-_", "+/")
HEADERS_CHARS = 32_000


class DoctorForm(forms.Form):
    """A pasted request. The secret is never shown again, not even in its own field.

    `now` completes an arrival time without a day.
    """

    TEXT, BASE64 = "text", "base64"

    headers = forms.CharField(
        max_length=HEADERS_CHARS, strip=False, error_messages={"required": "Paste the request's headers."}
    )
    body = forms.CharField(max_length=2 * BODY_LIMIT, strip=False, required=False)
    encoding = forms.ChoiceField(choices=[(TEXT, "As text"), (BASE64, "As base64")])
    arrived_at = forms.CharField(max_length=100, required=False)
    secret = forms.CharField(max_length=300, strip=False, required=False)

    def __init__(self, data: QueryDict | None, *, now: datetime, initial: dict[str, Any] | None = None) -> None:
        super().__init__(data, initial=initial)
        self.now = now

    def clean_headers(self) -> list[tuple[str, str]]:
        try:
            return parse_headers(self.cleaned_data["headers"])
        except NotHeaders:
            raise ValidationError("No headers found. Paste lines such as X-OpenTrain-Signature: t=…,v1=…") from None

    def clean_arrived_at(self) -> datetime | None:
        """Return the time, which people copy from a page or a log. A signature's age needs it to the minute."""
        text = pasted.bare(self.cleaned_data["arrived_at"])
        if not text:
            return None
        try:
            written = written_times.read(text, now=self.now)
        except written_times.NotATime as error:
            raise ValidationError(f"This is not a time: {error}." if str(error) else _not_a_time()) from None
        if written.lasts > timedelta(minutes=1):
            raise ValidationError(_not_a_time())
        if written.doubt:
            raise ValidationError(f"{written.doubt} Add the offset, as in 2026-06-12 12:00:00+02:00.")
        return written.at

    def clean_secret(self) -> str:
        """Keep the secret exactly as given: its spaces or quotation marks may be what is wrong at the handler."""
        secret: str = self.cleaned_data["secret"]
        cleaned(pasted.check_secret, secret)
        return secret

    def clean(self) -> dict[str, object]:
        given: dict[str, object] = super().clean() or {}
        try:
            if len(self.bodies[0]) > BODY_LIMIT:
                self.add_error(
                    "body", f"The body is larger than {BODY_LIMIT_WORDS}. Redeliver does not accept such deliveries."
                )
        except ValueError:
            self.add_error("body", "This is not valid base64.")
        return given

    @property
    def is_exact(self) -> bool:
        """Whether the body is exact to the byte. In text, the browser changes line endings."""
        return bool(self.cleaned_data.get("encoding") == self.BASE64)

    @property
    def bodies(self) -> list[bytes]:
        """Return the possible bodies: text with LF and with CRLF endings. Raises: ValueError for invalid base64."""
        text: str = self.cleaned_data.get("body", "")
        if self.is_exact:
            plain = "".join(pasted.bare(text).split()).translate(_URL_SAFE)
            return [base64.b64decode(plain, validate=True)]
        line_feeds = text.replace("\r\n", "\n").encode(errors="replace")
        return [line_feeds, line_feeds.replace(b"\n", b"\r\n")] if b"\n" in line_feeds else [line_feeds]


def _not_a_time() -> str:
    return f"Enter a time such as 2026-06-12 12:00:00 ({readers_zone_name()}), or leave it empty."
