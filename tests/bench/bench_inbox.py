"""How long the inbox and the table of installs take with many installs against few.

python -m tests.bench.bench_inbox; it brings its own PostgreSQL. 100 installs and 300 endpoints first, then 10,000 and
30,000; of both, the same number is in need. The last line is one JSON object:
growth   the highest median at 10,000 installs over the same page's median at 100
queries  the most queries that a page made at 10,000
"""

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from statistics import median

from tests.bench.site import console, make_installs

FEW, MANY = 100, 10_000
EACH = 3
IN_NEED = 12
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

        call_command(Command(), interactive=False, verbosity=0)
        grow(first=1, count=FEW)
        few = measure()
        grow(first=FEW + 1, count=MANY - FEW)
        many = measure()
    report(few, many)


def grow(*, first: int, count: int) -> None:
    """Add installs with healthy endpoints that had deliveries; the first time also those that are in need."""
    from django.db import connection
    from django.utils import timezone

    from dashboard.actions.installs import tally
    from dashboard.models import Endpoint, Install

    now = timezone.now()
    make_installs(first=first, count=count, at=now)
    added = list(Install.objects.order_by("-pk").values_list("pk", flat=True)[:count])
    Endpoint.objects.bulk_create(
        [
            Endpoint(
                install_id=pk, opentrain_id=f"whe_{pk}_{number}", url=f"https://c{pk}.example.com/{number}",
                status="ACTIVE", snapshot_at=now, receiver_key=f"key-{pk}-{number}", event_types=["contract.started"],
            )
            for pk in added
            for number in range(EACH)
        ],
        batch_size=2000,
    )  # fmt: skip
    if first == 1:
        break_some(added[:IN_NEED], now=now)
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


def measure() -> dict[str, tuple[float, int]]:
    """Return the median in ms and the queries of each page, as somebody of support sees it."""
    from django.db import connection, reset_queries
    from django.test import Client

    from dashboard.models import User

    user = User.objects.filter(username="ana").first() or User.objects.create_user("ana", role="support")
    client = Client()
    client.force_login(user)
    found = {}
    for page in PAGES:
        connection.force_debug_cursor = True
        reset_queries()
        assert client.get(page).status_code == 200
        queries = len(connection.queries_log)
        connection.force_debug_cursor = False
        found[page] = usual_ms(lambda page=page: client.get(page)), queries
    return found


def usual_ms(get: Callable[[], object]) -> float:
    times = []
    for _ in range(WARM_UP):
        get()
    for _ in range(REPEATS):
        started = time.perf_counter()
        get()
        times.append((time.perf_counter() - started) * 1000)
    return median(times)


def report(few: dict[str, tuple[float, int]], many: dict[str, tuple[float, int]]) -> None:
    for page in PAGES:
        before, after = few[page], many[page]
        print(f"{page}: {before[0]:.1f} ms with {FEW}, {after[0]:.1f} ms with {MANY}; {after[1]} queries")
    worst = max(PAGES, key=lambda page: many[page][0] / few[page][0])
    print(
        json.dumps(
            {
                "installs": MANY,
                "endpoints": MANY * EACH,
                "worst": worst,
                "median_ms": round(many[worst][0], 1),
                "growth": round(many[worst][0] / few[worst][0], 2),
                "queries": max(queries for _ms, queries in many.values()),
            }
        )
    )


if __name__ == "__main__":
    main()
