"""A process's metrics in the Prometheus format."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from dashboard import metrics


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(metrics.FOLDER, raising=False)


def values(text: bytes, name: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(text.decode())
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in samples}


def now(name: str) -> dict[tuple[str, ...], float]:
    return values(metrics.exposition(collectors=[]), name)


def test_receipts_are_counted_by_result_and_timed_where_they_took_time() -> None:
    before = now("redeliver_receipt_seconds_count")[()]
    metrics.count_receipt(result="a_test")
    metrics.count_receipt(result="a_test", seconds=0.3)
    assert now("redeliver_receipts_total")[("a_test",)] == 2
    assert now("redeliver_receipt_seconds_count")[()] - before == 1


def test_observation_calls_are_counted_by_status() -> None:
    metrics.count_observations(status=298)
    assert now("redeliver_observation_calls_total")[("298",)] == 1


def test_calls_to_opentrain_are_counted_and_timed_by_call() -> None:
    for result in ("200", "timeout"):
        metrics.count_call(call="GET /a-test", result=result, seconds=2)
    counted = now("redeliver_opentrain_calls_total")
    assert (counted["GET /a-test", "200"], counted["GET /a-test", "timeout"]) == (1, 1)
    assert now("redeliver_opentrain_call_seconds_sum")[("GET /a-test",)] == 4


class Fixed(Collector):
    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield GaugeMetricFamily("redeliver_fixed", "A number.", value=7)


def test_what_collectors_say_is_beside_what_was_counted() -> None:
    assert values(metrics.exposition(collectors=[Fixed()]), "redeliver_fixed") == {(): 7}


COUNT = "from dashboard import metrics; metrics.count_receipt(result='shared')"


@pytest.mark.slow
def test_processes_that_share_a_folder_are_added_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = os.environ | {metrics.FOLDER: str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNT], env=environment, cwd=django_settings.BASE_DIR, check=True)
    monkeypatch.setenv(metrics.FOLDER, str(tmp_path))
    assert now("redeliver_receipts_total") == {("shared",): 2}
