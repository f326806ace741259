"""What common languages make of a body when they read its JSON and write it again.

The doctor applies this to the body that the signature proves, and compares the result with the pasted one. So it names
a writer only where the result is the same to the byte.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dashboard.rules.doctor.json_texts import Number, decoded, read, shortest

NAMED = 3
"""Most writers to name. If more of them write the same, the text has nothing characteristic."""
_INT64 = 2**63
_NOT_HTML = re.compile("[<>&\u2028\u2029]")
_NOT_NET = re.compile(r"[^\x00-\x7f]|[<>&'+`\x7f]")
_NOT_GSON = re.compile("[<>&='\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class _Style:
    """How a writer writes. `arrays`: objects are read into arrays; `indexes_first`: keys that are numbers go first."""

    number: Callable[[str], str]
    string: Callable[[str], str]
    item: str = ","
    key: str = ":"
    is_sorted: bool = False
    arrays: bool = False
    indexes_first: bool = False
    indent: str = ""


def writers_of(*, signed: bytes, received: bytes) -> list[str]:
    """Return who writes `signed` as `received`, a final newline aside: nobody if only that differs."""
    try:
        text, given = (decoded(body).rstrip("\r\n").replace("\r\n", "\n") for body in (signed, received))
        value = read(text)
    except ValueError:
        return []
    if text == given:
        return []
    found = list(dict.fromkeys(_matching(value, given)))
    if _PHP in found and _PHP_ARRAYS in found:
        found.remove(_PHP_ARRAYS)
    return found if len(found) <= NAMED else [*found[:NAMED], "another JSON library"]


def _matching(value: object, given: str) -> Iterator[str]:
    for name, style in _WRITERS:
        try:
            if _text(value, style, 0) == given:
                yield name
        except ValueError:  # this writer refuses the value, such as an infinity
            continue


def _text(value: object, style: _Style, depth: int) -> str:
    if isinstance(value, Number):
        return style.number(value)
    if isinstance(value, str):
        return style.string(value)
    if isinstance(value, dict | list):
        return _container(value, style, depth)
    return json.dumps(value)


def _container(value: dict[str, object] | list[object], style: _Style, depth: int) -> str:
    if style.arrays and isinstance(value, dict) and list(value) == [str(index) for index in range(len(value))]:
        value = list(value.values())
    opened, closed = "{}" if isinstance(value, dict) else "[]"
    if not value:
        return opened + closed
    line, last = (f"\n{style.indent * at}" if style.indent else "" for at in (depth + 1, depth))
    return f"{opened}{line}{f'{style.item}{line}'.join(_members(value, style, depth + 1))}{last}{closed}"


def _members(value: dict[str, object] | list[object], style: _Style, depth: int) -> list[str]:
    if isinstance(value, list):
        return [_text(one, style, depth) for one in value]
    names = sorted(value) if style.is_sorted else list(value)
    if style.indexes_first:
        names.sort(key=lambda name: (0, int(name)) if is_index(name) else (1, 0))
    return [f"{style.string(name)}{style.key}{_text(value[name], style, depth)}" for name in names]


def is_index(name: str) -> bool:
    """Return whether JavaScript moves the key before others. Source: ECMA-262, OrdinaryOwnPropertyKeys."""
    return bool(re.fullmatch(r"0|[1-9][0-9]{0,9}", name)) and int(name) < 2**32 - 1


def _finite(token: str) -> float:
    number = float(token)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _javascript_number(token: str) -> str:
    number = float(token)
    return shortest(number) if math.isfinite(number) else "null"


def _go_number(token: str) -> str:
    return shortest(_finite(token))


def _is_whole(token: str) -> bool:
    return token.removeprefix("-").isdecimal()


def _python_number(token: str) -> str:
    if _is_whole(token):
        return str(int(token))
    number = float(token)
    return repr(number) if math.isfinite(number) else json.dumps(number)


def _php_number(token: str) -> str:
    if _is_whole(token) and -_INT64 <= int(token) < _INT64:
        return str(int(token))
    number = _finite(token)
    if not number:
        return "-0.0" if token.startswith("-") else "0"
    if not -5 <= math.floor(math.log10(abs(number))) < 17:  # noqa: PLR2004 - PHP's
        digits, power = _scientific(number)
        return f"{digits}e{power:+d}"
    return shortest(number)


def _gson_number(token: str) -> str:
    number = _finite(token)
    if number and not 1e-3 <= abs(number) < 1e7:  # noqa: PLR2004 - Java's
        digits, power = _scientific(number)
        return f"{digits}E{power}"
    return repr(number)


def _scientific(number: float) -> tuple[str, int]:
    """Return the digits of a number as "1.5" with its power of ten."""
    short = next(text for width in range(1, 18) if float(text := f"{number:.{width}e}") == number)
    mantissa, _, power = short.partition("e")
    whole, _, fraction = mantissa.partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}", int(power)


def _kept(token: str) -> str:
    return token


def _raw(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _ascii(text: str) -> str:
    return json.dumps(text)


def _php(*, slashes: bool, characters: bool) -> Callable[[str], str]:
    def write(text: str) -> str:
        written = _raw(text) if characters else _ascii(text)
        return written if slashes else written.replace("/", "\\/")

    return write


def _escaping(pattern: re.Pattern[str], form: str) -> Callable[[str], str]:
    def write(text: str) -> str:
        inner = _raw(text)[1:-1].replace('\\"', form.format(0x22)) if form == _UPPER else _raw(text)[1:-1]
        return f'"{pattern.sub(lambda match: _units(match[0], form), inner)}"'

    return write


def _units(char: str, form: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(form.format(int.from_bytes(units[at : at + 2], "big")) for at in range(0, len(units), 2))


_LOWER, _UPPER = "\\u{:04x}", "\\u{:04X}"
_html, _net, _gson = _escaping(_NOT_HTML, _LOWER), _escaping(_NOT_NET, _UPPER), _escaping(_NOT_GSON, _LOWER)
_JAVASCRIPT, _PHP = "JavaScript (JSON.parse, JSON.stringify)", "PHP (json_decode, json_encode)"
_PHP_ARRAYS = "PHP (json_decode($body, true), json_encode)"
_PYTHON, _GO = "Python (json.loads, json.dumps)", "Go (encoding/json with a map)"
_RUBY, _RAILS, _NET = "Ruby (JSON.parse, JSON.generate)", "Rails (to_json)", ".NET (System.Text.Json)"
_GSON = "Java (Gson with a map)"


def _php_styles() -> Iterator[tuple[str, _Style]]:
    for slashes in (False, True):
        for characters in (False, True):
            string = _php(slashes=slashes, characters=characters)
            for name, arrays in ((_PHP, False), (_PHP_ARRAYS, True)):
                yield name, _Style(_php_number, string, arrays=arrays)
                yield name, _Style(_php_number, string, arrays=arrays, key=": ", indent="    ")


def _python_styles() -> Iterator[tuple[str, _Style]]:
    for string in (_ascii, _raw):
        for is_sorted in (False, True):
            yield _PYTHON, _Style(_python_number, string, ", ", ": ", is_sorted)
            yield _PYTHON, _Style(_python_number, string, ",", ":", is_sorted)
            for indent in ("  ", "    "):
                yield _PYTHON, _Style(_python_number, string, ",", ": ", is_sorted, indent=indent)


_WRITERS: Sequence[tuple[str, _Style]] = (
    (_JAVASCRIPT, _Style(_javascript_number, _raw, indexes_first=True)),
    (_JAVASCRIPT, _Style(_javascript_number, _raw, key=": ", indexes_first=True, indent="  ")),
    (_JAVASCRIPT, _Style(_javascript_number, _raw, key=": ", indexes_first=True, indent="    ")),
    *_php_styles(),
    *_python_styles(),
    (_GO, _Style(_go_number, _html, is_sorted=True)),
    (_GO, _Style(_go_number, _html, key=": ", is_sorted=True, indent="  ")),
    (_RUBY, _Style(_python_number, _raw)),
    (_RUBY, _Style(_python_number, _raw, key=": ", indent="  ")),
    (_RAILS, _Style(_python_number, _html)),
    (_NET, _Style(_kept, _net)),
    (_NET, _Style(_kept, _net, key=": ", indent="  ")),
    (_GSON, _Style(_gson_number, _gson)),
)
