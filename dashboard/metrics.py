"""Per-process counters for /metrics: receipts, observation calls and calls to OpenTrain.

Processes count, not the database: counting must cost a delivery almost nothing, and continue when the database is down.
The processes of a machine (gunicorn's and the worker) write to files in PROMETHEUS_MULTIPROC_DIR, and each of them can
add all of them up (prometheus-client's multi-process mode). Values that the database holds (queues, the poller, states)
are queried at scrape time: queries/health_checks.py.
"""

import hmac
import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.registry import Collector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client's own variable, read when that module is first imported."""

REFUSED = "Send METRICS_TOKEN as 'Authorization: Bearer …'."

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15)

_receipts = Counter(
    "redeliver_receipts", "Requests at the receiver, by what became of them: delivered, or why not.", ["result"]
)
_receipt_seconds = Histogram(
    "redeliver_receipt_seconds", "From a delivery's arrival to its record, the handler's time included.",
    buckets=_SECONDS,
)  # fmt: skip
_kept = Counter("redeliver_attempts_kept", "Attempts, by what kept them first: database, spool, or nothing.", ["place"])
_observations = Counter("redeliver_observation_calls", "Calls of the observations API, by status.", ["status"])
_calls = Counter("redeliver_opentrain_calls", "Calls to OpenTrain, by status or by why none came.", ["call", "result"])
_call_seconds = Histogram(
    "redeliver_opentrain_call_seconds", "How long a call to OpenTrain took, all its tries.", ["call"], buckets=_SECONDS
)


def count_receipt(*, result: str, seconds: float | None = None) -> None:
    """Count a request at the receiver. `result` is one of a fixed set, never text from the request."""
    _receipts.labels(result).inc()
    if seconds is not None:
        _receipt_seconds.observe(seconds)


def count_kept(*, place: str) -> None:
    """Count an attempt that the database, the spool, or nothing has kept."""
    _kept.labels(place).inc()


def count_observations(*, status: int) -> None:
    """Count a call of the observations API."""
    _observations.labels(str(status)).inc()


def count_call(*, call: str, result: str, seconds: float) -> None:
    """Count a call to OpenTrain. `call` is its method and path, without IDs."""
    _calls.labels(call, result).inc()
    _call_seconds.labels(call).observe(seconds)


def may_read(authorization: str, *, token: str) -> bool:
    """Return whether this Authorization header has the token of Prometheus."""
    scheme, _, given = authorization.partition(" ")
    known = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return known and scheme.lower() == "bearer"


def exposition(*, collectors: list[Collector]) -> bytes:
    """Return the counters of all processes on this machine, and of `collectors`, in Prometheus' text format.

    Without PROMETHEUS_MULTIPROC_DIR only this process is counted.
    """
    registry = CollectorRegistry()
    if os.environ.get(FOLDER):
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        for counted in (_receipts, _receipt_seconds, _kept, _observations, _calls, _call_seconds):
            registry.register(counted)
    for collector in collectors:
        registry.register(collector)
    return generate_latest(registry)
