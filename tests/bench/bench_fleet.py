"""Duration of a poll of all installs, when responses take 100 ms and one install in twenty never gets one.

python -m tests.bench.bench_fleet [INSTALLS]; it starts its own PostgreSQL and OpenTrain. It polls twice: the first poll
stores every endpoint, and the second, the usual case, finds nothing new. The last line is one JSON object about the
second:
seconds        until the last responding install was recorded
ideal_seconds  the number of calls times the delay, divided by POLL_CONCURRENCY
rss_mb         the peak memory of the poller's process
In both polls the hanging installs count as never failed before, so no backoff applies.
"""

import json
import sys
import time
from datetime import timedelta

from tests.bench.fleet_stub import DELAY_S, HANGING_EACH
from tests.bench.site import console_beside_stub, make_installs, rss_mb


def main(installs: int) -> None:
    with console_beside_stub():
        run(installs)


def run(installs: int) -> None:
    from django.utils import timezone

    from dashboard.models import Install

    make_installs(first=1, count=installs // 10, at=timezone.now())
    small = poll("a tenth of them, first")
    make_installs(first=installs // 10 + 1, count=installs - installs // 10, at=timezone.now())
    Install.objects.update(poll_after=None, failures=0)
    poll("first")
    Install.objects.update(poll_after=None, failures=0)
    usual = poll("usual")
    print(f"memory with a tenth of the installs: {small['rss_mb']} MB, with all: {usual['rss_mb']} MB")
    print(json.dumps(usual))


def poll(name: str) -> dict[str, float]:
    from django.conf import settings
    from django.db.models import F, Max
    from django.utils import timezone

    from dashboard.actions.installs import poller
    from dashboard.actions.installs import sync as installs
    from dashboard.models import Install

    last_answer, real, cpu = 0.0, installs.record, time.process_time()

    def record(answer: object) -> object:
        nonlocal last_answer
        outcome = real(answer)
        if outcome is None:
            last_answer = time.monotonic()
        return outcome

    installs.record = record
    started = time.monotonic()
    polled = poller.poll(clock=timezone.now, budget=timedelta(minutes=20))
    ended = time.monotonic()
    installs.record = real
    healthy = polled.installs - polled.failed
    assert polled.installs == Install.objects.count()
    assert polled.failed == polled.installs // HANGING_EACH
    ideal = healthy * DELAY_S / settings.POLL_CONCURRENCY
    print(
        f"{name}: {healthy} answered within {last_answer - started:.2f} s, the {polled.failed} that hang were given up "
        f"after {ended - started:.2f} s; {time.process_time() - cpu:.1f} s of CPU, "
        f"concurrency {settings.POLL_CONCURRENCY}",
        flush=True,
    )
    assert Install.objects.filter(endpoint_count=3, fine_count=F("endpoint_count")).count() == healthy
    assert Install.objects.aggregate(most=Max("failures"))["most"] == 1
    return {
        "installs": polled.installs,
        "seconds": round(last_answer - started, 2),
        "ideal_seconds": round(ideal, 2),
        "ratio": round((last_answer - started) / ideal, 2),
        "rss_mb": rss_mb(),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
