"""The original bodies that a rewritten body may come from."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.doctor.bodies import READ_BYTES, SMALL_BYTES, variants

COMPACT = b'{"id":"evt_1","type":"x","data":{"b":1,"a":2}}'
INDENTED = json.dumps(json.loads(COMPACT), indent=2).encode()


def bodies_of(body: bytes) -> list[bytes]:
    return [variant.body for variant in variants(body)]


@pytest.mark.parametrize(
    ("received", "signed"),
    [
        (b"x\n", b"x"),
        (b"x\r\n", b"x"),
        (b"x", b"x\n"),
        (b"x", b"x\r\n"),
        (b"  x ", b"x"),
        (b"a\r\nb", b"a\nb"),
        (b"a\nb", b"a\r\nb"),
        (b"\xef\xbb\xbfx", b"x"),
        (b"x", b"\xef\xbb\xbfx"),
        ("é".encode("latin-1"), "é".encode()),
        ("x".encode("utf-16"), b"x"),
        (json.dumps(json.loads(COMPACT)).encode(), COMPACT),
        (INDENTED, COMPACT),
        (COMPACT, INDENTED),
        (COMPACT, COMPACT + b"\n"),
        (b'{"type":"x","id":"evt_1"}', b'{"id":"evt_1","type":"x"}'),
        (b'{"b":1,"a":2}', b'{"a":2,"b":1}'),
        ('{"a":"é"}'.encode(), b'{"a":"\\u00e9"}'),
        (json.dumps(COMPACT.decode()).encode(), COMPACT),
    ],
)
def test_signed_body_is_among_the_variants_of_the_received_one(received: bytes, signed: bytes) -> None:
    assert signed in bodies_of(received)


@pytest.mark.parametrize(
    "logged",
    [
        json.dumps('{"a":250,"b":[],"c":"d"}'),
        json.dumps('{"a":250,"b":[],"c":"d"}')[1:-1],
        json.dumps({"level": "info", "body": '{"a":250,"b":[],"c":"d"}'}),
    ],
)
def test_body_that_was_rewritten_and_then_logged_is_found(logged: str) -> None:
    found = [variant for variant in variants(logged.encode()) if variant.body == b'{"a":250.0,"b":{},"c":"d"}']
    assert [variant.is_guess for variant in found] == [True]


@given(st.one_of(st.binary(max_size=200), st.recursive(st.integers() | st.text(max_size=9), st.lists).map(
    lambda value: json.dumps(value).encode()
)))  # fmt: skip
def test_no_variant_is_the_body_and_none_comes_twice(body: bytes) -> None:
    found = bodies_of(body)
    assert body not in found
    assert len(found) == len(set(found))


def test_body_is_not_shown_in_the_repr_of_a_variant() -> None:
    assert "evt_1" not in repr(next(variants(COMPACT)))


def test_body_beyond_the_limit_is_not_guessed_at() -> None:
    assert bodies_of(b"x" * (READ_BYTES + 1)) == []
    assert b"x" * READ_BYTES + b"\n" in bodies_of(b"x" * READ_BYTES)


def test_large_json_is_not_indented() -> None:
    large = json.dumps(["x" * SMALL_BYTES]).encode()
    assert json.dumps(json.loads(large), indent=2).encode() not in bodies_of(large)
