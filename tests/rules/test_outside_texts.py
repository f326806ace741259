"""Texts and times from outside: cut with a mark, never altered unseen."""

from datetime import UTC, datetime

import pytest

from dashboard.rules.outside_texts import EARLIEST, LATEST, cut, is_whole, moment, on_one_line, storable, unchanged


@pytest.mark.parametrize(
    ("text", "expected"), [("", ""), ("abc", "abc"), ("abcde", "abcde"), ("abcdef", "abcd…"), ("a" * 10_000, "aaaa…")]
)
def test_cut_marks_what_it_cuts(text: str, expected: str) -> None:
    assert cut(text, most=5) == expected
    assert is_whole(expected) == (expected == text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud800", "?"),
        ("ä\n", "ä\n"),
        ("\U0001f600" * 5, "\U0001f600" * 5),
        ("abcdef", "abcd…"),
    ],
)
def test_storable_text_has_no_character_that_postgresql_refuses(text: str, expected: str) -> None:
    assert storable(text, most=5) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\n b\x00", "a b"),
        ("\ud800\u202e\u00a0", "\ufffd\u202e\u00a0"),
        ("a\x1b[\u2028b", "a [ b"),
        (" a ", "a"),
        ("abcdef", "abcd…"),
    ],
)
def test_on_one_line_replaces_control_characters(text: str, expected: str) -> None:
    assert on_one_line(text, most=5) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abcde", "abcde"),
        ("abcdef", "abcd…"),
        ("a\x00", "a…"),
        ("a  b", "a b…"),
        ("a\nbcd", "a bc…"),
        ("\ud800", "\ufffd…"),
        ("a\u200b", "a\u200b"),
        ("abcd…", "abcd…"),
    ],
)
def test_unchanged_text_is_the_same_or_says_that_it_is_not(text: str, expected: str) -> None:
    assert unchanged(text, most=5) == expected
    assert is_whole(expected) == (expected == text and not text.endswith("…"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-12T10:00:00.000Z", datetime(2026, 6, 12, 10, tzinfo=UTC)),
        ("2026-06-12T10:00:00+02:00", datetime(2026, 6, 12, 8, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", EARLIEST),
        ("3000-01-01T00:00:00Z", LATEST),
        ("1969-12-31T23:59:59Z", None),
        ("3000-01-01T00:00:00.001Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("10000-01-01T00:00:00Z", None),
        ("2026-06-12T10:00:00", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_moment_is_a_plausible_time_with_its_zone(text: str, expected: datetime | None) -> None:
    assert moment(text) == expected
