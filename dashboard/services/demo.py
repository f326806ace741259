"""Breaking and repairing the demo's handler. Available only if DEMO_HANDLER_URL is set."""

import json
from urllib.parse import quote

from django.conf import settings

from dashboard.rules import json_limits
from dashboard.services.http.client import NoAnswer, exchange
from dashboard.vault import Secret


class DemoHandlerFailed(Exception):
    """The demo's handler could not be controlled; the message says why."""


def controls(*, handler_url: str) -> bool:
    """Return whether this handler is one of the demo's."""
    return bool(settings.DEMO_HANDLER_URL) and handler_url.startswith(f"{settings.DEMO_HANDLER_URL}/")


def set_broken(*, handler_url: str, broken: bool) -> None:
    """Break the handler, or repair it.

    Raises: DemoHandlerFailed.
    """
    _control(method="PUT", handler_url=handler_url, body=json.dumps({"broken": broken}).encode())


def is_broken(*, handler_url: str) -> bool | None:
    """Return whether the handler is broken; None if it does not respond."""
    try:
        return _control(method="GET", handler_url=handler_url, body=None)
    except DemoHandlerFailed:
        return None


def _control(*, method: str, handler_url: str, body: bytes | None) -> bool:
    name = handler_url.removeprefix(f"{settings.DEMO_HANDLER_URL}/").partition("/")[0]
    try:
        answer = exchange(
            method=method,
            url=f"{settings.DEMO_HANDLER_URL}/control/{quote(name, safe='')}",
            headers=[("Authorization", Secret(f"Bearer {settings.DEMO_HANDLER_TOKEN}"))],
            body=body,
            connect_s=1,
            read_s=2,
            total_s=3,
            max_bytes=1000,
        )
        return bool(json_limits.loads(answer.body)["broken"])
    except NoAnswer as error:
        raise DemoHandlerFailed(f"The demo's handler did not answer: {error}.") from None
    except (ValueError, KeyError, TypeError):
        raise DemoHandlerFailed(f"The demo's handler answered {answer.status}.") from None
