"""Links and one-button forms. Python decides which to offer; `{% control %}` draws them."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from django.urls import reverse

MAIN = "btn-primary"
"""The look of the primary control."""
ANSWER = "#answer"
"""Where a page shows the result of a button."""
UNCHECKED = "unchecked"
"""Parameter of a recovery that does not check the handler first."""
WITH_OVERTAKEN = "overtaken"
"""Name of the box that chooses deliveries although later events have overtaken them."""
HERE = "closest [data-answer]"
"""The result that contains the button; the new result replaces it."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link that looks like a button. `called` is its accessible name, for people who do not see its context."""

    label: str
    url: str
    icon: str = ""
    look: str = ""
    called: str = ""

    is_link = True


@dataclass(frozen=True, slots=True)
class Button:
    """A form of one button. `operation` is the ID of its operation; `target` is where htmx puts the response.

    Without a target, the response is a full page.
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
        """Return a button whose result appears at `target`."""
        again = "-again" if target == HERE else ""
        url = reverse(action, args=[pk])
        return cls(label, url, operation=operation, icon=icon, target=target, id=f"{action}-{pk}{again}")

    def first(self, is_first: bool = True) -> Self:
        """Return the button as the primary one."""
        return replace(self, look=MAIN) if is_first else self


Control = Link | Button


def enable(pk: int, operation: uuid.UUID | None, *, target: str = ANSWER) -> Button:
    return Button.of("endpoint-enable", pk, label="Re-enable", icon="player-play", operation=operation, target=target)


def redeliver_failed(pk: int, operation: uuid.UUID | None, *, failed: int = 0, target: str = ANSWER) -> Button:
    """Return the button that redelivers all failed deliveries, with their number if it is known."""
    label = f"Redeliver all failed ({failed})" if failed else "Redeliver all failed"
    return Button.of("endpoint-redeliver", pk, label=label, icon="send", operation=operation, target=target)


def redeliver_one(pk: int, operation: uuid.UUID | None) -> Button:
    return Button.of("delivery-redeliver", pk, label="Redeliver this delivery", icon="send", operation=operation)


def redeliver_anyway(pk: int) -> Link:
    """Return the link to the question before an overtaken delivery is redelivered."""
    return Link("Redeliver this delivery…", reverse("delivery-redeliver-anyway", args=[pk]), icon="send")


def redeliver_in_order(pk: int) -> Link:
    """Return the link to the preview of a run that redelivers the endpoint's failed deliveries in order."""
    url = f"{reverse('endpoint-deliveries-redeliver', args=[pk])}?state=failed"
    return Link("Redeliver in order…", url, icon="send", look=MAIN)


def preview_failed(pk: int) -> Link:
    """Return the link to the preview of a run that redelivers the endpoint's failed deliveries one by one."""
    url = f"{reverse('endpoint-deliveries-redeliver', args=[pk])}?state=failed"
    return Link("Redeliver failed ones one by one…", url, icon="send")


def recover(pk: int, *, label: str = "Recover…", look: str = MAIN) -> Link:
    return Link(label, reverse("endpoint-recover", args=[pk]), icon="tool", look=look)


def recover_unchecked(pk: int) -> Link:
    """Return the link to a recovery that does not check the handler first."""
    url = f"{reverse('endpoint-recover', args=[pk])}?{UNCHECKED}=1"
    return Link("Recover without the check…", url, icon="tool")


def replace_token(install_pk: int, *, look: str = MAIN) -> Link:
    return Link("Replace token…", f"{reverse('install-connect')}?install={install_pk}", icon="key", look=look)


def connect_again(install_pk: int) -> Link:
    """Return the link to the form that takes a token of an install that was disconnected."""
    return Link(
        "Connect again…", f"{reverse('install-connect')}?install={install_pk}", icon="plug-connected", look=MAIN
    )


def point_back(pk: int) -> Link:
    return Link("Deliver through Redeliver again…", reverse("endpoint-point-back", args=[pk]), icon="send", look=MAIN)


def keep_url(pk: int, *, changed_at: datetime, operation: uuid.UUID) -> Button:
    """Return the button that keeps a URL that was changed outside Redeliver at that time, as far as is known."""
    fields = (("changed_at", changed_at.isoformat()),)
    url = reverse("endpoint-keep-url", args=[pk])
    return Button("Keep this URL", url, operation=operation, icon="check", fields=fields)


def mark_checked(pk: int, *, window: str, called: str) -> Link:
    """Return the link to the question before a time of which events may be missing is marked as checked."""
    url = f"{reverse('endpoint-window-check', args=[pk])}?window={window}"
    return Link("Mark as checked…", url, icon="check", called=f"Mark as checked… {called}")


def show_again(pk: int, *, window: str, operation: uuid.UUID, called: str) -> Button:
    """Return the button that takes the check of such a time back."""
    url = reverse("endpoint-window-show-again", args=[pk])
    fields = (("window", window),)
    return Button("Show it again", url, operation=operation, fields=fields, called=f"Show it again: {called}")


def open_endpoint(pk: int, *, label: str = "Open", called: str = "") -> Link:
    return Link(label, reverse("endpoint-detail", args=[pk]), called=called)
