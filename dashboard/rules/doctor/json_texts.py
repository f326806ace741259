"""JSON read for writing it anew: every number keeps its digits, as an HMAC covers "250.0" and not a number."""

import json
import re
from decimal import Decimal

from dashboard.rules import json_limits

_NUMBER = "\x01#"
"""Begins a string that stands for a number."""
_WRITTEN_NUMBER = re.compile(r'"\\u0001#([^"]*)"')


class Number(str):
    """A number as it is written, or NaN or an infinity."""

    __slots__ = ()


def read(text: str) -> object:
    """Return the value with a `Number` for each number. Raises: ValueError beyond the limits of JSON from outside."""
    return json_limits.Decoder(parse_int=_whole, parse_float=Number, parse_constant=Number).decode(text)


def decoded(raw: bytes) -> str:
    """Return the text of JSON in UTF-8, -16 or -32. Raises: ValueError."""
    return raw.decode(json.detect_encoding(raw), "surrogatepass")


def marked(value: object) -> object:
    """Return the value with strings for its numbers, which `unmarked` turns into numbers after json wrote them."""
    if isinstance(value, Number):
        return _NUMBER + value
    if isinstance(value, dict):
        return {name: marked(one) for name, one in value.items()}
    return [marked(one) for one in value] if isinstance(value, list) else value


def unmarked(text: str) -> str:
    return _WRITTEN_NUMBER.sub(r"\1", text)


def is_markable(text: str) -> bool:
    """Return whether no string of the JSON text looks like a marked number."""
    return "\\u0001#" not in text


def shortest(number: float) -> str:
    """Return a number as JavaScript writes it. Source: ECMA-262, Number::toString."""
    if number == 0:
        return "0"
    exact = Decimal(repr(number)).normalize()
    exponent = exact.adjusted()
    if -7 < exponent < 21:  # noqa: PLR2004 - the standard's
        return format(exact, "f")
    digits = "".join(map(str, exact.as_tuple().digits))
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{'-' * (number < 0)}{digits[0]}{fraction}e{exponent:+d}"


def _whole(digits: str) -> Number:
    if len(digits.removeprefix("-")) > json_limits.DIGITS:
        raise json.JSONDecodeError("A number of too many digits", digits, 0)
    return Number(digits)
