"""What languages make of JSON, and who may have written a body."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.doctor.rewriters import NAMED, is_index, writers_of

PYTHON = "Python (json.loads, json.dumps)"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab/é<", max_size=3), inner, max_size=4),
    max_leaves=12,
)


def writers(signed: str, received: str) -> list[str]:
    return writers_of(signed=signed.encode(), received=received.encode())


@pytest.mark.parametrize(
    ("signed", "received", "writer"),
    [
        ('{"a":{},"b":{"0":1,"1":2}}', '{"a":[],"b":[1,2]}', "PHP (json_decode($body, true), json_encode)"),
        ('{"a":{},"b":"c/d"}', '{"a":{},"b":"c\\/d"}', "PHP (json_decode, json_encode)"),
        ('{"a":12345678901234567890}', '{"a":1.2345678901234567e+19}', "PHP (json_decode, json_encode)"),
        ('{"a":"é/","b":1.0}', '{\n    "a": "\\u00e9\\/",\n    "b": 1\n}', "PHP (json_decode, json_encode)"),
        ('{"c":1,"1":0,"b":2}', '{"1":0,"c":1,"b":2}', "JavaScript (JSON.parse, JSON.stringify)"),
        ('{"a":1E400}', '{"a":null}', "JavaScript (JSON.parse, JSON.stringify)"),
        ('{"b":"<é","a":1.0}', '{"a":1,"b":"\\u003cé"}\n', "Go (encoding/json with a map)"),
        ('{"b":"<é=","a":1.0}', '{"b":"\\u003cé=","a":1.0}', "Rails (to_json)"),
        ('{"b":"<é\'","a":1.50}', '{"b":"\\u003C\\u00E9\\u0027","a":1.50}', ".NET (System.Text.Json)"),
        ('{"b":"x=y","a":1,"c":12345678}', '{"b":"x\\u003dy","a":1.0,"c":1.2345678E7}', "Java (Gson with a map)"),
    ],
)
def test_writer_is_known_by_what_only_it_writes(signed: str, received: str, writer: str) -> None:
    assert writers(signed, received) == [writer]


@given(value=JSON, indent=st.sampled_from([None, 2]), sort=st.booleans(), escape=st.booleans())
def test_what_python_writes_is_known_as_pythons(value, indent, sort: bool, escape: bool) -> None:
    signed = json.dumps(value, separators=(",", ":"))
    received = json.dumps(json.loads(signed), indent=indent, sort_keys=sort, ensure_ascii=escape)
    found = writers(signed, received)
    assert found == [] if signed == received else PYTHON in found or len(found) > NAMED


def test_same_text_has_no_writer_whatever_its_line_end() -> None:
    assert writers('{"a":1}', '{"a":1}\r\n') == []


def test_text_without_anything_characteristic_names_few_and_says_that_there_are_more() -> None:
    found = writers('{ "a": 1 }', '{"a":1}')
    assert (len(found), found[-1]) == (NAMED + 1, "another JSON library")


@pytest.mark.parametrize("text", ["", "x", "[" * 300, "9" * 700])
def test_what_is_no_json_has_no_writer(text: str) -> None:
    assert writers(text, "[]") == writers("[]", text) == []


@pytest.mark.parametrize(
    ("name", "yes"), [("0", True), ("10", True), ("01", False), ("-1", False), ("4294967295", False), ("a", False)]
)
def test_is_index_is_javascripts_rule(name: str, yes: bool) -> None:
    assert is_index(name) is yes
