"""The sweep of all installs' contracts over a large log, the verdicts, and the pages that show them.

python -m tests.bench.bench_reconcile; it starts its own PostgreSQL and OpenTrain, whose responses take 100 ms. INSTALLS
(1,000) have CONTRACTS (200) and ENDPOINTS (3) each; every endpoint took the start of each contract and the end of each
that has ended, except MISSING of them in the first hundredth of the installs; the rest of ROWS (1,000,000) deliveries
are other events of these endpoints. The first hundredth is also a database of its own, with ROWS / 100 deliveries.
No budgets are read.

The installs are swept three times, by a process of its own: first without any verdict known, then as one does for the
first time after a restart, and then the usual way, when nothing has changed. The last line is one JSON object:
sweep_seconds   the usual sweep, with its verdicts
ideal_seconds   the number of calls times the delay, divided by the sweep's concurrency
sweep_ratio     the first divided by the second
verdicts_per_s  verdicts on a contract's event at an endpoint, in the first sweep, whose evidence is new
page_ms         medians of the pages with all deliveries
growth          the highest ratio of a page's median to that with a hundredth of the deliveries
rss_mb          the peak memory of the sweeping process
"""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import psycopg

from tests.bench.contracts_stub import ENDED, STARTED, contract_id, is_active
from tests.bench.fleet_stub import DELAY_S
from tests.bench.site import console_beside_stub, make_installs, rss_mb

INSTALLS = int(os.environ.get("INSTALLS", "1000"))
CONTRACTS = int(os.environ.get("CONTRACTS", "200"))
ENDPOINTS = int(os.environ.get("ENDPOINTS", "3"))
ROWS = int(os.environ.get("ROWS", "1000000"))
REPEATS = int(os.environ.get("REPEATS", "40"))
SMALLER = 100
MISSING = 30
WARM_UP = 5
SCOPES = ["contracts:read", "project-links:read", "webhooks:manage"]
STARTED_AT, ENDED_AT = datetime.fromisoformat(STARTED), datetime.fromisoformat(ENDED)
BEFORE = timedelta(days=40)
OTHER = "project_link.created"


