"""Duration of the lists on a large table: every list, each filter and the usual pairs, first page and 1,000th.

python -m tests.bench.bench_pages [ROWS]; it starts its own PostgreSQL and uses the console's settings. One database has
10,000 rows and one ROWS. The compared measurements of a page alternate, so that other load on the machine affects all
of them equally. The last line is one JSON object:
total_over_render  p95 of the whole request over p95 of rendering the same rows from memory, for all pages
growth             p95 at ROWS over p95 at 10,000 rows, for pages that show the same number of rows at both
admin_ratio        p95 of Django admin's change list of the same table over p95 of the console's, for the same pages
worst              the page with the highest p95 at ROWS
queries            the highest number of queries of one page
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from cryptography.fernet import Fernet

from dashboard.launch import postgres
from dashboard.launch.stack_room import with_room

BASE_ROWS = 10_000
REPEATS = int(os.environ.get("REPEATS", "15"))
PAGES_ON = 1000
FILTERS = (
    "", "state=delivered", "state=failed", "state=retrying", "state=requested_again", "state=overdue",
    "event=contract.started", "event=install.revoked", "event=nothing.like.it", "cause=503", "cause=5xx", "cause=dns",
    "attempts_min=2", "attempts_min=6", "attempts_max=1", "from=24h", "to=20d", "delivery=dlv_000000005000",
    "event_id=evt_000000002500", "resource=con_7", "signature=refused",
    "signature=verified", "signature=unsaid", "signature=mismatch", "signature=mismatch&state=failed",
    "state=failed&from=7d", "state=failed&event=install.revoked", "state=failed&cause=timeout", "cause=503&from=24h",
    "event=contract.ended&from=7d", "event=milestone.budget_low&cause=dns", "attempts_min=3&state=delivered",
    "resource=con_7&state=failed", "state=overdue&event=contract.started",
)  # fmt: skip
ADMIN = {
    "": "", "state=failed": "standing__exact=3", "event=install.revoked": "event_type__exact=install.revoked",
    "cause=dns": "last_cause__exact=dns",
    "state=failed&event=install.revoked": "standing__exact=3&event_type__exact=install.revoked",
}  # fmt: skip
ADMIN_REPEATS = max(REPEATS // 3, 2)


@dataclass(frozen=True, slots=True)
class Page:
    """A page as one user requests it."""

    who: str
    list: str
    query: str
    on: str

    @property
    def name(self) -> str:
        return f"{self.list} as {self.who}: {self.query or 'no filter'}, {self.on}"


@dataclass(frozen=True, slots=True)
class Visit:
    """Calls that request a page of one database and render its rows from memory, and its number of rows."""

    get: Callable[[], Any]
    render: Callable[[], Any]
    rows: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of each repeat; `base` is for the page at 10,000 rows, and empty if its number of rows differs there."""

    rows: int
    total: list[float] = field(default_factory=list)
    render: list[float] = field(default_factory=list)
    base: list[float] = field(default_factory=list)


@contextmanager
def databases() -> Iterator[None]:
    """Set Django up on a temporary PostgreSQL server."""
    folder = Path(tempfile.mkdtemp(prefix="redeliver-bench-"))
    folder.chmod(0o711)  # if root runs this, PostgreSQL runs as another user, who needs access
    server = postgres.start(folder=folder, durable=False)
    try:
        for name in ("base", "large"):
            server.create_database(name)
        set_up(base_url=server.url("base"), large_url=server.url("large"), static=folder / "static")
        yield
        from django.db import connections

        for alias in ("default", "large"):
            connections[alias].close()
            connections[alias].close_pool()
    finally:
        server.stop()
        shutil.rmtree(folder)


def set_up(*, base_url: str, large_url: str, static: Path) -> None:
    import django
    from django.core.management import call_command

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.bench.pages_settings", "DATABASE_URL": base_url,
        "LARGE_DATABASE_URL": large_url, "FIELD_KEYS": Fernet.generate_key().decode(), "HTTPS": "0",
        "LOG_LEVEL": "ERROR", "SECRET_KEY": "only-for-a-benchmark", "STATIC_ROOT": str(static),
    }  # fmt: skip
    django.setup()
    call_command("collectstatic", interactive=False, verbosity=0)


