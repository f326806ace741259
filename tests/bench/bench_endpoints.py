"""Duration of everything about an install with many endpoints, compared with few: storing them, its page, and its poll.

python -m tests.bench.bench_endpoints [ENDPOINTS]; it starts its own PostgreSQL and OpenTrain. One install has FEW
endpoints, the other ENDPOINTS. Each page is requested of both in turn, so that other load on the machine affects both
equally. A fleet of installs is polled with and without the large install, in turn. The last line is one JSON object:
first_s      from the request for the first list until its endpoints are stored, with DELAY_S of OpenTrain's own
again_s      the same for a list that says nothing new
page_growth  the ratio of the 95th percentiles of the page's duration, many to few
poll_growth  the same for the part of the page that is polled
page_bytes   the size of the page, and poll_bytes that of the part
queries      the highest number of queries of both
fleet_growth the ratio of the medians of the time until the fleet is recorded, with the large install to without it
"""

import json
import os
import sys
import time
from datetime import timedelta
from statistics import median
from typing import Any

from tests.bench.fleet_stub import HANGING_EACH, LONG_FROM
from tests.bench.site import console_beside_stub, make_installs, rss_mb

FEW = 25
FLEET = [number for number in range(1, 201) if number % HANGING_EACH]
REPEATS = int(os.environ.get("REPEATS", "60"))
POLLS = 5
WARM_UP = 5


def main(many: int) -> None:
    with console_beside_stub():
        run(many)


def run(many: int) -> None:
    from django.contrib.staticfiles.management.commands.collectstatic import Command
    from django.core.management import call_command
    from django.db import connection
    from django.utils import timezone

    from dashboard.models import Install, User

    call_command(Command(), interactive=False, verbosity=0)
    User.objects.create_user("ana", role="support")
    found: dict[str, Any] = {"endpoints": many}
    install_of = {}
    for count in (FEW, many):
        make_installs(first=LONG_FROM + count, count=1, at=timezone.now())
        install_of[count] = Install.objects.get(opentrain_id=f"ins_{LONG_FROM + count}").pk
        found |= {f"first_s_of_{count}": store(install_of[count], expected=count)}
        found |= {f"again_s_of_{count}": median(store(install_of[count], expected=count) for _ in range(POLLS))}
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    found |= measure_pages(few=install_of[FEW], many=install_of[many])
    Install.objects.filter(pk=install_of[FEW]).delete()
    found |= measure_fleet(large=install_of[many])
    found["rss_mb"] = rss_mb()
    print(json.dumps(found))


def store(install_id: int, *, expected: int) -> float:
    """Refresh the install as the job of a page does; return the seconds."""
    from django.utils import timezone

    from dashboard.actions.installs import sync
    from dashboard.models import Install

    install = Install.objects.get(pk=install_id)
    started = time.perf_counter()
    assert sync.refresh(install=install, now=timezone.now()) is None
    took_s = time.perf_counter() - started
    assert Install.objects.get(pk=install_id).endpoint_count == expected
    return round(took_s, 2)


def measure_pages(*, few: int, many: int) -> dict[str, Any]:
    """Request the page and its polled part of both installs in turn, as a support user."""
    from django.db import connection, reset_queries
    from django.test import Client

    from dashboard.models import User

    client, found = Client(), {}
    client.force_login(User.objects.get(username="ana"))
    queries = 0
    for name, page in (("page", "/installs/{}/"), ("poll", "/installs/{}/live/")):
        times: dict[int, list[float]] = {few: [], many: []}
        for turn in range(WARM_UP + REPEATS):
            for pk, taken in times.items():
                started = time.perf_counter()
                response = client.get(page.format(pk))
                if turn >= WARM_UP:
                    taken.append((time.perf_counter() - started) * 1000)
                assert response.status_code == 200
        p95 = {pk: sorted(taken)[int(len(taken) * 0.95)] for pk, taken in times.items()}
        connection.force_debug_cursor = True
        reset_queries()
        found[f"{name}_bytes"] = len(client.get(page.format(many)).content)
        queries = max(queries, len(connection.queries_log))
        connection.force_debug_cursor = False
        found[f"{name}_growth"] = round(p95[many] / p95[few], 2)
        print(
            f"{name}: median {median(times[few]):.1f} and {median(times[many]):.1f} ms, "
            f"p95 {p95[few]:.1f} and {p95[many]:.1f} ms, {len(client.get(page.format(few)).content)} and "
            f"{found[f'{name}_bytes']} bytes",
            flush=True,
        )
    return found | {"queries": queries}


def measure_fleet(*, large: int) -> dict[str, Any]:
    """Poll a fleet with and without the large install in turn; return how much longer the others wait with it."""
    from django.utils import timezone

    from dashboard.models import Install

    for number in FLEET:
        make_installs(first=number, count=1, at=timezone.now())
    times: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(1 + POLLS):
        for with_large, taken in times.items():
            Install.objects.update(poll_after=None)
            if not with_large:
                Install.objects.filter(pk=large).update(poll_after=timezone.now() + timedelta(days=1))
            seconds = poll(besides=large)
            if turn:  # the first one stores what the others find unchanged
                taken.append(seconds)
    without, with_it = median(times[False]), median(times[True])
    print(f"fleet of {len(FLEET)}: {without:.2f} s without the large install, {with_it:.2f} s with it", flush=True)
    return {"fleet_growth": round(with_it / without, 2)}


def poll(*, besides: int) -> float:
    """Poll what is due; return the seconds until the last install besides one was recorded."""
    from django.utils import timezone

    from dashboard.actions.installs import poller
    from dashboard.actions.installs import sync as installs

    last, real = 0.0, installs.record

    def record(answer: Any) -> object:
        nonlocal last
        outcome = real(answer)
        assert outcome is None
        if answer.install.pk != besides:
            last = time.monotonic()
        return outcome

    installs.record = record
    started = time.monotonic()
    try:
        polled = poller.poll(clock=timezone.now, budget=timedelta(minutes=5))
    finally:
        installs.record = real
    assert polled.failed == 0
    assert polled.installs >= len(FLEET)
    return last - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
