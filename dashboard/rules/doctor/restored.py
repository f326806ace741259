"""Bodies with something put back that a rewriting lost: {} that became [], 250.0 that became 250, rounded numbers.

What was lost is not in the text, so the doctor tries what may have been there. The work is bounded by MOST, MOST_OF_ONE
and MOST_BYTES.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence

from dashboard.rules.doctor.json_texts import shortest

MOST = 16_000
"""Maximum number of texts for one body."""
MOST_OF_ONE = 1_024
"""Maximum number of texts for one kind of loss: all combinations of ten places."""
MOST_BYTES = 16 * 1024 * 1024
"""Maximum number of bytes of all texts of one body."""
_EXACT = 2**53
"""From here on, a double is not exact for every whole number."""
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|\[\s*\]|\{\s*\}|null|-?Infinity|[^"\[{n0-9I-]+|.',
    re.DOTALL,
)
_WHOLE = re.compile(r"-?[0-9]{1,17}")
_FRACTION = re.compile(r"-?[0-9]{1,17}\.[0-9]")
_LARGE = re.compile(r"-?[1-9][0-9]{15,25}")
_INFINITE = ("1E400", "1e400", "1e+400", "1E+400", "1e309", "1E309", "1e999", "1E999")


def restored(bases: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield texts that may have become the given ones, with how they differ: "with {} instead of []".

    `bases` are forms of one body, with how they differ from it.
    """
    longest = max((len(text.encode(errors="replace")) for _how, text in bases), default=0)
    most = min(MOST, MOST_BYTES // max(longest, 1))
    yield from itertools.islice(_all(bases), most)


def _all(bases: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for kind in (_infinite, _empties_and_numbers, _rounded):
        for before, text in bases:
            for how, new in kind(_TOKEN.findall(text)):
                yield f"{before}, {how}" if before else how, new


def _empties_and_numbers(tokens: list[str]) -> Iterator[tuple[str, str]]:
    empties = _places(tokens, _other_empty)
    for how, change in _NUMBERS:
        numbers = _places(tokens, change)
        if numbers or not how:
            yield from itertools.islice(_combined(tokens, empties, numbers, how), MOST_OF_ONE)


def _places(tokens: list[str], change: Callable[[str], str | None]) -> dict[int, str]:
    """Return the changed tokens by their index."""
    return {index: new for index, token in enumerate(tokens) if (new := change(token)) is not None}


def _combined(
    tokens: list[str], empties: dict[int, str], numbers: dict[int, str], how_numbers: str
) -> Iterator[tuple[str, str]]:
    """Yield the text with every combination of changes, the likeliest first: all, then few."""
    places = [*numbers, *empties]
    for chosen in _subsets(places):
        if not chosen or (numbers and not any(index in numbers for index in chosen)):
            continue
        changed = list(tokens)
        for index in chosen:
            changed[index] = numbers[index] if index in numbers else empties[index]
        yield _how(changed, chosen, numbers, how_numbers), "".join(changed)


def _how(changed: list[str], chosen: tuple[int, ...], numbers: dict[int, str], how_numbers: str) -> str:
    count = sum(index in numbers for index in chosen)
    hows = [f"{how_numbers} {count} number{'s' * (count != 1)}"] if count else []
    for empty, other in (("{}", "[]"), ("[]", "{}")):
        count = sum(index not in numbers and changed[index] == empty for index in chosen)
        hows += [f"with {empty} instead of {other} in {count} place{'s' * (count != 1)}"] if count else []
    return " and ".join(hows)


def _subsets(places: list[int]) -> Iterator[tuple[int, ...]]:
    yield tuple(places)
    for size in range(1, len(places)):
        yield from itertools.combinations(places, size)


def _other_empty(token: str) -> str | None:
    if token[0] in "[{" and len(token) > 1:
        return "{}" if token[0] == "[" else "[]"
    return None


def _with_fraction(token: str) -> str | None:
    return f"{token}.0" if _WHOLE.fullmatch(token) else None


def _with_cents(token: str) -> str | None:
    if _WHOLE.fullmatch(token):
        return f"{token}.00"
    return f"{token}0" if _FRACTION.fullmatch(token) else None


def _without_fraction(token: str) -> str | None:
    return token.removesuffix(".0") if _FRACTION.fullmatch(token) and token.endswith(".0") else None


_NUMBERS: Sequence[tuple[str, Callable[[str], str | None]]] = (
    ("", lambda _token: None),
    ("with .0 after", _with_fraction),
    ("with two decimals in", _with_cents),
    ("without .0 in", _without_fraction),
)


def _rounded(tokens: list[str]) -> Iterator[tuple[str, str]]:
    """Yield texts with each whole number that a double rounds to the one in the text, one number at a time."""
    return itertools.islice(_each_rounded(tokens), 2 * MOST_OF_ONE + 1)


def _each_rounded(tokens: list[str]) -> Iterator[tuple[str, str]]:
    for index, token in enumerate(tokens):
        if _LARGE.fullmatch(token) and abs(int(token)) >= _EXACT and shortest(float(token)) == token:
            for whole in _rounding_to(float(token)):
                changed = "".join((*tokens[:index], str(whole), *tokens[index + 1 :]))
                yield "with a large number as it was before it was rounded", changed


def _rounding_to(number: float) -> Iterator[int]:
    """Yield the whole numbers that a double rounds to `number`, the nearest first."""
    middle, reach = int(number), int(math.ulp(number)) // 2 + 1
    for step in range(reach + 1):
        for whole in {middle + step, middle - step}:
            if float(whole) == number:
                yield whole


def _infinite(tokens: list[str]) -> Iterator[tuple[str, str]]:
    """Yield texts with a number beyond a double's range instead of null or Infinity, one at a time."""
    return itertools.islice(_each_infinite(tokens), MOST_OF_ONE)


def _each_infinite(tokens: list[str]) -> Iterator[tuple[str, str]]:
    for index, token in enumerate(tokens):
        if token in {"null", "Infinity", "-Infinity"}:
            sign = "-" * token.startswith("-")
            for number in _INFINITE:
                changed = "".join((*tokens[:index], sign + number, *tokens[index + 1 :]))
                yield "with a number beyond a double's range, such as 1E400, instead of null or Infinity", changed
