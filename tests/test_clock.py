"""Only requests, jobs and commands read the clock; the code below them receives the time as an argument."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOLD = ("actions", "db", "forms", "presenters", "queries", "rules")
"""Folders of dashboard/ that receive the time: as `now`, or as a `clock` where they read it more than once.

Not models/: the audit's time column defaults to the clock.
"""
READINGS = {"now", "utcnow", "today", "localtime", "localdate"}
CLOCKS = {"timezone", "datetime", "date"}


def readings(source: str) -> list[int]:
    """Return the lines that read the machine's clock; a duration (`time.monotonic`) does not count."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in READINGS:
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            found += [node.lineno] if owner in CLOCKS else []
        if isinstance(node, ast.Attribute) and (getattr(node.value, "id", ""), node.attr) == ("time", "time"):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("folder", TOLD)
def test_clock_is_not_read_below_the_entry_points(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} reads the clock: take `now` or a `clock` as an argument"
        for path in sorted((ROOT / "dashboard" / folder).rglob("*.py"))
        for line in readings(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("now = timezone.now()", [1]),
        ("\nat = datetime.datetime.now(UTC)", [2]),
        ("at = field(default_factory=timezone.now)", [1]),
        ("at = time.time()", [1]),
        ("began = time.monotonic()\nnow = clock()\nat: datetime.time", []),
    ],
)
def test_readings_finds_what_reads_the_clock(source: str, lines: list[int]) -> None:
    assert readings(source) == lines


def bare_times(source: str) -> list[int]:
    """Return the lines of f-strings that write a time of day, or a month, without its year."""
    written = [
        (node.lineno, ast.unparse(node.format_spec))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None
    ]
    return [line for line, how in written if re.search("%[HMB]", how) and "%Y" not in how]


def test_no_test_writes_the_time_of_day_that_a_page_will_say() -> None:
    """A page adds the day, and the year, to a time that is not of today: what such a test expects is false at midnight.

    Not rules/: they are told both times.
    """
    found = [
        f"{path.relative_to(ROOT)}:{line} fails near midnight: use stop_clock (tests/views/conftest.py), or A_TIME"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if not path.is_relative_to(ROOT / "tests" / "rules") and "vendor" not in path.parts
        for line in bare_times(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('f"until {at:%H:%M} UTC"', [1]),
        ('\nf"on {at.day} {at:%B}"', [2]),
        ('f"{at:%Y-%m-%d %H:%M:%S} UTC"', []),
        ('f"{at:>{width}}{at}"', []),
        ('b"%d:%d" % (1, 2)', []),
    ],
)
def test_bare_times_finds_what_a_page_may_say_otherwise(source: str, lines: list[int]) -> None:
    assert bare_times(source) == lines
