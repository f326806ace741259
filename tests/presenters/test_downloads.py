"""Downloads: streamed, and safe to open in a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta, timezone
from typing import Any

import pytest

from dashboard.presenters.downloads import FORMULA_STARTS, answer, problem
from tests.factories import NOON

HERE = timezone(timedelta(hours=2))


def file_of(rows: list[dict[str, Any]], kind: str, columns: tuple[str, ...] = ("id", "at")) -> str:
    response = answer(rows=iter(rows), columns=columns, kind=kind, name="deliveries", now=NOON.astimezone(HERE))
    return b"".join(response.streaming_content).decode("utf-8-sig" if kind == "csv" else "utf-8")


def test_csv_begins_with_a_bom_so_that_excel_reads_utf_8_and_ndjson_does_not() -> None:
    rows = [{"id": "Zoë 東京"}]
    csv_file, ndjson_file = (
        b"".join(answer(rows=iter(rows), columns=("id",), kind=kind, name="x", now=NOON).streaming_content)
        for kind in ("csv", "ndjson")
    )
    assert csv_file == "\ufeffid\r\nZoë 東京\r\n".encode()
    assert ndjson_file == b'{"id": "Zo\\u00eb \\u6771\\u4eac"}\n'


def test_file_is_named_by_what_it_is_and_when_and_is_kept_nowhere() -> None:
    response = answer(rows=iter(()), columns=(), kind="csv", name="deliveries", now=NOON.astimezone(HERE))
    assert response["Content-Disposition"] == 'attachment; filename="deliveries-20260612-120000Z.csv"'
    assert (response["Content-Type"], response["Cache-Control"], response["X-Accel-Buffering"]) == (
        "text/csv; charset=utf-8", "private, no-store", "no",
    )  # fmt: skip


def test_csv_has_a_head_and_the_columns_in_their_order() -> None:
    rows = [{"at": NOON.astimezone(HERE), "id": "a,b", "hidden": 1}, {"at": None, "id": 'say "x"\nand more'}]
    assert list(csv.reader(io.StringIO(file_of(rows, "csv")))) == [
        ["id", "at"],
        ["a,b", "2026-06-12T12:00:00.000Z"],
        ['say "x"\nand more', ""],
    ]


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_cell_that_a_spreadsheet_would_run_is_text(start: str) -> None:
    [_head, [cell]] = csv.reader(io.StringIO(file_of([{"id": f"{start}1+1"}], "csv", ("id",)), newline=""))
    assert cell == f"'{start}1+1"


def test_ndjson_has_a_line_for_each_row_with_every_value_as_it_is() -> None:
    rows = [{"at": NOON, "id": "=1\n"}, {"at": None, "id": 7}]
    assert [json.loads(line) for line in file_of(rows, "ndjson").splitlines()] == [
        {"at": "2026-06-12T12:00:00.000Z", "id": "=1\n"},
        {"at": None, "id": 7},
    ]


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_file_begins_before_its_last_row_is_read(kind: str) -> None:
    read: list[int] = []

    def rows() -> Iterator[dict[str, int]]:
        for number in range(1000):
            read.append(number)
            yield {"id": number}

    lines = iter(answer(rows=rows(), columns=("id",), kind=kind, name="x", now=NOON).streaming_content)
    next(lines)
    assert len(read) < 200
    assert len(b"".join(lines).splitlines()) + (kind == "ndjson") == 1000


def test_file_without_rows_has_the_head_alone() -> None:
    assert (file_of([], "csv"), file_of([], "ndjson")) == ("id,at\r\n", "")


@pytest.mark.parametrize(
    ("kind", "problems", "refused"),
    [("csv", [], False), ("ndjson", [], False), ("xlsx", [], True), ("", [], True), ("csv", ["No such state."], True)],
)
def test_format_or_filter_that_is_none_is_refused_in_plain_text(kind: str, problems: list[str], refused: bool) -> None:
    found = problem(kind=kind, problems=problems)
    assert (found is not None) is refused
    if found is not None:
        assert (found.status_code, found["Content-Type"]) == (400, "text/plain; charset=utf-8")
        assert all(one in found.content.decode() for one in problems)