@contextmanager
def at(alias: str) -> Iterator[None]:
    """Make Django query this database by default."""
    from django.db import connections

    before, connections["default"] = connections["default"], connections[alias]
    try:
        yield
    finally:
        connections["default"].close()  # back to its pool, as after each request
        connections["default"] = before


def filled(*, alias: str, rows: int) -> Any:
    """Create the tables and `rows` rows."""
    from django.core.management import call_command

    from tests.bench.rows import fill

    with at(alias):
        call_command("migrate", verbosity=0)
        started = time.perf_counter()
        world = fill(rows=rows)
        print(f"{rows:,} rows made in {time.perf_counter() - started:.0f} s", flush=True)
        return world


def p95(samples: list[float]) -> float:
    return quantiles(samples, n=20)[-1] if len(samples) > 1 else samples[0]


def by_turns(calls: list[tuple[str, Callable[[], Any], list[float]]], *, repeats: int) -> None:
    """Time each call `repeats` times, in turn, each on its own database."""
    for turn in range(-1, repeats):  # the first call is a warm-up
        for alias, call, samples in calls:
            started = time.perf_counter()
            with at(alias):
                with_room(call)  # as in a web process
            if turn >= 0:
                samples.append(time.perf_counter() - started)


def visits(world: Any) -> Iterator[tuple[Page, Visit]]:
    """Yield every page of the current database."""
    from django.test import Client

    from dashboard.queries.delivery_lists import Scope
    from dashboard.views.delivery_lists import Place, of_endpoint, of_install

    lists: list[tuple[str, Any, Place]] = [
        ("all", world.support, Place(Scope.of(world.support), "delivery-list")),
        ("all", world.partner_admin, Place(Scope.of(world.partner_admin), "delivery-list")),
        ("install", world.support, of_install(world.support, world.big.install_id)),
        ("endpoint", world.support, of_endpoint(world.support, world.big.pk)),
        ("small endpoint", world.support, of_endpoint(world.support, world.small.pk)),
    ]
    for name, user, place in lists:
        client = Client()
        client.force_login(user)
        for query in FILTERS:
            for on, address, _number in addresses(place, query):
                yield Page(user.role, name, query, on), visit(client, user, place, address)


def addresses(place: Any, query: str) -> Iterator[tuple[str, str, int]]:
    """Yield the first page, and the 1,000th or the last full one: description, query string and page number."""
    from urllib.parse import parse_qsl

    from django.utils import timezone

    from dashboard.forms import delivery_filters, list_filters
    from dashboard.queries import delivery_lists
    from dashboard.views.delivery_lists import PAGE

    yield "first page", query, 1
    filters = delivery_filters.parse(params=dict(parse_qsl(query)), now=timezone.now())
    if filters.refused:
        return
    keys = delivery_lists.page(scope=place.scope, criteria=filters.criteria, now=timezone.now(), limit=PAGE * PAGES_ON)
    found = list(keys.values_list("first_received_at", "pk"))
    if len(found) > 2 * PAGE:
        received_at, pk = found[-PAGE - 1]
        older = f"{query}&older={list_filters.cursor_text(at=received_at, pk=pk)}".lstrip("&")
        yield "1,000th page or the last", older, len(found) // PAGE


def visit(client: Any, user: Any, place: Any, query: str) -> Visit:
    from django.http import QueryDict
    from django.template.loader import render_to_string
    from django.test import RequestFactory
    from django.utils import timezone

    from dashboard.views.delivery_lists import context_of

    address = f"{place.url()}?{query}"
    context = context_of(place=place, params=QueryDict(query), now=timezone.now())
    request = RequestFactory().get(address)
    request.user = user
    return Visit(
        get=lambda: answered(client, address),
        render=lambda: render_to_string("deliveries/list.html", context, request),
        rows=len(context["rows"]),
    )


