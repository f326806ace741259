"""Limits for JSON that comes from outside, the same on every Python version.

Python's own limits are no contract. 3.11 refuses JSON that is nested about 1,000 levels deep, less the calls that are
in progress; 3.12 and later accept many thousands. The limit on digits can be changed from the environment.
"""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

DEPTH = 200
"""Most levels of objects and lists inside each other; OpenTrain's own bodies and answers have fewer than ten."""
DIGITS = 640
"""Most digits of a whole number. Python's own limit cannot be set lower, so this one always comes first."""

_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
# A string that is not closed reaches to the end: an error of the parser's, and no second look at the same characters.
_NO_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[^][{}"]+', re.DOTALL)


class TooDeep(json.JSONDecodeError):
    """The JSON has more than DEPTH levels."""


class Decoder(json.JSONDecoder):
    """json's own decoder within our limits, for code that takes a decoder class, such as Django's JSONField.

    Raises: JSONDecodeError, of which TooDeep is one; never RecursionError.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - json's
        super().__init__(**{"parse_int": _whole_number, **options})

    def decode(self, s: str, *args: Any) -> Any:  # noqa: ANN401 - json's
        check_depth(s)
        return super().decode(s, *args)


def loads(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:  # noqa: ANN401 - JSON is Any
    """Return what `json.loads` returns, within our limits.

    `parse_constant` is json's: it is called for NaN and the infinities, which Python accepts and JSON does not have.

    Raises: ValueError, when the text is not JSON, is not in UTF-8, -16 or -32, or has a number of more than DIGITS
    digits; TooDeep, which is a ValueError.
    """
    return json.loads(text, cls=Decoder, parse_constant=parse_constant)


def check_depth(text: str) -> None:
    """Raises: TooDeep, when more than DEPTH brackets are open at once. Brackets inside strings do not count."""
    if text.count("[") + text.count("{") <= DEPTH:
        return
    brackets = _NO_BRACKETS.sub("", text)
    if max(itertools.accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH:
        raise TooDeep(f"More than {DEPTH} levels", text, 0)


def _whole_number(digits: str) -> int:
    if len(digits.removeprefix("-")) > DIGITS:
        raise json.JSONDecodeError(f"A number of more than {DIGITS} digits", digits, 0)
    return int(digits)
