"""What a person may press, decided in Python and drawn by `{% control %}`: a link, or a form of one button."""

import uuid
from dataclasses import dataclass, replace
from typing import Self

from django.urls import reverse

MAIN = "btn-primary"
"""The look of the one control that helps first."""
ANSWER = "#answer"
"""Where a page shows what a button did."""
HERE = "closest [data-answer]"
"""The answer that the button stands in: another takes its place."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link that looks like a button. `called` is its name for those who do not see what stands around it."""

    label: str
    url: str
    icon: str = ""
    look: str = ""
    called: str = ""

    is_link = True


@dataclass(frozen=True, slots=True)
class Button:
    """A form of one button. `operation` is the name of what it does, `target` where htmx puts the answer.

    Without a target the answer is a page.
    """

    label: str
    url: str
    operation: uuid.UUID | None = None
    icon: str = ""
    look: str = ""
    target: str = ""
    id: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    called: str = ""

    is_link = False

    @classmethod
    def of(
        cls, action: str, pk: int, *, label: str, icon: str, operation: uuid.UUID | None, target: str = ANSWER
    ) -> Self:
        """Return the button of an address that answers where the page says so."""
        again = "-again" if target == HERE else ""
        url = reverse(action, args=[pk])
        return cls(label, url, operation=operation, icon=icon, target=target, id=f"{action}-{pk}{again}")

    def first(self, is_first: bool = True) -> Self:
        """Return it as what helps first."""
        return replace(self, look=MAIN) if is_first else self


Control = Link | Button


def enable(pk: int, operation: uuid.UUID | None, *, target: str = ANSWER) -> Button:
    return Button.of("endpoint-enable", pk, label="Re-enable", icon="player-play", operation=operation, target=target)


def redeliver_failed(pk: int, operation: uuid.UUID | None, *, failed: int = 0, target: str = ANSWER) -> Button:
    """Return the button that redelivers what is failed; it says how many, where `failed` is known."""
    label = f"Redeliver all failed ({failed})" if failed else "Redeliver all failed"
    return Button.of("endpoint-redeliver", pk, label=label, icon="send", operation=operation, target=target)


def redeliver_one(pk: int, operation: uuid.UUID | None) -> Button:
    return Button.of("delivery-redeliver", pk, label="Redeliver this delivery", icon="send", operation=operation)


def recover(pk: int, *, label: str = "Recover…", look: str = MAIN) -> Link:
    return Link(label, reverse("endpoint-recover", args=[pk]), icon="tool", look=look)


def replace_token(install_pk: int, *, look: str = MAIN) -> Link:
    return Link("Replace token…", f"{reverse('install-connect')}?install={install_pk}", icon="key", look=look)


def open_endpoint(pk: int, *, called: str = "") -> Link:
    return Link("Open", reverse("endpoint-detail", args=[pk]), called=called)
