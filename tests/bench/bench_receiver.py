"""`make bench-receiver`: what the receiver takes in, beside a bare insert on the same server in the same run.

The real server as `launch/site.py` starts it, on a PostgreSQL of its own that keeps what it commits. Both sides take
turns in short slices, so that whatever else the machine does falls on both. The last line is one JSON object.
"""

import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path

CONNECTIONS = 16
SIDE_S = float(os.environ.get("SIDE_S", "20"))
SLICE_S = 2.0
WARM_UP_S = 2.0


def main() -> None:
    """Measure, and print."""
    from dashboard.launch import postgres

    with tempfile.TemporaryDirectory(prefix="redeliver-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root the database runs as somebody else, who must come by here
        server = postgres.start(folder=folder)
        try:
            server.create_database("redeliver")
            print(json.dumps(_measured(folder, database_url=server.url("redeliver"))))
        finally:
            server.stop()


def _measured(folder: Path, *, database_url: str) -> dict[str, float]:
    from cryptography.fernet import Fernet

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
        "DATABASE_URL": database_url,
        "FIELD_KEYS": Fernet.generate_key().decode(),
        "SECRET_KEY": "only-for-a-benchmark",
    }
    import django

    django.setup()
    from django.db import connection

    from dashboard.models import Attempt, Delivery
    from tests.bench.urls import TABLE
    from tests.factories import make_endpoint
    from tests.faults.serving import serving

    with serving(folder, database_url=database_url, DJANGO_SETTINGS_MODULE="tests.bench.settings") as site:
        site.manage("migrate", "--noinput")
        with connection.cursor() as cursor:
            cursor.execute(TABLE)
        key = make_endpoint().receiver_key
        site.start()
        figures = _figures(port=site.port, key=str(key))
    stored = (Delivery.objects.count(), Attempt.objects.count())
    connection.close()
    print(f"deliveries and attempts in the log: {stored}", file=sys.stderr)
    return figures


def _figures(*, port: int, key: str) -> dict[str, float]:
    from tests.bench.load import Load

    receiver, bare = (Load(port=port, send=_requests(f"/hooks/{key}/")), Load(port=port, send=_requests("/bare/")))
    for side in (receiver, bare):
        side.run(connections=CONNECTIONS, for_s=WARM_UP_S)
        side.latencies_s.clear()
        side.elapsed_s = side.failed = 0
    while bare.elapsed_s < SIDE_S:
        for side in (receiver, bare):
            side.run(connections=CONNECTIONS, for_s=SLICE_S)
    if receiver.failed or bare.failed:
        sys.exit(f"not every request was answered 200: {receiver.failed} of the receiver's, {bare.failed} bare ones")
    return {
        "receipts_per_s": round(receiver.per_s, 1),
        "bare_insert_per_s": round(bare.per_s, 1),
        "ratio": round(receiver.per_s / bare.per_s, 3),
        "p99_ms": round(receiver.percentile_ms(99), 1),
        "bare_p99_ms": round(bare.percentile_ms(99), 1),
        "p99_ratio": round(receiver.percentile_ms(99) / bare.percentile_ms(99), 3),
    }


def _requests(path: str):
    """Return what gives the next request: each is a delivery of its own, and signed."""
    from dashboard.signatures import sign
    from tests.factories import BODY, SECRET

    numbers = itertools.count()

    def give() -> bytes:
        signature = sign(secret=SECRET, body=BODY, timestamp=int(time.time()))
        lines = (
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            "User-Agent: OpenTrain-Partner-Webhooks/1.0",
            "X-OpenTrain-Event: contract.started",
            f"X-OpenTrain-Delivery: dlv_{next(numbers):012}",
            f"X-OpenTrain-Signature: {signature}",
            f"Content-Length: {len(BODY)}",
        )
        return "\r\n".join([*lines, "", ""]).encode() + BODY

    return give


if __name__ == "__main__":
    main()
