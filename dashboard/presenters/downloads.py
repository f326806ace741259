"""Streamed CSV files (for spreadsheets) and NDJSON files (for programs) of any rows."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width, too
"""Characters that make a spreadsheet run a cell as a formula."""
BOM = "\ufeff"
"""The first character of a CSV file: without it, Excel reads UTF-8 in the computer's old code page."""
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

Row = dict[str, Any]


def answer(
    *, rows: Iterator[Row], columns: Sequence[str], kind: str, name: str, now: datetime
) -> StreamingHttpResponse:
    """Return a file of the rows, named by `name` and the time. `kind` is one of CONTENT_TYPES."""
    lines = _csv(rows, columns) if kind == "csv" else _ndjson(rows)
    response = StreamingHttpResponse(lines, content_type=CONTENT_TYPES[kind])
    file_name = f"{name}-{now.astimezone(UTC):%Y%m%d-%H%M%SZ}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    response["Cache-Control"] = "private, no-store"
    response["X-Accel-Buffering"] = "no"  # a proxy that buffers the whole file would time out
    return response


def problem(*, kind: str, problems: Sequence[str]) -> HttpResponse | None:
    """Return a 400 response for an unknown format or an invalid filter; None if both are valid."""
    words = " ".join(problems)
    if kind not in CONTENT_TYPES:
        words = "Unknown format. Use format=csv or format=ndjson."
    return HttpResponse(f"{words}\n", status=400, content_type="text/plain; charset=utf-8") if words else None


def _csv(rows: Iterator[Row], columns: Sequence[str]) -> Iterator[str]:
    """Yield the header row at once, so that the browser starts the download, then 100 rows at a time."""
    buffer = io.StringIO()
    buffer.write(BOM)
    writer = csv.writer(buffer)
    writer.writerow(columns)
    yield _taken(buffer)
    for number, row in enumerate(rows, start=1):
        writer.writerow([_cell(row[name]) for name in columns])
        if number % 100 == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _cell(value: object) -> str:
    """Return a cell. An apostrophe before a formula makes every spreadsheet read it as text."""
    text = "" if value is None else _time(value) if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _time(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _ndjson(rows: Iterator[Row]) -> Iterator[str]:
    for row in rows:
        known = {name: _time(value) if isinstance(value, datetime) else value for name, value in row.items()}
        yield json.dumps(known) + "\n"
