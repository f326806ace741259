"""`make bench-fairness`: waiting time of healthy endpoints' deliveries, with and without a receiver that hangs.

A hundred healthy endpoints have ten deliveries each; the hanging one has a thousand, all due before the others. The
result is the best of six alternating turns each, because other load slows the machine at times. The last line is JSON.
"""

import json
import os
import statistics

import psycopg

from tests.bench import engine_rows
from tests.partner_api import sink

HEALTHY, EACH, HANGING = 100, 10, 1000
TURNS = 6


def main() -> None:
    with engine_rows.database() as (server, environment), engine_rows.sink() as target:
        os.environ.update(environment)

        import django

        django.setup()
        from django.conf import settings

        # The hanging endpoint holds its slots for the full timeout (10 s), as in production; only the run is shorter.
        settings.PARTNER_API_TIMEOUT_S, settings.PARTNER_API_LEASE_S, settings.PARTNER_API_RUN_BUDGET_S = 10, 60, 4
        url, keys = server.url("partner_api"), environment["PARTNER_API_KEYS"]
        alone, beside = [], []
        with sink.running_socket(sink.silent) as hanging:
            for _ in range(TURNS):
                alone.append(healthy_wait_s(url, target=target, keys=keys, hanging=None))
                beside.append(healthy_wait_s(url, target=target, keys=keys, hanging=hanging))
                print(f"p95 wait: {alone[-1]:.3f} s alone, {beside[-1]:.3f} s beside a hanging one", flush=True)
    print(
        json.dumps(
            {
                "healthy_p95_s_alone": round(min(alone), 3),
                "healthy_p95_s_beside_a_hanging_one": round(min(beside), 3),
                "ratio": round(min(beside) / min(alone), 2),
            }
        )
    )


def load(url: str, *, target: str, keys: str, hanging: str | None) -> str:
    """Create the healthy endpoints and the hanging one, at the URL `hanging`; return the hanging one's ID."""
    engine_rows.load_endpoints(url, target=target, keys=keys, count=HEALTHY + 1)
    broken = f"whe_{HEALTHY + 1:032x}"
    engine_rows.load_deliveries(url, first=1, count=HEALTHY * EACH, endpoints=HEALTHY)
    if hanging is not None:
        engine_rows.load_deliveries(url, first=100_000, count=HANGING, endpoints=1)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("UPDATE partner_api_endpoint SET url = %s WHERE id = %s", [hanging, broken])
            # The hanging endpoint's deliveries are due before all others.
            moved = """
                UPDATE partner_api_delivery SET endpoint_id = %s, next_attempt_at = next_attempt_at - interval '60 s'
                WHERE event_id >= 100000"""
            connection.execute(moved, [broken])
    return broken


def healthy_wait_s(url: str, *, target: str, keys: str, hanging: str | None) -> float:
    """Return the 95th percentile of the time, in seconds, that healthy endpoints' deliveries wait for their POST."""
    from asgiref.sync import async_to_sync
    from django.utils import timezone

    from dashboard.partner_api import engine
    from dashboard.partner_api.models import Attempt, Delivery

    broken = load(url, target=target, keys=keys, hanging=hanging)
    started = timezone.now()
    while Delivery.objects.filter(status="PENDING").exclude(endpoint=broken).exists():
        async_to_sync(engine.run)()
    healthy = Attempt.objects.exclude(delivery__endpoint=broken)
    waits = [(moment - started).total_seconds() for moment in healthy.values_list("started_at", flat=True)]
    assert len(waits) == HEALTHY * EACH
    return statistics.quantiles(waits, n=20)[-1]


if __name__ == "__main__":
    main()
