"""`make bench-engine`: throughput of the engine, compared with a bare client and a threaded sender in the same run.

Each sender is a separate process with the same sink, the same database server with durable commits, and the same number
of concurrent requests. The last line is JSON.
"""

import asyncio
import hashlib
import hmac
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp  # noqa: TID251 - the bare client
import psycopg
import requests  # noqa: TID251 - the sender in threads

from dashboard.launch import postgres
from tests.bench import engine_rows, webhook_celery

PENDING = 20_000
AT_ONCE = 400
THREADS = 32


def main() -> None:
    with engine_rows.database() as (server, environment), engine_rows.sink() as target:
        url = server.url("partner_api")

        def prepare(count: int, *, endpoints: int = engine_rows.ENDPOINTS) -> None:
            engine_rows.load_endpoints(url, target=target, keys=environment["PARTNER_API_KEYS"], count=endpoints)
            engine_rows.load_deliveries(url, first=1, count=count, endpoints=endpoints)

        def sender(name: str, count: int) -> dict[str, float]:
            command = [sys.executable, "-m", "tests.bench.bench_engine", name, str(count), target]
            done = subprocess.run(
                command, cwd=engine_rows.ROOT, env=environment, check=True, capture_output=True, text=True
            )
            measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
            print(name, count, measured, flush=True)
            return measured

        bare = sender("bare", PENDING)
        prepare(PENDING)
        engine = sender("engine", PENDING)
        prepare(PENDING)
        threads = sender("threads", PENDING // 4)
        prepare(PENDING // 4, endpoints=1)
        single = sender("engine", PENDING // 4)
        prepare(2_000)
        few = sender("engine", 2_000)
        prepare(200_000)
        many = sender("engine-15s", 200_000)
        celery, why_not = through_celery(server, target=target)
    print(
        json.dumps(
            {
                "deliveries_per_s": engine["per_s"],
                "bare_client_per_s": bare["per_s"],
                "ratio": round(engine["per_s"] / bare["per_s"], 2),
                "requests_threads_per_s": threads["per_s"],
                "django_webhook_celery_per_s": celery,
                **({} if why_not is None else {"django_webhook_celery_reason": why_not}),
                "one_endpoint_per_s": single["per_s"],
                "rss_mb": max(engine["rss_mb"], many["rss_mb"]),
                "rss_mb_2000_pending": few["rss_mb"],
                "rss_mb_200000_pending": many["rss_mb"],
            }
        )
    )


def through_celery(server: postgres.Server, *, target: str) -> tuple[float | None, str | None]:
    """Return django-webhook's deliveries a second, or None and the reason why it cannot be measured here."""
    try:
        return webhook_celery.measure(server, target=target), None
    except webhook_celery.CannotRun as error:
        return None, str(error)


def run_engine(count: int, _target: str) -> int:
    """Make delivery runs until no delivery is left, as the worker does."""
    from dashboard.partner_api import engine

    async def go() -> int:
        delivered = 0
        while delivered < count:
            delivered += (await engine.run()).delivered
        return delivered

    return asyncio.run(go())


def run_engine_for_15_s(count: int, target: str) -> int:
    from django.conf import settings

    from dashboard.partner_api import engine

    settings.PARTNER_API_RUN_BUDGET_S = 15
    return asyncio.run(engine.run()).delivered


def headers(body: bytes) -> dict[str, str]:
    stamp = int(time.time())
    digest = hmac.new(b"whsec_" + b"a" * 43, f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "User-Agent": "OpenTrain-Partner-Webhooks/1.0",
        "Content-Type": "application/json",
        "X-OpenTrain-Event": "contract.started",
        "X-OpenTrain-Delivery": "dlv_" + "0" * 32,
        "X-OpenTrain-Signature": f"t={stamp},v1={digest}",
    }


def run_bare(count: int, target: str) -> int:
    """Send with a plain aiohttp loop: the same body, headers and concurrency, but no database."""
    body = b"x" * engine_rows.BODY_BYTES
    left = iter(range(count))

    async def work(session: aiohttp.ClientSession) -> int:
        done = 0
        for _ in left:
            async with session.post(target, data=body, headers=headers(body)) as response:
                await response.read()
                done += response.status == 200
        return done

    async def go() -> int:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            return sum(await asyncio.gather(*(work(session) for _ in range(AT_ONCE))))

    return asyncio.run(go())


def run_threads(count: int, target: str) -> int:
    """Send as usual implementations do: a thread pool, requests, and one commit per attempt."""
    url = os.environ["PARTNER_API_DATABASE_URL"]
    todo: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with psycopg.connect(url) as connection:
        statement = (
            "SELECT delivery.id, event.body FROM partner_api_delivery AS delivery "
            "JOIN partner_api_event AS event ON event.id = delivery.event_id ORDER BY delivery.event_id LIMIT %s"
        )
        for row in connection.execute(statement, [count]).fetchall():
            todo.put(row)
    done: list[int] = []

    def work() -> None:
        with psycopg.connect(url) as connection, requests.Session() as session:
            while True:
                try:
                    delivery_id, body = todo.get_nowait()
                except queue.Empty:
                    return
                answer = session.post(target, data=body, headers=headers(body), timeout=10, allow_redirects=False)
                connection.execute(
                    "INSERT INTO partner_api_attempt (delivery_id, number, started_at, duration_ms, status_code, cause,"
                    " detail, response_head) VALUES (%s, 1, now(), 1, %s, '', '', %s)",
                    [delivery_id, answer.status_code, answer.content[:1024]],
                )
                connection.execute(
                    "UPDATE partner_api_delivery SET status = 'DELIVERED', next_attempt_at = NULL, tries = 1, "
                    "attempts = 1 WHERE id = %s",
                    [delivery_id],
                )
                connection.commit()
                done.append(1)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


SENDERS: dict[str, Callable[[int, str], int]] = {
    "engine": run_engine,
    "engine-15s": run_engine_for_15_s,
    "bare": run_bare,
    "threads": run_threads,
}


def measure(name: str, count: int, target: str) -> None:
    if name.startswith("engine"):
        import django

        django.setup()
    started = time.monotonic()
    done = SENDERS[name](count, target)
    per_s = done / (time.monotonic() - started)
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_kb = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    print(json.dumps({"per_s": round(per_s), "rss_mb": round(peak_kb / 1024), "done": done}))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    else:
        main()
