"""How long the lists take on a large table: every list, each filter and the usual pairs, first page and 1,000th.

python -m tests.bench.bench_pages [ROWS]; it brings its own PostgreSQL. The last line is one JSON object:
total_over_render  p95 of the whole request over p95 of rendering the same rows from memory
growth             p95 at ROWS over p95 at 10,000 rows, of the pages that show the same number of rows at both
admin_ratio        p95 of Django admin's change list of the same table over p95 of ours, of the same pages
worst              the page with the highest p95 at ROWS
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import dj_database_url
import django

from dashboard.launch import postgres

BASE_ROWS = 10_000
REPEATS = int(os.environ.get("REPEATS", "15"))
PAGES_ON = 1000
FILTERS = (
    "", "state=delivered", "state=failed", "state=retrying", "state=requested_again", "state=overdue",
    "event=contract.started", "event=install.revoked", "event=nothing.like.it", "cause=503", "cause=5xx", "cause=dns",
    "attempts_min=2", "attempts_min=6", "attempts_max=1", "from=24h", "to=20d", "delivery=dlv_000000005000",
    "event_id=evt_000000002500", "resource=con_7", "signature=refused",
    "state=failed&from=7d", "state=failed&event=install.revoked", "state=failed&cause=timeout", "cause=503&from=24h",
    "event=contract.ended&from=7d", "event=milestone.budget_low&cause=dns", "attempts_min=3&state=delivered",
    "resource=con_7&state=failed", "state=overdue&event=contract.started",
)  # fmt: skip
ADMIN = {
    "": "", "state=failed": "standing__exact=3", "event=install.revoked": "event_type__exact=install.revoked",
    "state=failed&event=install.revoked": "standing__exact=3&event_type__exact=install.revoked",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """One page that somebody looks at; `rows` is how many it shows."""

    who: str
    list: str
    query: str
    on: str

    @property
    def name(self) -> str:
        return f"{self.list} as {self.who}: {self.query or 'no filter'}, {self.on}"


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of each repeat, and how many rows the page showed."""

    total: list[float]
    render: list[float]
    rows: int


@contextmanager
def database() -> Iterator[postgres.Server]:
    """A server of our own for as long as this runs."""
    folder = Path(tempfile.mkdtemp(prefix="redeliver-bench-"))
    folder.chmod(0o711)
    server = postgres.start(folder=folder, durable=False)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def p95(samples: list[float]) -> float:
    return quantiles(samples, n=20)[-1] if len(samples) > 1 else samples[0]


def timed(call: Callable[[], object]) -> list[float]:
    call()  # what the first call alone pays for is not a page's cost
    samples = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        call()
        samples.append(time.perf_counter() - started)
    return samples


def measure(*, server: postgres.Server, rows: int) -> tuple[dict[Page, Timing], float]:
    """Fill a database of so many rows, and time every page of it and Django admin's."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    name = f"bench_{rows}"
    server.create_database(name)
    connections["default"].close()
    parsed = dj_database_url.parse(server.url(name))
    for target in (settings.DATABASES["default"], connections["default"].settings_dict):
        target.update(parsed)
    call_command("migrate", verbosity=0)
    from tests.bench.rows import fill

    started = time.perf_counter()
    world = fill(rows=rows)
    print(f"{rows:,} rows made in {time.perf_counter() - started:.0f} s", flush=True)
    timings = dict(time_pages(world))
    return timings, admin_ratio(world)


def time_pages(world) -> Iterator[tuple[Page, Timing]]:
    from django.test import Client

    from dashboard.models.delivery_lists import Scope
    from dashboard.views.delivery_lists import Place, of_endpoint, of_install

    lists: list[tuple[str, object, Place]] = [
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
            for on, address in addresses(place, query):
                page = Page(user.role, name, query, on)
                yield page, time_page(client, place, address)


def addresses(place, query: str) -> Iterator[tuple[str, str]]:
    """The first page, and the 1,000th or the last full one."""
    from urllib.parse import parse_qsl

    from django.utils import timezone

    from dashboard import filters
    from dashboard.models import delivery_lists
    from dashboard.views.delivery_lists import PAGE

    yield "first page", query
    wanted = filters.parse(params=dict(parse_qsl(query)), now=timezone.now())
    if wanted.refused:
        return
    keys = delivery_lists.page(scope=place.scope, wanted=wanted.wanted, now=timezone.now(), limit=PAGE * PAGES_ON)
    found = list(keys.values_list("first_received_at", "pk"))
    if len(found) > 2 * PAGE:
        at, pk = found[-PAGE - 1]
        yield "1,000th page or the last", f"{query}&older={filters.cursor_text(at=at, pk=pk)}".lstrip("&")


def time_page(client, place, query: str) -> Timing:
    from django.http import QueryDict
    from django.template.loader import render_to_string
    from django.test import RequestFactory
    from django.utils import timezone

    from dashboard.views.delivery_lists import context_of

    address = f"{place.url()}?{query}"
    context = context_of(place=place, params=QueryDict(query), now=timezone.now())
    request = RequestFactory().get(address)
    request.user = client_user(client)
    answer = client.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    total = timed(lambda: client.get(address))
    render = timed(lambda: render_to_string("deliveries/list.html", context, request))
    return Timing(total, render, len(context["rows"]))


def client_user(client):
    from dashboard.models import User

    return User.objects.get(pk=client.session["_auth_user_id"])


def admin_ratio(world) -> float:
    """Return how many times longer Django admin takes for the same rows."""
    from django.test import Client

    client = Client()
    client.force_login(world.support)
    ours, theirs = [], []
    for query, same in ADMIN.items():
        ours += timed(lambda query=query: client.get(f"/deliveries/?{query}"))
        assert client.get(f"/admin/dashboard/delivery/?{same}").status_code == 200
        theirs += timed(lambda same=same: client.get(f"/admin/dashboard/delivery/?{same}"))
    return p95(theirs) / p95(ours)


def pooled(timings: list[Timing], what: str) -> float:
    return p95([sample for timing in timings for sample in getattr(timing, what)])


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.bench.pages_settings")
    with database() as server:
        django.setup()
        base, _ = measure(server=server, rows=BASE_ROWS)
        large, ratio = measure(server=server, rows=rows)
    slowest = sorted(large, key=lambda page: -p95(large[page].total))
    for page in slowest[:25]:
        one = large[page]
        total, render = p95(one.total) * 1000, p95(one.render) * 1000
        print(f"{total:7.1f} ms, of which rendering {render:5.1f} ms: {page.name} ({one.rows} rows)")
    same = [page for page in large if page in base and base[page].rows == large[page].rows]
    worst = slowest[0]
    result = {
        "rows": rows,
        "worst": {
            "page": worst.name,
            "p95_ms": round(p95(large[worst].total) * 1000, 1),
            "total_over_render": round(p95(large[worst].total) / p95(large[worst].render), 2),
        },
        "p95_ms": round(pooled(list(large.values()), "total") * 1000, 1),
        "total_over_render": round(pooled(list(large.values()), "total") / pooled(list(large.values()), "render"), 2),
        "growth": round(
            pooled([large[one] for one in same], "total") / pooled([base[one] for one in same], "total"), 2
        ),
        "admin_ratio": round(ratio, 1),
        "pages": len(large),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
