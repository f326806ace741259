"""`make bench-requeue`: redeliver-all by the API for 100,000 FAILED deliveries of one endpoint among 1,000,000 rows.

It compares this with a bare UPDATE by psycopg on the same rows, and measures other endpoints' claims meanwhile. The
last line is JSON.
"""

import json
import os
import statistics
import threading
import time
from collections.abc import Callable

import django
import psycopg

from tests.bench import engine_rows

ROWS, FAILED = 1_000_000, 100_000
BROKEN = f"whe_{1:032x}"
_FAIL = "UPDATE partner_api_delivery SET status = 'FAILED', next_attempt_at = NULL WHERE endpoint_id = %s"
_RAW = (
    "UPDATE partner_api_delivery SET status = 'PENDING', round = round + 1, tries = 0, next_attempt_at = now() "
    "WHERE endpoint_id = %s AND status = 'FAILED'"
)


def main() -> None:
    with engine_rows.database() as (server, environment):
        os.environ.update(environment)
        django.setup()
        url = server.url("partner_api")
        engine_rows.load_endpoints(
            url, target="http://localhost:9/hooks", keys=environment["PARTNER_API_KEYS"], count=10
        )
        engine_rows.load_deliveries(url, first=1, count=ROWS, status="DELIVERED", endpoints=10)
        engine_rows.load_deliveries(url, first=ROWS + 1, count=1000, endpoints=9)
        raw, through_api = [], []
        latencies: list[float] = []
        for _ in range(3):
            raw.append(_prepared(url, lambda: _raw(url)))
            through_api.append(_prepared(url, lambda: _through_api(latencies)))
    seconds, raw_seconds = statistics.median(through_api), statistics.median(raw)
    print(
        json.dumps(
            {
                "rows": FAILED,
                "seconds": round(seconds, 2),
                "raw_sql_seconds": round(raw_seconds, 2),
                "ratio": round(seconds / raw_seconds, 2),
                "other_claims": len(latencies),
                "other_claims_median_ms": round(statistics.median(latencies) * 1000, 1),
                "other_claims_max_ms": round(max(latencies) * 1000, 1),
            }
        )
    )


def _prepared(url: str, work: Callable[[], float]) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_FAIL, [BROKEN])
        connection.execute("VACUUM ANALYZE partner_api_delivery")
        connection.execute("CHECKPOINT")
    return work()


def _raw(url: str) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        started = time.monotonic()
        count = connection.execute(_RAW, [BROKEN]).rowcount
    assert count >= FAILED, count
    return time.monotonic() - started


def _through_api(latencies: list[float]) -> float:
    """Send one request through Django's handler, while another thread claims deliveries of the other endpoints."""
    from django.test import Client
    from django.utils import timezone

    from dashboard.partner_api import auth
    from dashboard.partner_api.models import Install

    token = auth.issue(install=Install.objects.get(), name="bench", scopes=["webhooks:manage"], now=timezone.now())
    over = threading.Event()
    others = threading.Thread(target=_claim_for_others, args=(over, latencies))
    others.start()
    started = time.monotonic()
    answer = Client().post(
        f"/api/partner/v1/webhook-endpoints/{BROKEN}/redeliver",
        b"{}",
        content_type="application/json",
        headers={"Authorization": f"Bearer {token.text}", "Host": "localhost"},
    )
    seconds = time.monotonic() - started
    over.set()
    others.join()
    assert answer.json()["requeued"] >= FAILED, answer.content
    return seconds


def _claim_for_others(over: threading.Event, latencies: list[float]) -> None:
    from django.db import connection
    from django.utils import timezone

    from dashboard.partner_api import claims as ledger
    from dashboard.partner_api import conf
    from dashboard.partner_api.fair_scheduler import Ask

    asks = [Ask(endpoint_id=f"whe_{number:032x}", count=2, held=0) for number in range(2, 11)]
    while not over.is_set():
        started = time.monotonic()
        claims = ledger.claim(asks=asks, now=timezone.now(), knobs=conf.knobs())
        latencies.append(time.monotonic() - started)
        ledger.release(claims=claims)
        over.wait(0.01)
    connection.close()


if __name__ == "__main__":
    main()
