"""What /metrics reads from the database at each scrape."""

from collections.abc import Callable, Iterator
from datetime import datetime

from django.db import InterfaceError, OperationalError
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dashboard.queries import health_checks, receivers

GONE = (OperationalError, InterfaceError)
"""Errors that mean the database is unreachable. Any other database error is a bug and must surface."""


class Vitals(Collector):
    """Metrics read from the database at each scrape: the same from every process and machine.

    `queue` is the name of the worker's queue; `clock` is asked at each scrape.
    """

    def __init__(self, *, queue: str, clock: Callable[[], datetime]) -> None:
        self._queue, self._clock = queue, clock

    def collect(self) -> Iterator[Metric]:
        try:
            found = list(_vitals(queue=self._queue, now=self._clock()))
        except GONE:
            found = []
        yield GaugeMetricFamily("redeliver_database_up", "1: the database answered.", value=float(bool(found)))
        yield from found


def _vitals(*, queue: str, now: datetime) -> Iterator[Metric]:
    jobs = health_checks.queue(now=now, name=queue)
    yield GaugeMetricFamily("redeliver_queue_depth", "Jobs that are due and not begun.", value=jobs.depth)
    yield GaugeMetricFamily(
        "redeliver_queue_oldest_seconds", "How long the oldest of them has been due.", jobs.oldest.total_seconds()
    )
    age = health_checks.worker_age(now=now)
    if age is not None:
        yield GaugeMetricFamily(
            "redeliver_worker_heartbeat_age_seconds", "Since a worker said that it is alive.", age.total_seconds()
        )
    yield GaugeMetricFamily(
        "redeliver_poller_late_seconds", "For how long the install that waited longest has been due.",
        health_checks.poller_lateness(now=now).total_seconds(),
    )  # fmt: skip
    yield GaugeMetricFamily(
        "redeliver_sweep_late_seconds", "The same for reading links and contracts.",
        health_checks.sweep_lateness(now=now).total_seconds(),
    )  # fmt: skip
    yield from _receivers(now)
    yield _deliveries()
    yield GaugeMetricFamily(
        "redeliver_deliveries_estimate",
        "Deliveries in the log, as of the last ANALYZE.",
        health_checks.deliveries_estimate(),
    )


def _receivers(now: datetime) -> Iterator[Metric]:
    held = GaugeMetricFamily(
        "redeliver_receiver_held_attempts",
        "Attempts that a receiver holds and that are not in the log. Absent where it does not report.",
        labels=["receiver"],
    )
    heard = GaugeMetricFamily(
        "redeliver_receiver_report_age_seconds", "Since a receiver said how many it holds.", labels=["receiver"]
    )
    for report in receivers.reports():
        heard.add_metric([report.name], max((now - report.heard_at).total_seconds(), 0))
        if not report.is_silent(now=now):
            held.add_metric([report.name], report.held)
    yield from (held, heard)


def _deliveries() -> Metric:
    words = f"Deliveries that are not delivered, by standing; {health_checks.METRIC_COUNT_LIMIT} means that or more."
    family = GaugeMetricFamily("redeliver_deliveries", words, labels=["standing"])
    for standing, count in health_checks.standings().items():
        family.add_metric([standing.name.lower()], count)
    return family
