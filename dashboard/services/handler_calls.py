"""Calls to partners' handlers from an event loop: the unchanged delivery, once, within a deadline.

What is forwarded, and what an answer is, is the same as in handler.py. Here thousands of calls wait at once, and the
status decides: a body that breaks, drips or is too large is noted in the answer.
"""

from typing import Self

from django.conf import settings

from dashboard import addresses
from dashboard.rules.causes import Cause
from dashboard.services.handler import (
    ANSWER_KEPT,
    ANSWER_LIMIT,
    STATUSES,
    HandlerAnswer,
    HandlerFailed,
    Headers,
    given_back,
    passed_on,
    refuse_loop,
)
from dashboard.services.http.client import NoAnswer
from dashboard.services.http.connections import Connections
from dashboard.services.http.lookups import LookUp, of_system


class HandlerCalls:
    """Calls from one event loop: create it there, and close it with `close` or as an async context manager."""

    def __init__(self, *, look_up: LookUp = of_system) -> None:
        self._connections = Connections(look_up=look_up)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections, those in use too."""
        await self._connections.close()

    async def ask(self, *, url: str, headers: Headers, body: bytes, deadline_s: float) -> HandlerAnswer:
        """POST the delivery to the handler and return its response, with any status.

        `headers` are all headers of the incoming request, decoded as Latin-1, with their own case and order; this
        function selects those to forward. The call ends within `deadline_s` seconds; without time left the handler is
        not called. The number of calls at once is the caller's to limit.

        Raises: HandlerFailed.
        """
        refuse_loop(headers=headers)
        try:
            answer = await self._connections.post(
                url=url,
                headers=passed_on(headers=headers),
                body=body,
                total_s=deadline_s,
                max_bytes=ANSWER_LIMIT,
                kept_bytes=ANSWER_KEPT + 1,
                check=None if settings.HANDLER_PRIVATE_ADDRESSES else addresses.check,
                extra_ca_file=settings.EXTRA_CA_BUNDLE,
            )
        except NoAnswer as error:
            raise HandlerFailed(cause=error.cause, words=f"The handler: {error}.") from error
        if answer.status not in STATUSES:
            raise HandlerFailed(cause=Cause.GARBLED, words="The handler: the answer's status is not a final status.")
        return given_back(answer)
