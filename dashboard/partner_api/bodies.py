"""Read a request's body strictly, and say in words what is wrong with it.

An empty body is refused everywhere, on redeliver too: the reference page answers 400 to what is not valid JSON, and a
`{deliveryId}` that was lost on its way must not turn into "requeue everything".
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser

from dashboard.partner_api.errors import BadRequest

MAX_BYTES = 64 * 1024
TOO_LARGE = f"The body is larger than {MAX_BYTES // 1024} KiB."
EMPTY = "The body is empty. Send a JSON object, at least {}."


class StrictParser(Parser):
    """ninja's parser, without its leniency: UTF-8 JSON objects only, each key once."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise BadRequest("Send the body as JSON, with the header Content-Type: application/json.")
        if len(request.body) > MAX_BYTES:
            raise BadRequest(TOO_LARGE)
        return load_object(request.body)


def load_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`.

    Raises: BadRequest.
    """
    try:
        loaded = json.loads(body.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
        json.dumps(loaded, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise BadRequest(
            f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    except UnicodeEncodeError:
        raise BadRequest("The body holds half of a surrogate pair, which is not a character.") from None
    except (ValueError, RecursionError) as error:
        raise BadRequest("The body is not valid JSON: it is nested too deeply, or a number is too long.") from error
    if not isinstance(loaded, dict):
        raise BadRequest("The body must be a JSON object: { … }.")
    return loaded


def explain(errors: Iterable[dict[str, Any]]) -> BadRequest:
    """Turn pydantic's findings into one error that names each field and says what to do."""
    fields: dict[str, str] = {}
    for error in errors:
        path = _path(error["loc"][2:])  # without ("body", the parameter's name)
        if not path:
            return BadRequest(EMPTY)
        fields.setdefault(path, _words(error))
    return BadRequest("; ".join(f"{path} {words}" for path, words in fields.items()) + ".", details={"fields": fields})


def _path(location: Sequence[str | int]) -> str:
    """Write a place in the body as JavaScript would: eventTypes[1]. Cut short, as it may be the caller's own key."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    shown = text.removeprefix(".")
    return shown if len(shown) <= 100 else f"{shown[:100]}…"  # noqa: PLR2004


_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this operation; remove it",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "string_too_long": "is too long",
}


def _words(error: dict[str, Any]) -> str:
    kind = error["type"]
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if kind == "literal_error":
        return f"must be {error['ctx']['expected']}"
    return _WORDS.get(kind, f"cannot be used: {error['msg']}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadRequest("The body names a key more than once.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"The body is not valid JSON: {name} is not a JSON value.")
