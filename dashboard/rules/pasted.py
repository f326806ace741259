"""What copying adds around a value, and what is wrong with the rest.

The one owner of the rule: for tokens, IDs, codes, URLs and addresses that people paste, and for settings. What copying
adds is removed: spaces and invisible characters, quotation marks, backticks, a comma after the value, the brackets of a
list with one value. Everything else is left as it is, or refused with the reason. No message repeats the text.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.rules import json_limits
from dashboard.rules.invisible import is_visible
from dashboard.rules.secret_texts import OBSERVATION_KEY_START, SIGNING_SECRET_START, TOKEN_START, has_secret

TOKEN_CHARS = 200
"""Most characters of an install's token."""
SECRET_CHARS = 300
"""Most characters of a signing secret."""
MARKS = (
    '"\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02',  # double ones, then single ones
    "'\u2018\u2019\u201a\u201b\u2039\u203a\uff07",
    "`",
    "\\",  # ends a line in a shell
)
"""Quotation marks that belong together."""
_EVERY_MARK = "".join(MARKS)
_ESCAPED = re.compile(r"""^\\+(?=["'])|\\+(?=["']$)""")
"""Quotation marks of a string in a log."""
_MARK = f"[{re.escape(_EVERY_MARK)}]"
_HYPHENS = {0x2010: "-", 0x2011: "-"}
"""Hyphens that word processors use instead of "-"."""
_SAME_LOOK = str.maketrans(
    "\u043e\u0440\u0441\u0435\u0442\u043a\u0455\u04bb\u041e\u0420\u0421\u0415\u0422\u041a\u03bf\u03c1\u03ba\u03c4\u2010\u2011",
    "opcetkshOPCETKopkt--",
)
"""Cyrillic and Greek letters of the beginnings of secrets, and hyphens."""
_LINES = re.compile(r"[\n\r\v\f\x85\u2028\u2029]+")
_COMMAS = re.compile(r"[,;]")
_AFTER = ",;"
_NOT_OF_A_TOKEN = _EVERY_MARK + "{}[],; "
_ID = re.compile(r"(?=.*[0-9])[A-Za-z0-9_.:-]{6,}")
"""What OpenTrain's IDs look like: enough to tell a list of them from one ID of another form."""
_ID_IN_WORDS = re.compile(
    r"(?<![\w.:/@-])(?:[A-Za-z]{2,12}_(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]*[A-Za-z0-9]"
    r"|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})(?![\w@])"
)
"""An ID among words: a prefix, an underscore and characters with a digit among them ("evt_12ab"), or a UUID."""
_PLAIN = re.compile(r"[\w.:+@/ -]+")
_IN_BRACKETS = re.compile(r"<(?:URL:)?((?:https?://|mailto:)[^\s<>]+|[^\s<>@]+@[^\s<>@]+)>", re.IGNORECASE)
_NAMED_ADDRESS = re.compile(r"[^<>@]*<([^\s<>@]+@[^\s<>@]+)>")
_LABEL = re.compile(rf"[^:=\n]{{0,80}}[:=]\s*{_MARK}?\s*(?:bearer\s+)?{_MARK}?|bearer\s+{_MARK}?", re.IGNORECASE)
_ID_LABEL = re.compile(
    r"""["'`]?(?:x-opentrain-)?(?:delivery|event|resource|endpoint|request|install|organization|contract|job"""
    r"""|(?:project[ _-]?)?link|(?:external[ _-]?)?project)"""
    r"""[ _-]?(?:id)?["'`]?\s*[:=]\s*""",
    re.IGNORECASE,
)
_IPV6 = re.compile(r"\[[0-9a-fA-F:.]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*\]")
_MASKS = ("…", "...", "•", "●", "*")


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of secret: how it begins, its names, and what a character of it may be."""

    start: str
    short: str
    name: str
    most_chars: int
    char: re.Pattern[str]


_TOKEN = _Kind(TOKEN_START, "token", "install token", TOKEN_CHARS, re.compile(r"[A-Za-z0-9._~+/-]"))
"""The characters' source: RFC 6750, 2.1."""
_SIGNING_SECRET = _Kind(SIGNING_SECRET_START, "signing secret", "signing secret", SECRET_CHARS, re.compile(r"[!-~]"))
_NAMES = {
    TOKEN_START: "an install token",
    SIGNING_SECRET_START: "a signing secret",
    OBSERVATION_KEY_START: "an observation key",
}


