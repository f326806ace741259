"""Texts before they were escaped or wrapped. What the doctor says of each is in test_examine.py."""

import html
import json
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.doctor.unwrapped import unwrapped

TEXT = '{"a":"it\\u00e9 \\"q\\" é","b":[{}]}'


def texts_of(text: str) -> list[str]:
    return [new for _how, new in unwrapped(text)]


@pytest.mark.parametrize(
    "wrapped",
    [
        json.dumps(TEXT),
        json.dumps(TEXT)[1:-1],
        json.dumps(json.dumps(TEXT)),
        json.dumps(json.dumps(TEXT)[1:-1])[1:-1],
        repr(TEXT),
        repr(TEXT.encode()),
        html.escape(TEXT),
        quote(TEXT),
        f"data={quote_plus(TEXT)}",
        f"2026-06-12 body: {TEXT} (401)",
        f"2026-06-12 body: {json.dumps(TEXT)[1:-1]} (401)",
        html.escape(json.dumps(TEXT)),
        json.dumps({"level": "info", "request": {"sizes": [1], "body": TEXT}}),
        f"2026-06-12 INFO {json.dumps({'body': TEXT})}",
    ],
)
def test_original_is_among_the_unwrapped_texts(wrapped: str) -> None:
    assert TEXT in texts_of(wrapped)


def test_line_breaks_and_tabs_inside_strings_become_escapes_again() -> None:
    assert r'{"a": "1\n2\t3\n4"}' in texts_of('{"a": "1\n2\t3\r\n4"}')


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        (repr({"a": None, "b": True, "c": "it's", "d": 'say "x"', "e": "é\n\\"}), None),
        ("{'a': False, 'b': [1.50, 'None']}", {"a": False, "b": [1.5, "None"]}),
        ('{"a"=>nil, "b"=>true, "c"=>"x=>y"}', {"a": None, "b": True, "c": "x=>y"}),
    ],
)
def test_printed_dictionary_is_read_as_json(printed: str, value: object) -> None:
    wanted = value or {"a": None, "b": True, "c": "it's", "d": 'say "x"', "e": "é\n\\"}
    found = []
    for text in texts_of(printed):
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    assert wanted in found


@given(st.text(max_size=200))
def test_any_text_is_unwrapped_without_an_error_and_nothing_comes_twice(text: str) -> None:
    found = texts_of(text)
    assert text not in found
    assert len(found) == len(set(found))


@pytest.mark.parametrize("text", ["'" * 60_000, "\"'" * 30_000, "\\" * 60_000, "'\\" * 30_000, "{" * 60_000 + "'}"])
def test_hostile_text_is_unwrapped_quickly(text: str) -> None:
    started = time.process_time()
    texts_of(text)
    assert time.process_time() - started < 2
