"""Duration of the inbox and the table of installs, with many installs compared with few.

python -m tests.bench.bench_inbox; it starts its own PostgreSQL. One database has 100 installs and 300 endpoints, the
other 10,000 and 30,000; the number that needs attention is the same in both. Each page is requested from both in turn,
so that other load on the machine affects both equally. The last line is one JSON object:
growth   the highest ratio of a page's median at 10,000 installs to its median at 100
queries  the highest number of queries of a page at 10,000
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median
from typing import Any

import psycopg

from dashboard.launch.stack_room import with_room
from tests.bench.site import console, make_installs

FEW, MANY = 100, 10_000
EACH = 3
BROKEN = 12
REPEATS = int(os.environ.get("REPEATS", "40"))
WARM_UP = 5
PAGES = (
    "/", "/inbox/live/", "/installs/", "/installs/live/", "/installs/?page=2", "/installs/?sort=name",
    "/installs/?sort=endpoints", "/installs/?sort=checked", "/installs/?q=customer+0001", "/installs/?show=need",
)  # fmt: skip


def main() -> None:
    with console():
        from django.contrib.staticfiles.management.commands.collectstatic import Command
        from django.core.management import call_command
        from django.db import connections

        from dashboard.models import User

        call_command(Command(), interactive=False, verbosity=0)
        User.objects.create_user("ana", role="support")
        grow(first=1, count=FEW)
        connections.close_all()
        connections["default"].close_pool()  # a database with open connections cannot be a template
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as cursor:
            cursor.execute("CREATE DATABASE few TEMPLATE redeliver")
        grow(first=FEW + 1, count=MANY - FEW)
        with databases(FEW="few", MANY="redeliver") as use:
            report(measure(use))


@contextmanager
def databases(**names: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that switches Django to one of these databases; each keeps its own connection."""
    from django.db import connections

    settings, before, each = connections.settings["default"], connections["default"], {}
    options = {name: value for name, value in settings["OPTIONS"].items() if name != "pool"}  # or they would share it
    for size, name in names.items():
        connections.settings["default"] = settings | {"NAME": name, "OPTIONS": options}
        each[size] = connections.create_connection("default")
    yield lambda size: connections.__setitem__("default", each[size])
    for connection in each.values():
        connection.close()
    connections["default"] = before


def grow(*, first: int, count: int) -> None:
    """Add installs with healthy endpoints and deliveries; on the first call also those that need attention."""
    from django.db import connection
    from django.utils import timezone

    from dashboard.actions.installs.snapshots import tally
    from dashboard.models import Endpoint, Install

    now = timezone.now()
    make_installs(first=first, count=count, at=now)
    added = list(Install.objects.order_by("-pk").values_list("pk", flat=True)[:count])
    Endpoint.objects.bulk_create(
        [
            Endpoint(
                install_id=pk, opentrain_id=f"whe_{pk}_{number}", url=f"https://c{pk}.example.com/hooks/key-{pk}-{number}/",
                status="ACTIVE", snapshot_at=now, receiver_key=f"key-{pk}-{number}", event_types=["contract.started"],
            )
            for pk in added
            for number in range(EACH)
        ],
        batch_size=2000,
    )  # fmt: skip
    if first == 1:
        break_some(added[:BROKEN], now=now)
    for pk in added:
        tally(install_id=pk)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def break_some(install_ids: list[int], *, now: object) -> None:
    from dashboard.models import Endpoint, Install
    from tests.factories import make_failed_delivery

    for number, pk in enumerate(install_ids):
        endpoint = Endpoint.objects.filter(install=pk).first()
        Endpoint.objects.filter(pk=endpoint.pk).update(consecutive_failures=number)
        for _ in range(40):
            make_failed_delivery(endpoint=endpoint, first_received_at=now, last_attempt_at=now - timedelta(minutes=1))
    Install.objects.filter(pk__in=install_ids[:2]).update(last_error="refused", last_error_code="token_refused")


@dataclass
class Timed:
    """A page's times with few and with many installs, and its number of queries with many."""

    few_ms: list[float] = field(default_factory=list)
    many_ms: list[float] = field(default_factory=list)
    queries: int = 0

    @property
    def growth(self) -> float:
        return median(self.many_ms) / median(self.few_ms)


def measure(use: Callable[[str], None]) -> dict[str, Timed]:
    """Request each page from both databases in turn, as a support user."""
    from django.db import connection, reset_queries
    from django.test import Client

    from dashboard.models import Install, User

    clients, found = {"FEW": Client(), "MANY": Client()}, {page: Timed() for page in PAGES}
    for size, client in clients.items():
        use(size)
        assert Install.objects.count() == {"FEW": FEW, "MANY": MANY}[size]
        client.force_login(User.objects.get(username="ana"))
    for page, timed in found.items():
        for turn in range(WARM_UP + REPEATS):
            for size, times in (("FEW", timed.few_ms), ("MANY", timed.many_ms)):
                use(size)
                taken = get_ms(clients[size], page)
                if turn >= WARM_UP:
                    times.append(taken)
        connection.force_debug_cursor = True
        reset_queries()
        get_ms(clients["MANY"], page)
        timed.queries = len(connection.queries_log)
        connection.force_debug_cursor = False
    return found


def get_ms(client: Any, page: str) -> float:
    started = time.perf_counter()
    assert with_room(client.get, page).status_code == 200  # as in a web process
    return (time.perf_counter() - started) * 1000


def report(found: dict[str, Timed]) -> None:
    for page, timed in found.items():
        few, many = median(timed.few_ms), median(timed.many_ms)
        print(
            f"{page}: {few:.1f} ms with {FEW}, {many:.1f} ms with {MANY}: {timed.growth:.2f}; {timed.queries} queries"
        )
    worst = max(found, key=lambda page: found[page].growth)
    print(
        json.dumps(
            {
                "installs": MANY,
                "endpoints": MANY * EACH,
                "worst": worst,
                "median_ms": round(median(found[worst].many_ms), 1),
                "growth": round(found[worst].growth, 2),
                "queries": max(timed.queries for timed in found.values()),
            }
        )
    )


if __name__ == "__main__":
    main()
