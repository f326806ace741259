"""Names that people give to endpoints and installs."""

from typing import Any

from django.core.exceptions import ValidationError

from dashboard.forms.operation import OperationForm
from dashboard.forms.pasted import PastedField
from dashboard.rules import pasted
from dashboard.rules.endpoint_titles import NAME_CHARS
from dashboard.rules.invisible import is_visible

INSTALL_NAME_CHARS = 200


def _seen(text: str) -> None:
    hidden = next((char for char in text if not is_visible(char)), "")
    if hidden:
        raise ValidationError(f"Remove ⟨U+{ord(hidden):04X}⟩: a name is one line of characters that people see.")


class NameField(PastedField):
    """A name on one line, without spaces around it and without characters that nobody sees."""

    def __init__(self, *, most: int, **options: Any) -> None:  # noqa: ANN401 - Django's
        options = {"required": False, "validators": [_seen], **options}
        super().__init__(read=lambda text: " ".join(pasted.trimmed(text).split(" ")), max_length=most, **options)


class EndpointNameForm(OperationForm):
    """What people call an endpoint. Empty: by its host and path."""

    name = NameField(most=NAME_CHARS)


class InstallNameForm(OperationForm):
    """What people call a customer. Empty: by the organization's ID."""

    name = NameField(most=INSTALL_NAME_CHARS)