class Unusable(ValueError):
    """The text is not one value of its kind. The message says why, and never repeats the text."""


def trimmed(text: str) -> str:
    """Return the text without invisible characters and spaces around it, and with ordinary spaces inside.

    Invisible characters are also removed inside a text of plain ASCII; names in some languages need them.
    """
    if text.isascii():
        return text.strip()
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)
    shown = without_invisible(spaced)
    if "".join(char for char in shown if char not in _EVERY_MARK).translate(_HYPHENS).isascii():
        return shown.strip()
    begin, end = 0, len(spaced)
    while begin < end and (_is_hidden(spaced[begin]) or spaced[begin].isspace()):
        begin += 1
    while begin < end and (_is_hidden(spaced[end - 1]) or spaced[end - 1].isspace()):
        end -= 1
    return spaced[begin:end]


def without_invisible(text: str) -> str:
    """Return the text without invisible characters, such as zero-width spaces and byte order marks."""
    return "".join(char for char in text if not _is_hidden(char))


def _is_hidden(char: str) -> bool:
    """Return whether the character has neither ink nor width, or is a blank that Python calls printable."""
    is_blank = char.isprintable() and not is_visible(char)
    return not char.isascii() and (is_blank or unicodedata.category(char) == "Cf")


def bare(text: str) -> str:
    """Return the value without what copying adds around it. A list of several values stays as it is."""
    value = trimmed(text)
    while True:
        stripped = trimmed(_unwrapped(value.rstrip(_AFTER).strip()))
        if stripped == value:
            return value
        value = stripped


def term(text: str) -> str:
    """Return a text to search or filter by: `bare` if that is plain, else unchanged but for the spaces around it.

    IDs and names that came from outside may have any characters, and links to them carry them as they are.
    """
    value = bare(text)
    return value if _PLAIN.fullmatch(value) else text.strip()


def values(text: str) -> list[str]:
    """Return the values of a list: JSON, or separated by commas, semicolons or lines. Empty ones are left out."""
    found = _listed(trimmed(text))
    parts = found if found is not None else _COMMAS.split(_LINES.sub(",", trimmed(text)))
    return [value for part in parts if (value := bare(part))]


def one(text: str, *, what: str) -> str:
    """Return the one value of the text, or "" if there is none. `what` names its kind: "token".

    Raises: Unusable if there are several lines or values.
    """
    listed = _listed(trimmed(text))
    lines = listed if listed is not None else _LINES.split(bare(text))
    found = [value for line in lines if (value := bare(line))]
    if len(found) > 1:
        shape = f"a list of {len(found)} values" if listed is not None else _count(len(found), "line")
        raise Unusable(f"This contains {shape}. Paste only one {what}.")
    return found[0] if found else ""


def identifier(text: str, *, what: str = "ID") -> str:
    """Return the one ID of the text, without the name before it ("X-OpenTrain-Delivery: …"), or "" if there is none.

    Of a sentence ("why did evt_12ab fail?"), it is the one ID among its words. A text without any is returned as it is.

    Raises: Unusable if there are several IDs, or a secret.
    """
    if has_secret(text):
        raise Unusable(f"This contains a token, key or secret. Paste only the {what}.")
    among_words = ids_among_words(text)
    if len(among_words) == 1:
        return among_words[0]
    value = bare(_ID_LABEL.sub("", one(text, what=what), count=1)).translate(_HYPHENS)
    found = [bare(part) for part in re.split(r"[,;\s]+", value) if part]
    if len(found) > 1 and all(_ID.fullmatch(part) for part in found):
        raise Unusable(f"This contains {len(found)} IDs. Paste only one {what}.")
    if among_words:
        raise Unusable(f"This contains {len(among_words)} IDs. Paste only one {what}.")
    return value if _PLAIN.fullmatch(value) else text.strip()


def searched_ids(text: str) -> tuple[str, ...]:
    """Return the spellings of the ID of a search text, which may also be a name: then, of the name."""
    try:
        return spellings(identifier(text))
    except Unusable:
        return (text,)