def main() -> None:
    with console_beside_stub("tests.bench.contracts_stub", str(CONTRACTS)):
        from django.contrib.staticfiles.management.commands.collectstatic import Command
        from django.core.management import call_command
        from django.db import connections

        from dashboard.models import User
        from tests.bench.bench_inbox import databases

        call_command(Command(), interactive=False, verbosity=0)
        User.objects.create_user("ana", role="support")
        few = max(INSTALLS // SMALLER, 1)
        fill(first=1, count=few, rows=ROWS * few // INSTALLS)
        swept("a hundredth", days_ago=2)
        swept("a hundredth, usual", days_ago=0)
        connections.close_all()
        connections["default"].close_pool()  # a database with open connections cannot be a template
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as cursor:
            cursor.execute("CREATE DATABASE few TEMPLATE redeliver")
        fill(first=few + 1, count=INSTALLS - few, rows=ROWS - ROWS * few // INSTALLS)
        first = swept("first", days_ago=2)
        swept("second", days_ago=1)
        usual = swept("usual", days_ago=0)
        with databases(FEW="few", MANY="redeliver") as use:
            pages = measure(use)
        print(json.dumps(figures(first=first, usual=usual, pages=pages)))


def fill(*, first: int, count: int, rows: int) -> None:
    """Add installs with their endpoints and deliveries. The installs' numbers are their primary keys."""
    from django.db import connection
    from django.utils import timezone

    from dashboard.models import Endpoint, Install
    from tests.bench.rows import DELIVERY_COLUMNS, _copy

    now = timezone.now()
    make_installs(first=first, count=count, at=now)
    added = Install.objects.filter(opentrain_id__in=[f"ins_{number}" for number in range(first, first + count)])
    added.update(token_scopes=SCOPES, created_at=now - BEFORE)
    ids = {int(name.removeprefix("ins_")): pk for pk, name in added.values_list("pk", "opentrain_id")}
    Endpoint.objects.bulk_create(
        [
            Endpoint(
                install_id=pk, opentrain_id=f"whe_{pk}_{number}", status="ACTIVE", snapshot_at=now,
                url=f"http://localhost:8000/hooks/key-{pk}-{number}/", receiver_key=f"key-{pk}-{number}",
                event_types=["contract.started", "contract.ended"], created_at=now - BEFORE,
            )
            for pk in ids.values()
            for number in range(ENDPOINTS)
        ],
        batch_size=2000,
    )  # fmt: skip
    endpoints = {pk: list(found) for pk, found in itertools.groupby(
        Endpoint.objects.filter(install__in=ids.values()).order_by("install", "pk").values_list("install", "pk"),
        key=lambda pair: pair[0],
    )}  # fmt: skip
    events = ((ids[n], *rest) for n in range(first, first + count) for rest in taken(n, missing=first == 1))
    _copy("dashboard_delivery", DELIVERY_COLUMNS, deliveries(events, endpoints, rows=rows, first=first))
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('dashboard_delivery_id_seq', (SELECT max(id) FROM dashboard_delivery))")
        cursor.execute("VACUUM ANALYZE")
    print(f"{count:,} installs with {rows:,} deliveries added", flush=True)


def taken(install: int, *, missing: bool) -> Iterator[tuple[int, str, str]]:
    """Yield the position of the endpoint, the event's type and the contract's ID of each event that was taken."""
    for number in range(CONTRACTS):
        name = contract_id(install=install, number=number)
        ended = not is_active(number=number, contracts=CONTRACTS)
        for endpoint in range(ENDPOINTS):
            yield endpoint, "contract.started", name
            is_missing = missing and install <= MISSING and endpoint == 0 and number >= CONTRACTS - MISSING // 10
            if ended and not is_missing:
                yield endpoint, "contract.ended", name


def deliveries(
    events: Iterator[tuple[int, int, str, str]], endpoints: dict[int, list[Any]], *, rows: int, first: int
) -> Iterator[tuple[object, ...]]:
    """Yield rows of the log: one for each event, and other events of the same endpoints up to `rows`."""
    from dashboard.rules.deliveries import Standing
    from tests.factories import BODY

    others = itertools.cycle(endpoints)
    rest = ((next(others), number % ENDPOINTS, OTHER, f"plk_{number}") for number in itertools.count())
    made = itertools.islice(itertools.chain(events, rest), rows)
    for number, (install, position, kind, resource) in enumerate(made, start=first * 10_000_000):
        at = ENDED_AT if kind == "contract.ended" else STARTED_AT
        at += timedelta(seconds=number % 3600)
        yield (
            number, endpoints[install][position][1], f"dlv_{number:015}", f"evt_{number:015}", kind, resource, BODY,
            at, at, 1, 1, True, 200, "", 42, "verified", None, int(Standing.DELIVERED), None,
        )  # fmt: skip


def swept(name: str, *, days_ago: int) -> dict[str, float]:
    """Sweep all installs in a process of its own, by a clock that is some days behind; return what it measured."""
    command = [sys.executable, "-m", "tests.bench.bench_reconcile", "sweep", str(days_ago)]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(out.splitlines()[-1])
    print(f"{name}: {json.dumps(found)}", flush=True)
    return found


def sweep_once(*, days_ago: int) -> dict[str, float]:
    import django

    django.setup()
    from django.conf import settings
    from django.db.models import F
    from django.utils import timezone

    from dashboard.actions.reconciliation import judge, sweep
    from dashboard.models import Contract, Install, Reconciliation
    from dashboard.services import opentrain

    calls, judging_s = itertools.count(), 0.0
    for operation in ("list_project_links", "list_contracts"):
        real = getattr(opentrain, operation)
        setattr(opentrain, operation, lambda real=real, **given: (next(calls), real(**given))[1])

    def judged(*, install_id: int, now: datetime) -> None:
        nonlocal judging_s
        began = time.perf_counter()
        judge.judge(install_id=install_id, now=now)
        judging_s += time.perf_counter() - began

    Reconciliation.objects.update(due_at=None)
    started, cpu = time.monotonic(), time.process_time()
    clock = lambda: timezone.now() - timedelta(days=days_ago)  # noqa: E731
    done = sweep.sweep(clock=clock, budget=timedelta(minutes=60), judge=judged)
    seconds, asked, installs = time.monotonic() - started, next(calls), Install.objects.count()
    assert (done.installs, done.failed) == (installs, 0), done
    assert Contract.objects.filter(gone_at=None).count() == installs * CONTRACTS
    assert not Reconciliation.objects.filter(contracts_read_at=None).exists()
    assert Contract.objects.filter(last_seen_at=F("first_seen_at")).exists() == (days_ago == 2)
    return {
        "seconds": round(seconds, 2),
        "ideal_seconds": round(asked * DELAY_S / max(settings.POLL_CONCURRENCY // 2, 1), 2),
        "calls": asked,
        "judging_seconds": round(judging_s, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "rss_mb": rss_mb(),
    }


@dataclass
class Timed:
    """A page's times with few and with many deliveries."""

    few_ms: list[float] = field(default_factory=list)
    many_ms: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        return median(self.many_ms) / median(self.few_ms)


def measure(use: Any) -> dict[str, Timed]:
    """Request each page from both databases in turn, as a support user."""
    from django.test import Client

    from dashboard.models import Contract, Delivery, Finding, User
    from tests.bench.bench_inbox import get_ms

    clients, found = {"FEW": Client(), "MANY": Client()}, {}
    for size, client in clients.items():
        use(size)
        print(f"{size}: {Delivery.objects.count():,} deliveries, {Finding.objects.open().count()} open findings")
        client.force_login(User.objects.get(username="ana"))
    contract = Contract.objects.order_by("pk").filter(findings__isnull=False).first()
    pages = {
        "inbox": "/", "install-contracts": f"/installs/{contract.install_id}/contracts/",
        "contract-detail": f"/contracts/{contract.pk}/",
    }  # fmt: skip
    for name, page in pages.items():
        timed = found[name] = Timed()
        for turn in range(WARM_UP + REPEATS):
            for size, times in (("FEW", timed.few_ms), ("MANY", timed.many_ms)):
                use(size)
                took_ms = get_ms(clients[size], page)
                if turn >= WARM_UP:
                    times.append(took_ms)
        print(f"{name}: {median(timed.few_ms):.1f} ms with few, {median(timed.many_ms):.1f} ms with many")
    return found


def figures(*, first: dict[str, float], usual: dict[str, float], pages: dict[str, Timed]) -> dict[str, Any]:
    return {
        "sweep_seconds": usual["seconds"],
        "ideal_seconds": usual["ideal_seconds"],
        "sweep_ratio": round(usual["seconds"] / usual["ideal_seconds"], 2),
        "verdicts_per_s": round(INSTALLS * CONTRACTS * ENDPOINTS * 2 / first["judging_seconds"]),
        "page_ms": {name: round(median(timed.many_ms), 1) for name, timed in pages.items()},
        "growth": round(max(timed.growth for timed in pages.values()), 2),
        "rss_mb": usual["rss_mb"],
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["sweep"]:
        print(json.dumps(sweep_once(days_ago=int(sys.argv[2]))))
    else:
        main()
