"""Texts that a pasted body may have been before a log, a console, a mail or a copy escaped or wrapped it."""

import base64
import binascii
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from urllib.parse import unquote, unquote_plus

from dashboard.rules import json_limits
from dashboard.rules.pasted import MARKS, without_invisible

TIMES = 2
"""How often a text may have been wrapped: a log of JSON that holds JSON."""
_PYTHON_TEXT = re.compile(r"""[bB]?(?P<quote>['"])(?:[^'"\\]|\\.|(?!(?P=quote))['"])*(?P=quote)""", re.DOTALL)
_PRINTED = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|=>|\bNone\b|\bTrue\b|\bFalse\b|\bnil\b|[^'"=NTFn]+|.""", re.DOTALL
)
_PRINTED_WORDS = {"None": "null", "nil": "null", "True": "true", "False": "false", "=>": ":"}
_ESCAPE = re.compile(
    r"\\(?:x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8})|(?P<one>.))", re.DOTALL
)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_RAW = re.compile(r"\r\n|[\n\t]")
_RAW_ESCAPES = {"\r\n": "\\n", "\n": "\\n", "\t": "\\t"}
_LINE_ENDS = re.compile(r"\r?\n[ \t]*")
_FORM_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,40}=(?=[%{\[])")


def unwrapped(text: str) -> Iterator[tuple[str, str]]:
    """Yield how each text differs from the given one, and the text. Never the given text itself."""
    seen, texts = {text}, [("", text)]
    for _ in range(TIMES):
        found = [(f"{before}, then {how}" if before else how, new) for before, old in texts for how, new in _once(old)]
        texts = []
        for how, new in found:
            if new not in seen and new:
                seen.add(new)
                texts.append((how, new))
                yield how, new


def _once(text: str) -> Iterator[tuple[str, str]]:
    for how, unwrap in _UNWRAPPINGS:
        try:
            new = unwrap(text)
        except ValueError:
            continue
        if new is not None:
            yield how, new


def _json_string(text: str) -> str | None:
    return _string_in(text.strip()) if text.strip().startswith('"') else None


def _inner(text: str) -> str | None:
    return _string_in(f'"{text.strip()}"') if "\\" in text else None


def _string_in(text: str) -> str | None:
    value = json_limits.Decoder(strict=False).decode(text)
    return value if isinstance(value, str) else None


def _record(text: str) -> str | None:
    """Return the first string with JSON in it of a record: structured logs keep a body in a field."""
    values = [json_limits.loads(text)] if text.lstrip().startswith("{") else []
    while values:
        value = values.pop(0)
        if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
            return value
        values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return None


def _in_one_line(text: str) -> str:
    """Return JSON with escapes for the line breaks and tabs that stand inside its strings."""
    return _STRING.sub(lambda found: _RAW.sub(lambda raw: _RAW_ESCAPES[raw[0]], found[0]), text)


def _python_string(text: str) -> str | None:
    literal = text.strip()
    if _PYTHON_TEXT.fullmatch(literal) is None:
        return None
    is_bytes = literal[0] in "bB"
    content = _ESCAPE.sub(_character, literal[2:-1] if is_bytes else literal[1:-1])
    return content.encode("latin-1").decode() if is_bytes else content


def _character(escape: re.Match[str]) -> str:
    """Return the character of an escape in a string of Python or Ruby. Raises: ValueError if there is none."""
    code = escape["x"] or escape["u"] or escape["U"]
    if code:
        return chr(int(code, 16))
    return {"n": "\n", "r": "\r", "t": "\t"}.get(escape["one"]) or (
        escape["one"] if escape["one"] in "\\'\"/" else escape[0]
    )


def _printed(text: str) -> str | None:
    """Return a printed dictionary of Python or Ruby as JSON."""
    if not text.strip().startswith(("{", "[")) or not ("'" in text or "=>" in text):
        return None
    return "".join(_printed_token(match[0]) for match in _PRINTED.finditer(text))


def _printed_token(token: str) -> str:
    if token[0] in "'\"" and len(token) > 1:
        return json.dumps(_ESCAPE.sub(_character, token[1:-1]), ensure_ascii=False)
    return _PRINTED_WORDS.get(token, token)


def _form(text: str) -> str | None:
    field = _FORM_FIELD.match(text)
    plain = unquote_plus(text[field.end() :] if field else text).removesuffix("=")
    return plain if field or "%" in text or text.endswith("}=") else None


def _base64(text: str) -> str | None:
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except binascii.Error:
        return None


def _csv(text: str) -> str | None:
    cell = text.strip()
    is_cell = len(cell) > 1 and cell.startswith('"') and cell.endswith('"') and '""' in cell
    return cell[1:-1].replace('""', '"') if is_cell else None


def _straight(text: str) -> str:
    return "".join('"' if char in MARKS[0] else "'" if char in MARKS[1] else char for char in text)


def _braces(text: str) -> str | None:
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else None


def _plain_spaces(text: str) -> str:
    return without_invisible(text).replace("\u00a0", " ")


_UNWRAPPINGS: tuple[tuple[str, Callable[[str], str | None]], ...] = (
    ("as the content of this JSON string", _json_string),
    ('with the escapes of a log undone (\\" and \\n)', _inner),
    ("as the content of a field of this record", _record),
    ("with \\n and \\t for the line breaks and tabs inside its strings", _in_one_line),
    ("with single instead of doubled backslashes", lambda text: text.replace("\\\\", "\\")),
    ("as the content of this Python string", _python_string),
    ("as the JSON of this printed dictionary", _printed),
    ("with its HTML entities (&quot;) decoded", html.unescape),
    ("as the content of this form field", _form),
    ("with its percent-encoding decoded", unquote),
    ("decoded from base64", _base64),
    ("with the doubled quotation marks of a CSV file undone", _csv),
    ("with plain instead of curly quotation marks", _straight),
    ("without its invisible characters", _plain_spaces),
    ("without its line breaks", lambda text: _LINE_ENDS.sub("", text)),
    ("with spaces instead of its line breaks", lambda text: _LINE_ENDS.sub(" ", text)),
    ("without the text before and after its braces", _braces),
    ("with composed characters (Unicode NFC)", lambda text: unicodedata.normalize("NFC", text)),
    ("with decomposed characters (Unicode NFD)", lambda text: unicodedata.normalize("NFD", text)),
)