def ids_among_words(text: str) -> tuple[str, ...]:
    """Return the different IDs of a text of several words, in its order."""
    plain = trimmed(text).translate(_HYPHENS)
    return tuple(dict.fromkeys(_ID_IN_WORDS.findall(plain))) if len(plain.split()) > 1 else ()


def spellings(identifier: str) -> tuple[str, ...]:
    """Return how an ID may be written that people give, the likeliest first.

    As given; with its prefix in lower case, because phones and sentences begin with a capital; all in lower case; with
    capitals after its prefix; and all in capitals. So an ID is found in any case unless it mixes both after its prefix:
    no index ignores case, and such an ID is only found as it is.
    """
    if not identifier.isascii():
        return (identifier,)
    prefix, mark, rest = identifier.partition("_")
    begins = f"{prefix.lower()}{mark}"
    found = (identifier, f"{begins}{rest}" if mark else identifier, identifier.lower())
    return tuple(dict.fromkeys((*found, f"{begins}{rest.upper()}" if mark else identifier, identifier.upper())))


def url(text: str) -> str:
    """Return the one URL of the text, or "" if there is none. Raises: Unusable if there are several."""
    value = one(text, what="URL")
    found = [part for part in re.split(r"[,;\s]+", value) if re.match(r"https?://", part, re.IGNORECASE)]
    if len(found) > 1:
        raise Unusable(f"This contains {len(found)} URLs. Paste only one URL.")
    return value.replace("\\/", "/")  # PHP writes slashes in JSON so


def mail_address(text: str) -> str:
    """Return the one email address of the text, also of a link ("mailto:…") or with a name ("Ana <ana@…>").

    Raises: Unusable if there are several.
    """
    value = one(text, what="address")
    if value.lower().startswith("mailto:"):
        value = value[len("mailto:") :].partition("?")[0]
    if value.count("@") > 1:
        raise Unusable(f"This contains {value.count('@')} addresses. Paste only one address.")
    named = _NAMED_ADDRESS.fullmatch(value)
    return named[1] if named else value


def token(text: str) -> str:
    """Return the install token of the text, or "" if it is empty. Takes a header or a variable with its name too.

    Raises: Unusable if there is no token, more than one, or one that no client could send.
    """
    return _secret(text, _TOKEN)


def signing_secret(text: str) -> str:
    """Return the signing secret of the text, or "" if it is empty. Takes a variable with its name too.

    Raises: Unusable if there is no signing secret, or more than one.
    """
    return _secret(text, _SIGNING_SECRET)


def _secret(text: str, kind: "_Kind") -> str:
    if text.count(kind.start) > 1:
        raise Unusable(f"This contains {text.count(kind.start)} {kind.short}s. Paste only one {kind.short}.")
    value = one(text, what=kind.short)
    before, start, rest = value.partition(kind.start)
    if start and _LABEL.fullmatch(before):
        value = bare((start + rest).rstrip(_NOT_OF_A_TOKEN))
    reason = _not_of_kind(value, kind)
    if value and reason:
        raise Unusable(reason)
    return value


def check_secret(text: str) -> str:
    """Return the text of a signing secret unchanged. Raises: Unusable if it is several, or a secret of another kind."""
    if text.count(SIGNING_SECRET_START) > 1:
        raise Unusable(f"This contains {text.count(SIGNING_SECRET_START)} signing secrets. Paste only one.")
    for start, name in ((TOKEN_START, "an install token"), (OBSERVATION_KEY_START, "an observation key")):
        if start in text and SIGNING_SECRET_START not in text:
            raise Unusable(f"This is {name} ({start}…), not a signing secret ({SIGNING_SECRET_START}…).")
    return text


def user_name(text: str) -> str:
    """Return the one user name of the text, or "" if there is none. Raises: Unusable if there are several lines."""
    return one(text, what="user name")


def code(text: str, *, lengths: Sequence[int]) -> str:
    """Return the digits of a one-time code, or "" if it is empty. `lengths` are the numbers of digits that codes have.

    Raises: Unusable if the text has anything but digits, spaces and hyphens, or no code's length.
    """
    value = unicodedata.normalize("NFKC", one(text, what="code"))
    digits = "".join(char for char in value if not char.isspace() and unicodedata.category(char) != "Pd")
    if not digits:
        return ""
    if not digits.isdecimal():
        raise Unusable("A code has digits only. Paste only the code.")
    plain = "".join(str(unicodedata.decimal(digit)) for digit in digits)
    if len(plain) not in lengths:
        known = " or ".join(str(length) for length in sorted(lengths))
        raise Unusable(f"This has {_count(len(plain), 'digit')}. A code has {known}: paste only one code.")
    return plain


