"""What a rewriting lost and the doctor puts back, within limits."""

import time

import pytest

from dashboard.rules.doctor.restored import MOST, MOST_BYTES, restored


def texts_of(text: str) -> list[str]:
    return [new for _how, new in restored([("", text)])]


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        ("[[],[],[]]", "[[],{},[]]"),
        ("[{},1]", "[[],1]"),
        ("[1,2,3]", "[1,2.0,3]"),
        ("[1,2,3]", "[1.00,2.00,3.00]"),
        ("[1.5,2.25]", "[1.50,2.25]"),
        ("[1.0,2.5]", "[1,2.5]"),
        ("[[],250,7]", "[{},250.0,7]"),
        ("[null,null]", "[null,1E400]"),
        ("[-Infinity]", "[-1e309]"),
        ("[9007199254740992]", "[9007199254740993]"),
        ("[-12345678901234567000]", "[-12345678901234567890]"),
        ('{"1":"[] 1 null"}', '{"1":"[] 1 null"}'),
    ],
)
def test_signed_text_is_among_the_restored_ones(text: str, signed: str) -> None:
    assert signed in texts_of(text) or (text == signed and texts_of(text) == [])


@pytest.mark.parametrize("places", [range(10), range(0)])
def test_all_combinations_of_ten_places_are_tried(places: range) -> None:
    text = "[" + ",".join("[]" for _ in places) + "]"
    found = {one for how, one in restored([("", text)]) if "[]" in how}
    assert len(found) == (2 ** len(places) - 1 if places else 1)


def test_how_it_differs_is_counted() -> None:
    hows = {new: how for how, new in restored([("written as JSON", "[[],{},1,2]")])}
    assert hows["[{},{},1,2]"] == "written as JSON, with {} instead of [] in 1 place"
    assert hows["[{},[],1.0,2.0]"] == (
        "written as JSON, with .0 after 2 numbers and with {} instead of [] in 1 place "
        "and with [] instead of {} in 1 place"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" + "[]," * 20_000 + "1]",
        "[" + "1," * 30_000 + "1]",
        "[" + "null," * 12_000 + "1]",
        "[" + "12345678901234567000," * 3_000 + "1]",
        "[" + "[],1,1.0,null,12345678901234567000," * 20 + "1]",
    ],
)
def test_work_is_bounded(text: str) -> None:
    started = time.process_time()
    found = texts_of(text)
    assert len(found) <= MOST
    assert sum(map(len, found)) <= 1.1 * MOST_BYTES
    assert time.process_time() - started < 3
