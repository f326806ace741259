"""The columns of exports in docs/operations.md are those of the files."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from dashboard.presenters import contract_downloads
from dashboard.views import activity, delivery_export, run_export

PAGE = Path(__file__).parents[2] / "docs/operations.md"


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("Deliveries", ["state", *delivery_export._DELIVERY, "last_answer", *delivery_export._OF_ENDPOINT]),
        ("Refused requests", delivery_export._REFUSED),
        ("Contracts", contract_downloads.COLUMNS),
        ("Runs", run_export.COLUMNS),
        ("Activity", list(activity._EXPORTED)),
    ],
    ids=["deliveries", "refused", "contracts", "runs", "activity"],
)
def test_every_column_of_an_export_is_documented_in_its_order(name: str, columns: Sequence[str]) -> None:
    (line,) = re.findall(rf"^\| {name} \| (`.*`) \|$", PAGE.read_text(), re.MULTILINE)
    assert re.findall(r"`(\w+)`", line) == list(columns)