def not_a_key(header: str) -> str:
    """Say why an Authorization header holds no known observation key, as far as its form shows."""
    if not header.strip():
        return "No key was sent."
    scheme, _, key = header.strip().partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer":
        return "The header does not begin with Bearer."
    if not key:
        return "There is no key after Bearer."
    if key != bare(key) or key.lower().startswith("bearer "):
        return "Quotation marks, spaces, another Bearer or other characters stand around the key: remove them."
    if key.startswith((TOKEN_START, SIGNING_SECRET_START)):
        return "This is an install token or a signing secret, not an observation key."
    return "This key is unknown."


def _not_of_kind(value: str, kind: "_Kind") -> str:
    """Return why the value is not a secret of this kind, or ""."""
    if not value.startswith(kind.start):
        return f"{_taken_for(value, kind)} {kind.name.capitalize()}s begin with {kind.start}."
    if len(value) > kind.most_chars:
        most = f"a {kind.short} has at most {kind.most_chars}"
        return f"This has {len(value)} characters; {most}. Paste only the {kind.short}."
    return _not_whole(value.removeprefix(kind.start), kind)


def _not_whole(rest: str, kind: "_Kind") -> str:
    """Return what is wrong with a secret after its beginning, or ""."""
    if not rest:
        return f"This is only the beginning of a {kind.short} ({kind.start}). Paste the complete {kind.short}."
    if any(mask in rest for mask in _MASKS):
        return f"This {kind.short} is shortened or masked. Copy the complete {kind.short}."
    if any(char.isspace() for char in rest):
        return f"This {kind.short} has a space in the middle. Paste only the {kind.short}, in one piece."
    others = sum(kind.char.fullmatch(char) is None for char in rest.rstrip("="))
    if others:
        wrong = f"{_count(others, 'character')} that no {kind.short} can have"
        return f"This {kind.short} has {wrong}. Copy it again, as plain text."
    return ""


def _taken_for(value: str, kind: "_Kind") -> str:
    """Say what a text of another kind is, as far as its beginning shows."""
    for start, name in _NAMES.items():
        if value.startswith(start):
            return f"This is {name} ({start}…), not {_NAMES[kind.start]}."
    if re.match(r"https?://", value, re.IGNORECASE):
        return f"This is a URL, not {_NAMES[kind.start]}."
    if re.search(rf"[\W_]{kind.start}", value, re.ASCII):
        return f"Other text stands before the {kind.short}: paste only the {kind.short}."
    if value.lower().startswith(kind.start):
        return f"Upper and lower case were changed. Copy the {kind.short} again."
    if not value.isascii() and kind.start in _lookalike(value):
        return f"This {kind.short} has characters that only look like its own. Copy it again, as plain text."
    return f"This is not {_NAMES[kind.start]}."


def _lookalike(value: str) -> str:
    """Return the text with plain characters for full-width ones and for letters that look the same."""
    return unicodedata.normalize("NFKC", value).translate(_SAME_LOOK).lower()


def _unwrapped(value: str) -> str:
    """Remove the marks around a value. If it contains the same marks, it has several values, and they stay."""
    bracketed = _IN_BRACKETS.fullmatch(value)
    if bracketed:
        return bracketed[1]
    value = _ESCAPED.sub("", value)
    for marks in MARKS:
        inner = value.strip(marks)
        if inner and inner != value and not any(mark in inner for mark in marks):
            return inner
    return value


def _listed(text: str) -> list[str] | None:
    """Return the values of a list in brackets (JSON, or Python's with single quotation marks); None for other text."""
    if not (text.startswith("[") and text.endswith("]")) or _IPV6.search(text):
        return None
    try:
        found = json_limits.loads(text)
    except ValueError:
        return _COMMAS.split(_LINES.sub(",", text[1:-1]))
    return [one if isinstance(one, str) else str(one) for one in found]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
