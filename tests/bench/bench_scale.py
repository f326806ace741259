"""`make bench-scale`: time per delivery with 1, 2 and 4 workers, and with 10,000 against 1,000,000 finished rows.

A worker is a process that makes delivery runs until nothing is left. The last line is JSON.
"""

import json
import subprocess
import sys
import time

import psycopg

from tests.bench import engine_rows

PENDING = 8_000
_RUN = """
import asyncio, django
django.setup()
from dashboard.partner_api import engine
input()
asyncio.run(engine.run())
"""


def main() -> None:
    with engine_rows.database() as (server, environment), engine_rows.sink() as target:
        url = server.url("partner_api")

        def measure(*, workers: int, finished: int) -> float:
            engine_rows.load_endpoints(url, target=target, keys=environment["PARTNER_API_KEYS"])
            engine_rows.load_deliveries(url, first=1, count=finished, status="DELIVERED")
            engine_rows.load_deliveries(url, first=finished + 1, count=PENDING)
            command = [sys.executable, "-c", _RUN]
            started = [
                subprocess.Popen(command, cwd=engine_rows.ROOT, env=environment, stdin=subprocess.PIPE, text=True)
                for _ in range(workers)
            ]
            time.sleep(3)  # until all have imported what they need
            begun = time.monotonic()
            for worker in started:
                assert worker.stdin is not None
                worker.stdin.write("\n")
                worker.stdin.flush()
            for worker in started:
                worker.wait(timeout=120)
                worker.stdin.close()  # type: ignore[union-attr]
            ms = (time.monotonic() - begun) * 1000 / PENDING
            with psycopg.connect(url) as connection:
                left = connection.execute(
                    "SELECT count(*) FROM partner_api_delivery WHERE status = 'PENDING'"
                ).fetchone()
            assert left == (0,), left
            print(workers, finished, round(ms, 3), flush=True)
            return ms

        by_workers = {workers: measure(workers=workers, finished=10_000) for workers in (1, 2, 4)}
        many = measure(workers=1, finished=1_000_000)
    result = {f"ms_per_delivery_{workers}_workers": round(ms, 3) for workers, ms in by_workers.items()}
    growth = round(many / by_workers[1], 2)
    print(json.dumps(result | {"ms_per_delivery_1000000_finished": round(many, 3), "growth": growth}))


if __name__ == "__main__":
    main()