def answered(client: Any, address: str) -> None:
    status = client.get(address).status_code
    assert status == 200, (address, status)


def most_queries(pages: dict[Page, Visit]) -> int:
    """Return the highest number of queries of a page, without those that begin and end transactions."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    most = 0
    for one in pages.values():
        with at("large"):
            with CaptureQueriesContext(connection) as captured:
                one.get()
            asked = [query["sql"] for query in captured.captured_queries]
        most = max(most, sum(not sql.startswith(("BEGIN", "COMMIT")) for sql in asked))
    return most


def time_pages(base: dict[Page, Visit], large: dict[Page, Visit]) -> dict[Page, Timing]:
    timings = {}
    for page, one in large.items():
        timing = timings[page] = Timing(one.rows)
        calls = [("large", one.get, timing.total), ("large", one.render, timing.render)]
        if page in base and base[page].rows == one.rows:
            calls.append(("default", base[page].get, timing.base))
        by_turns(calls, repeats=REPEATS)
    return timings


def admin_ratio(world: Any) -> float:
    """Return the ratio of Django admin's time to the console's for the same rows, first page and 1,000th or last."""
    from django.test import Client

    client = Client()
    ours: list[float] = []
    theirs: list[float] = []
    with at("large"):
        client.force_login(world.support)
        pages = [pair for query, same in ADMIN.items() for pair in admin_pages(world, query, same)]
    for mine, same in pages:
        by_turns(
            [
                ("large", lambda mine=mine: answered(client, mine), ours),
                ("large", lambda same=same: answered(client, same), theirs),
            ],
            repeats=ADMIN_REPEATS,
        )
    return p95(theirs) / p95(ours)


def admin_pages(world: Any, query: str, same: str) -> Iterator[tuple[str, str]]:
    from dashboard.queries.delivery_lists import Scope
    from dashboard.views.delivery_lists import Place

    place = Place(Scope.of(world.support), "delivery-list")
    for _on, address, number in addresses(place, query):
        yield f"/deliveries/?{address}", f"/admin/dashboard/delivery/?{same}&p={number}"


def pooled(timings: list[Timing], what: str) -> float:
    return p95([sample for timing in timings for sample in getattr(timing, what)])


def figures(*, rows: int, timings: dict[Page, Timing], admin: float, queries: int) -> dict[str, Any]:
    slowest = sorted(timings, key=lambda page: -p95(timings[page].total))
    for page in slowest[:25]:
        one = timings[page]
        total, render = p95(one.total) * 1000, p95(one.render) * 1000
        print(f"{total:7.1f} ms, of which rendering {render:5.1f} ms: {page.name} ({one.rows} rows)")
    worst, every = timings[slowest[0]], list(timings.values())
    same = [one for one in every if one.base]
    return {
        "rows": rows,
        "worst": {
            "page": slowest[0].name,
            "p95_ms": round(p95(worst.total) * 1000, 1),
            "total_over_render": round(p95(worst.total) / p95(worst.render), 2),
        },
        "p95_ms": round(pooled(every, "total") * 1000, 1),
        "total_over_render": round(pooled(every, "total") / pooled(every, "render"), 2),
        "growth": round(pooled(same, "total") / pooled(same, "base"), 2),
        "admin_ratio": round(admin, 1),
        "queries": queries,
        "pages": len(timings),
    }


def measured(*, base: Any, large: Any, rows: int) -> dict[str, Any]:
    with at("default"):
        base_pages = dict(visits(base))
    with at("large"):
        large_pages = dict(visits(large))
    queries = most_queries(large_pages)
    timings = time_pages(base_pages, large_pages)
    return figures(rows=rows, timings=timings, admin=admin_ratio(large), queries=queries)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with databases():
        base, large = filled(alias="default", rows=BASE_ROWS), filled(alias="large", rows=rows)
        print(json.dumps(measured(base=base, large=large, rows=rows)))


if __name__ == "__main__":
    main()
