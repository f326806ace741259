"""Limits for JSON from outside, the same on every Python version.

Python's own limits are not reliable. 3.11 refuses JSON nested about 1,000 levels deep, minus the calls in progress;
3.12 and later accept many thousands. The limit on digits can be changed by an environment variable.
"""

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

DEPTH = 200
"""Most levels of nested objects and lists; OpenTrain's own bodies and responses have fewer than ten."""
DIGITS = 640
"""Most digits of an integer. Python's own limit cannot be set lower, so this one always applies first."""

VALUES = 500_000
"""Most values of a response from OpenTrain: about 17 of each endpoint, in a list that is never paged."""
BOM = "\ufeff"

_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
# An unclosed string extends to the end: the parser reports it, and no character is scanned twice.
_NO_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[^][{}"]+', re.DOTALL)
_NO_MARKS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[^][{}",]+|[]}]', re.DOTALL)


class TooDeep(json.JSONDecodeError):
    """The JSON has more than DEPTH levels."""


class Decoder(json.JSONDecoder):
    """The json decoder within these limits, for code that takes a decoder class, such as Django's JSONField.

    Raises: JSONDecodeError (TooDeep is a subclass); never RecursionError.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - json's
        super().__init__(**{"parse_int": _whole_number, **options})

    def decode(self, s: str, *args: Any) -> Any:  # noqa: ANN401 - json's
        check_depth(s)
        return super().decode(s, *args)


def loads(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:  # noqa: ANN401 - JSON is Any
    """Return what `json.loads` returns, within these limits.

    A byte order mark before the JSON is ignored, also in a text. Source: RFC 8259, 8.1.

    `parse_constant` is the argument of `json.loads`, called for NaN and infinities: Python accepts them, JSON does not.

    Raises: ValueError if the text is not JSON, is not in UTF-8, -16 or -32, or has an integer of more than DIGITS
    digits; TooDeep, a ValueError, if it is nested too deeply.
    """
    if not isinstance(text, str):
        text = text.decode(json.detect_encoding(text), "surrogatepass")
    decoder = _DECODER if parse_constant is None else Decoder(parse_constant=parse_constant)
    return decoder.decode(text.removeprefix(BOM))


def check_depth(text: str) -> None:
    """Check the nesting depth. Brackets inside strings do not count. Raises: TooDeep if it exceeds DEPTH."""
    if text.count("[") + text.count("{") <= DEPTH:
        return
    brackets = _NO_BRACKETS.sub("", text)
    if max(itertools.accumulate(map(_STEPS.__getitem__, brackets)), default=0) > DEPTH:
        raise TooDeep(f"More than {DEPTH} levels", text, 0)


def has_more_values(text: str, *, than: int) -> bool:
    """Return whether JSON has more values than a number, without reading it: each takes memory, however short it is."""
    if text.count(",") + text.count("[") + text.count("{") <= than:
        return False
    return len(_NO_MARKS.sub("", text)) > than  # without those inside strings


def _whole_number(digits: str) -> int:
    if len(digits.removeprefix("-")) > DIGITS:
        raise json.JSONDecodeError(f"A number of more than {DIGITS} digits", digits, 0)
    return int(digits)


_DECODER = Decoder()
