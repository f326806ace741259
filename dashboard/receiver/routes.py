"""Routes in memory: a delivery needs no database to find its endpoint, handler and secrets.

A thread reads them (routes_reader.py) and hands changes over: all tables here belong to the event loop.

A key that is not in memory is asked of the database before anyone is told that it does not exist. The thread limits how
often it asks, so strangers cannot load the database with keys that they made up. While the database cannot be asked,
whether the key exists is not known: RoutesAway.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from django.utils import timezone

from dashboard.models.endpoints import receiver_url
from dashboard.queries.routes import RouteRow
from dashboard.receiver.routes_reader import ANSWER_WITHIN_S, Asked, RoutesReader
from dashboard.rules.receipts import REGISTERED_WITHIN
from dashboard.signatures import OTHERS_TRIED
from dashboard.vault import Sealed, Secret

ASKING_MOST = 1000
"""Requests that may wait for the database to know their key."""
FIRST_READ_S = 5.0
"""Seconds that the start waits for the database."""
_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")

_K = TypeVar("_K")


class RoutesAway(Exception):
    """The key is not in memory, and the database cannot be asked now: whether it exists is not known."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where deliveries to a receiver key go. `secret.reveal()` decrypts, and raises vault.Unreadable.

    `proof` is a value of models.Endpoint.Proof.
    """

    key: str = field(repr=False)
    endpoint_id: int
    install_id: int
    handler_url: str = field(repr=False)
    secret: Sealed | None
    registering_since: datetime | None
    proof: str


@dataclass(slots=True)
class _Tables:
    """All routes, found by what callers know. Only the event loop's thread uses them."""

    by_endpoint: dict[int, RouteRow] = field(default_factory=dict)
    by_key: dict[str, RouteRow] = field(default_factory=dict)
    signing: dict[int, dict[int, RouteRow]] = field(default_factory=dict)
    """By install: endpoints with a secret, by ID."""
    taken: dict[tuple[int, str], dict[int, RouteRow]] = field(default_factory=dict)
    """By install and URL: endpoints that were created outside at an address of the receiver, by ID."""

    def put(self, row: RouteRow) -> None:
        self.remove(row.endpoint_id)
        self.by_endpoint[row.endpoint_id] = row
        if row.key is not None:
            self.by_key[row.key] = row
        if row.secret is not None:
            self.signing.setdefault(row.install_id, {})[row.endpoint_id] = row
        if row.taken_url:
            self.taken.setdefault(_place(row), {})[row.endpoint_id] = row

    def remove(self, endpoint_id: int) -> None:
        row = self.by_endpoint.pop(endpoint_id, None)
        if row is None:
            return
        if row.key is not None and self.by_key.get(row.key) is row:
            del self.by_key[row.key]
        if row.secret is not None:
            _drop(self.signing, row.install_id, endpoint_id)
        if row.taken_url:
            _drop(self.taken, _place(row), endpoint_id)


def _place(row: RouteRow) -> tuple[int, str]:
    return row.install_id, row.taken_url.removesuffix("/")


def _drop(groups: dict[_K, dict[int, RouteRow]], name: _K, endpoint_id: int) -> None:
    del groups[name][endpoint_id]
    if not groups[name]:
        del groups[name]


class RouteTable:
    """All routes, kept current. Its methods are for the event loop that starts it."""

    def __init__(self, *, file: Path | None = None) -> None:
        """`file` is where the routes are kept for a start without the database, if they are (routes_file.path_in)."""
        self._tables = _Tables()
        self._reader = RoutesReader(file=file)
        self._waiting = 0

    @property
    def count(self) -> int:
        """Number of receiver keys in memory."""
        return len(self._tables.by_key)

    @property
    def read_at(self) -> datetime | None:
        """When the database last confirmed what is in memory; None if it never has."""
        return self._reader.read_at

    async def start(self) -> None:
        """Read the routes. It returns without the database if that does not answer soon.

        That is, within FIRST_READ_S, or within ANSWER_WITHIN_S if there are routes from the file.
        """
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()

        def on_loop(call: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the tables with it
                loop.call_soon_threadsafe(call)

        self._reader.start(
            changed=lambda rows, gone: on_loop(lambda: self._change(rows, gone)),
            answered=lambda asked, known: on_loop(lambda: self._answer(asked, known)),
            settled=lambda: on_loop(settled.set),
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(settled.wait(), ANSWER_WITHIN_S)
        if not self._tables.by_key:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(settled.wait(), FIRST_READ_S - ANSWER_WITHIN_S)

    async def stop(self) -> None:
        """End the thread. If it waits for a database that does not answer, it ends with the process."""
        await asyncio.to_thread(self._reader.end)

    async def get(self, key: str) -> Route | None:
        """Return the route of a receiver key; None if there is none. Raises: RoutesAway."""
        row = self._tables.by_key.get(key)
        if row is None:
            return await self._asked_for(key) if _KEY.fullmatch(key) else None
        route = _route(row)
        return await self.reread(route) if row.secret is None and _is_registering(row) else route

    async def reread(self, route: Route) -> Route:
        """Return the route as the database has it now, for who doubts what is in memory.

        What is in memory, if the database cannot be asked.
        """
        try:
            return await self._asked_for(route.key) or route
        except RoutesAway:
            return route

    async def other_secrets(self, route: Route) -> Sequence[Secret]:
        """Return the secrets of the install's other endpoints, newest first, at most OTHERS_TRIED."""
        rows = self._tables.signing.get(route.install_id, {})
        ids = sorted(rows.keys() - {route.endpoint_id}, reverse=True)[:OTHERS_TRIED]
        return [secret for pk in ids if (secret := rows[pk].secret) is not None]

    async def remade_at(self, route: Route) -> int | None:
        """Return the ID of the endpoint that was created outside at the URL of a deleted one; None if there is none."""
        row = self._tables.by_key.get(route.key)
        if row is None or not row.is_deleted:
            return None
        place = route.install_id, receiver_url(receiver_key=route.key).removesuffix("/")
        return max(self._tables.taken.get(place, ()), default=None)

    async def _asked_for(self, key: str) -> Route | None:
        """Ask the database for a key. Raises: RoutesAway."""
        if not self._reader.is_answering or self._waiting >= ASKING_MOST:
            raise RoutesAway
        asked = Asked(key, asyncio.get_running_loop().create_future())
        self._reader.ask(asked)
        self._waiting += 1
        try:
            is_known = await asyncio.wait_for(asked.answer, ANSWER_WITHIN_S)
        except TimeoutError:
            is_known = False
        finally:
            self._waiting -= 1
        if not is_known:
            raise RoutesAway
        row = self._tables.by_key.get(key)
        return None if row is None else _route(row)

    def _change(self, rows: Collection[RouteRow], gone: Collection[int]) -> None:
        for row in rows:
            self._tables.put(row)
        for endpoint_id in gone:
            self._tables.remove(endpoint_id)

    def _answer(self, asked: Collection[Asked], is_known: bool) -> None:
        """Tell who waits for keys that their rows, if there are any, are in memory now, or that it is not known."""
        for one in asked:
            if not one.answer.done():
                one.answer.set_result(is_known)


def _route(row: RouteRow) -> Route:
    return Route(
        key=row.key or "",
        endpoint_id=row.endpoint_id,
        install_id=row.install_id,
        handler_url=row.handler_url,
        secret=row.secret,
        registering_since=row.registering_since,
        proof=row.proof,
    )


def _is_registering(row: RouteRow) -> bool:
    """Return whether the secret is about to be stored: the notification may be on its way."""
    return row.registering_since is not None and timezone.now() - row.registering_since < REGISTERED_WITHIN
