"""JSON as written: what is read and indented is what was sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.json_as_written import Fields, Number, indented, plain, read, readable
from dashboard.rules.json_limits import TooDeep

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "number",
    [
        "1250.00",
        "1E400",
        "-0",
        "0.1e+05",
        "12345678901234567890123",
        "9" * 5000,
        "1.10",
        "-1e-7",
        "1.7976931348623159e308",
    ],
)
def test_numbers_stay_as_they_were_sent(number: str) -> None:
    assert read(number.encode()) == Number(number)
    assert indented(read(f'{{"n": {number}}}'.encode()), most=10_000) == f'{{\n  "n": {number}\n}}'


def test_doubled_keys_and_their_order_stay() -> None:
    value = read(b'{"b": 1, "a": 2, "b": 3}')
    assert value == Fields([("b", Number("1")), ("a", Number("2")), ("b", Number("3"))])
    assert indented(value, most=100) == '{\n  "b": 1,\n  "a": 2,\n  "b": 3\n}'


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"caf\u00e9", "café"),
        (r"\ud83d\ude00", "😀"),
        (r"a\/b\n\t\\\"", r"a\/b\n\t\\\""),
        (r"\u202e\u200b\u0000", r"\u202e\u200b\u0000"),
        (r"\u0022\u005c", r"\u0022\u005c"),
        (r"\\u0041", r"\\u0041"),
        (r"\\\u0041", r"\\A"),
        (r"\ud800x", r"\ud800x"),
        (r"\ud83d\u0041", r"\ud83dA"),
        ("\u202e", "\u202e"),
    ],
)
def test_escapes_are_letters_where_people_see_the_letter_and_stay_where_not(written: str, shown: str) -> None:
    body = f'{{"{written}": "{written}"}}'.encode()
    assert read(body) == Fields([(written, written)])
    assert readable(written) == shown
    assert plain(written) == f'"{shown}"'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b'"\\q"',
        b'"\\u12"',
        b"[1,]",
        b'{"a": }',
        b"\xff",
        b'"\xed\xa0\x80"',
        b'"a\nb"',
        b'"\\',
        b'"\\"',
        b"\\",
        b'"\x00"',
        b'"\\\x00"',
        b"01",
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the decoder's own
        read(body)


def test_what_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(TooDeep):
        read(b"[" * 201 + b"]" * 201)


def test_bom_and_other_encodings_are_read() -> None:
    assert read(b"\xef\xbb\xbf[1.0]") == [Number("1.0")]
    assert read('["é"]'.encode("utf-16")) == ["é"]


@given(anything, st.booleans())
def test_indented_json_is_that_of_python_where_python_keeps_what_was_written(value: object, ascii_only: bool) -> None:
    written = json.dumps(value, indent=2, ensure_ascii=ascii_only)
    again = indented(read(written.encode("utf-8", "surrogatepass")), most=10**6)
    assert json.loads(again) == value
    assert [line.split('"')[0] for line in again.splitlines()] == [line.split('"')[0] for line in written.splitlines()]


def test_indented_json_stops_where_it_is_told() -> None:
    assert len(indented(read(b"[" * 150 + b"1" + b",1" * 100_000 + b"]" * 150), most=1000)) < 1400
