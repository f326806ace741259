"""Strict parsing of request bodies, with error messages for people.

An empty body is refused everywhere, on redeliver too: the reference page answers 400 to invalid JSON, and a lost
`{deliveryId}` must not turn into "requeue everything".
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser

from dashboard.partner_api.errors import BadRequest

MAX_BYTES = 64 * 1024
MAX_DEPTH = 16
"""Maximum nesting of objects and lists; no operation needs more than two levels."""
MAX_DIGITS = 640
"""Maximum digits of an integer. Python's own limit cannot be lower, so this one always applies first."""

TOO_LARGE = f"The body is larger than {MAX_BYTES // 1024} KiB."
TOO_DEEP = f"The body is nested more than {MAX_DEPTH} levels deep."
TOO_LONG = "The body contains a number with too many digits."
EMPTY = "The body is empty. Send a JSON object, at least {}."


class StrictParser(Parser):
    """A stricter parser for ninja: UTF-8 JSON objects only, each key once."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise BadRequest("Send the body as JSON, with the header Content-Type: application/json.")
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.lower() not in {"utf-8", "utf8"}:
            raise BadRequest("JSON must be UTF-8: encode the body as UTF-8, and leave charset out of Content-Type.")
        if len(request.body) > MAX_BYTES:
            raise BadRequest(TOO_LARGE)
        return load_object(request.body)


def load_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`.

    Raises: BadRequest.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    _check_depth(text)
    loaded = _parse(text)
    _check_values(loaded)
    if not isinstance(loaded, dict):
        raise BadRequest("The body must be a JSON object: { … }.")
    return loaded


def _parse(text: str) -> Any:  # noqa: ANN401 - JSON is of any kind
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole_number)
    except json.JSONDecodeError as error:
        raise BadRequest(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None


_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
# A string that is not closed reaches to the end: an error of the parser's, and no second look at the same characters.
_NO_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[^][{}"]+', re.DOTALL)


def _check_depth(text: str) -> None:
    """Count brackets before the parser does: how deep that can go depends on the version of Python."""
    steps = map(_STEPS.__getitem__, _NO_BRACKETS.sub("", text))
    if max(itertools.accumulate(steps), default=0) > MAX_DEPTH:
        raise BadRequest(TOO_DEEP)


def _check_values(loaded: object) -> None:
    """Refuse values that no field accepts, anywhere in the body, before other errors are reported."""
    values = [loaded]
    while values:
        for text in (value for value in values if isinstance(value, str)):
            _check_text(text)
        containers = [value for value in values if isinstance(value, (dict, list))]
        values = [inner for container in containers for inner in _inside(container)]


def _inside(container: dict[str, Any] | list[Any]) -> Iterator[Any]:
    yield from container
    if isinstance(container, dict):
        yield from container.values()


def _check_text(text: str) -> None:
    if "\0" in text:
        raise BadRequest("The body contains a NUL character, which no value may contain.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequest("The body contains half of a surrogate pair, which is not a character.") from None


def explain(errors: Iterable[dict[str, Any]]) -> BadRequest:
    """Return pydantic's errors as one error that names each field and says what to do."""
    fields: dict[str, str] = {}
    for error in errors:
        where, *location = error["loc"]
        path = _path(location[1:] if where == "body" else location)  # a body's has the parameter's name first
        if not path:
            return BadRequest(EMPTY)
        fields.setdefault(path, _words(error))
    return BadRequest("; ".join(f"{path} {words}" for path, words in fields.items()) + ".", details={"fields": fields})


def _path(location: Sequence[str | int]) -> str:
    """Return a place in the body as in JavaScript: eventTypes[1]. Cut short, because it may be the caller's own key."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    shown = text.removeprefix(".")
    return shown if len(shown) <= 100 else f"{shown[:100]}…"  # noqa: PLR2004


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this operation; remove it",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "too_short": "must not be empty",
    "too_long": "has too many entries",
    "date_from_datetime_parsing": "must be a day of the calendar",
    "date_parsing": "must be a day of the calendar",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
}


def _words(error: dict[str, Any]) -> str:
    kind = error["type"]
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if kind == "greater_than_equal":
        return f"must be at least {error['ctx']['ge']}"
    if kind == "less_than_equal":
        return f"must be at most {error['ctx']['le']}"
    if kind == "literal_error":
        return f"must be {error['ctx']['expected']}"
    return _WORDS.get(kind, f"cannot be used: {error['msg']}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("The body names a key more than once.")
    return found


def _whole_number(digits: str) -> int:
    if len(digits.removeprefix("-")) > MAX_DIGITS:
        raise BadRequest(TOO_LONG)
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is not valid JSON: {name} is not a JSON value.")
