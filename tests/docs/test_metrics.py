"""The table of metrics and the alarms in docs/operations.md, and the metrics of the code: they must match."""

import re

from tests.docs.pages import DOCS, ROOT

_MADE = re.compile(r'(Counter|Histogram|GaugeMetricFamily)\(\s*"(redeliver_\w+)"')
_NAME = re.compile(r"redeliver_\w+")


def named_between(start: str, end: str) -> set[str]:
    """Return the metrics that the operations guide names between two texts."""
    page = (DOCS / "operations.md").read_text()
    return set(_NAME.findall(page.partition(start)[2].partition(end)[0]))


def test_operations_guide_has_every_metric_and_no_other() -> None:
    code = "".join((ROOT / "dashboard" / file).read_text() for file in ("metrics.py", "queries/vitals.py"))
    exposed = {f"{name}_total" if kind == "Counter" else name for kind, name in _MADE.findall(code)}
    assert named_between("\n### Metrics\n", "\n\nProcesses that share") == exposed


def test_alarms_are_on_metrics_that_exist() -> None:
    alarms = named_between("\nSet alarms on:\n", "\n\nSupport is alerted")
    assert len(alarms) > 3
    assert alarms <= named_between("\n### Metrics\n", "\n\nProcesses that share")
