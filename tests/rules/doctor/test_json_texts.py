"""JSON that keeps its numbers as they are written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.doctor.json_texts import Number, decoded, is_markable, marked, read, shortest, unmarked


@pytest.mark.parametrize(
    "text", ['{"a":1250.00,"b":[1E400,-0,12345678901234567890,NaN,-Infinity],"c":"1.0"}', "1.50", "[]", '"x"', "null"]
)
def test_numbers_are_written_as_they_were(text: str) -> None:
    assert unmarked(json.dumps(marked(read(text)), separators=(",", ":"))) == text


def test_number_is_a_text_of_its_own_kind() -> None:
    value = read('[1.0, "1.0"]')
    assert isinstance(value, list)
    assert [isinstance(one, Number) for one in value] == [True, False]


def test_string_that_looks_like_a_marked_number_is_known() -> None:
    assert is_markable('"\\u0001"')
    assert not is_markable(json.dumps("\x01#1"))


def test_json_beyond_the_limits_is_not_read() -> None:
    for text in ("[" * 201 + "]" * 201, "9" * 641, "{"):
        with pytest.raises(json.JSONDecodeError):
            read(text)
    assert read("9" * 640) == "9" * 640


def test_decoded_reads_the_charsets_of_json() -> None:
    assert {decoded("[1]".encode(name)) for name in ("utf-8", "utf-16", "utf-32")} == {"[1]"}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (250.0, "250"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-9, "1.5e-9"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (-1.25e30, "-1.25e+30"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
def test_shortest_writes_numbers_as_javascript_does(number: float, text: str) -> None:
    """The right side is from: node -e 'console.log(JSON.stringify(…))'."""
    assert shortest(number) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_shortest_reads_back_as_the_same_number(number: float) -> None:
    assert float(shortest(number)) == number
