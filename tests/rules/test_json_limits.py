"""JSON from outside: what is accepted, what is refused, and that neither depends on the Python version."""

import ast
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules import json_limits
from dashboard.rules.json_limits import DEPTH, DIGITS, TooDeep

DASHBOARD = Path(json_limits.__file__).parents[1]
READERS = {("json", "loads"), ("json", "load"), ("json", "JSONDecoder")}
OWN = {
    "rules/json_limits.py": "the limits themselves",
    "partner_api/bodies.py": "another system: it has its own limits, and tests of them",
    "management/commands/verify_backup.py": "a file that we wrote",
    "receiver/routes_file.py": "a file that we wrote; what its key did not encrypt is refused before it is read",
    "demo/handler.py": "only the demo's console reaches it, with a token",
    "demo/story.py": "the output of our own command",
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.fixture
def generous_python() -> Iterator[None]:
    """Raise Python's own limit above ours, in every version."""
    recursion, digits = sys.getrecursionlimit(), sys.get_int_max_str_digits()
    sys.setrecursionlimit(20_000)
    sys.set_int_max_str_digits(0)
    yield
    sys.setrecursionlimit(recursion)
    sys.set_int_max_str_digits(digits)


@given(value=VALUES)
def test_json_within_the_limits_is_read_as_json_reads_it(value: object) -> None:
    text = json.dumps(value)
    assert json_limits.loads(text) == json.loads(text) == value
    assert json_limits.loads(text.encode("utf-16")) == value


@given(text=st.text('[]{}"\\,:1aé \n', max_size=40) | st.text())
def test_text_that_json_refuses_is_refused(text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        with pytest.raises(json.JSONDecodeError):
            json_limits.loads(text)
    else:
        assert json_limits.loads(text) == value or value != value  # noqa: PLR0124 - NaN


@pytest.mark.parametrize(
    "deepest",
    [
        "[" * DEPTH + "]" * DEPTH,
        '{"a":' * DEPTH + "1" + "}" * DEPTH,
        '[{"[":' * (DEPTH // 2) + "null" + "}]" * (DEPTH // 2),
    ],
    ids=["lists", "objects", "both"],
)
def test_depth_ends_at_our_limit_whatever_python_could_read(generous_python: None, deepest: str) -> None:
    assert json_limits.loads(deepest) == json.loads(deepest)
    with pytest.raises(TooDeep):
        json_limits.loads(f"[{deepest}]")
    with pytest.raises(TooDeep):
        json_limits.loads(f"[{deepest}]".encode())


def test_depth_counts_what_is_open_at_once_and_no_brackets_in_strings(generous_python: None) -> None:
    wide = "[" + ",".join(["[[]]"] * 1000) + "]"
    assert json_limits.loads(wide) == json.loads(wide)
    quoted = json.dumps(["[" * 1000, '"[{\\' * 1000, {"{" * 1000: "]"}])
    assert json_limits.loads(quoted) == json.loads(quoted)


@pytest.mark.parametrize("one", ["1", "[]", "{}", '{"a": [1]}', '""', '"[,{"', '"\\",["'])
@pytest.mark.parametrize("count", [1, 10])
def test_values_are_counted_without_those_in_strings(one: str, count: int) -> None:
    text = f"[{','.join([one] * count)}]"
    values = 1 + (count - 1) + count * {"[]": 1, "{}": 1, '{"a": [1]}': 2}.get(one, 0)
    assert json_limits.has_more_values(text, than=values - 1)
    assert not json_limits.has_more_values(text, than=values)


def test_digits_end_at_our_limit_whatever_python_could_read(generous_python: None) -> None:
    for sign in ("", "-"):
        assert json_limits.loads(f"[{sign}{'9' * DIGITS}]") == [int(f"{sign}{'9' * DIGITS}")]
        with pytest.raises(json.JSONDecodeError):
            json_limits.loads(f"[{sign}{'9' * (DIGITS + 1)}]")


def test_digits_end_below_any_limit_that_python_can_be_given() -> None:
    assert sys.int_info.str_digits_check_threshold >= DIGITS


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "[" * 201 + '"' + '\\"' * 500_000,
        "[" * 201 + '"' + "\\" * 1_000_001,
        "[" * 201 + '""' * 500_000,
        "]" * 500_000 + "[" * 500_000,
    ],
    ids=["open", "escaped quotes", "backslashes", "empty strings", "closed first"],
)
def test_the_work_on_hostile_text_is_bounded(text: str) -> None:
    started = time.process_time()
    with pytest.raises(json.JSONDecodeError):
        json_limits.loads(text)
    assert time.process_time() - started < 2


def test_constants_that_json_does_not_have_can_be_refused() -> None:
    def refuse(name: str) -> None:
        raise ValueError(name)

    assert json_limits.loads("[Infinity]") == [float("inf")]
    with pytest.raises(ValueError, match="NaN"):
        json_limits.loads("[NaN]", parse_constant=refuse)


def test_no_module_reads_json_from_outside_without_the_limits() -> None:
    found = {
        str(path.relative_to(DASHBOARD))
        for path in DASHBOARD.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and ((isinstance(node.value, ast.Name) and (node.value.id, node.attr) in READERS) or _reads_an_answer(node))
    }
    assert found - set(OWN) == set(), "read it with json_limits.loads, or say in OWN why it need not be"
    assert set(OWN) - found == set(), "these read no JSON any more"


def _reads_an_answer(node: ast.Attribute) -> bool:
    """Return whether the call is `answer.json` of requests, which is json.loads."""
    return node.attr == "json" and isinstance(node.value, ast.Name) and node.value.id in {"answer", "response"}


@pytest.mark.parametrize("text", ['\ufeff{"a": 1}', b'\xef\xbb\xbf{"a": 1}', '{"a": 1}'.encode("utf-16")])
def test_byte_order_mark_before_the_json_is_ignored(text: str | bytes) -> None:
    assert json_limits.loads(text) == {"a": 1}


@pytest.mark.parametrize("text", ["\ufeff\ufeff1", ' \ufeff{"a": 1}', '{"a": 1}\ufeff'])
def test_byte_order_mark_elsewhere_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting value|Extra data|BOM"):
        json_limits.loads(text)
