"""Signs that a body was rewritten or damaged, for when nothing proves it. They suggest; they decide nothing."""

import re
from collections.abc import Sequence

from dashboard.rules.doctor.json_texts import shortest

READ_CHARS = 64 * 1024
"""How much of a body is searched."""
_LARGE = re.compile(r"(?<![\w.\"])[1-9][0-9]{16,25}(?![\w.\"])")
_SIGNS: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile("\ufffd"), "It contains U+FFFD: something read it in a wrong character set and lost characters."),
    (re.compile(r"\[object Object\]"), "It contains [object Object], which JavaScript writes instead of an object."),
    (re.compile(r"[\"\w]\\/"), "It has slashes as \\/, as PHP's json_encode writes them."),
    (re.compile(r"[:\[,]\s*-?(?:Infinity|NaN)\b"), "It has NaN or Infinity, as Python's json.dumps writes them."),
    (re.compile(r"\.\.\.\W*$|\u2026\W*$"), "It seems to be cut off: it ends with an ellipsis."),
    (re.compile(r"\[redacted\]|\[filtered\]|\*{6}", re.IGNORECASE), "It has values that were masked."),
    (re.compile(r"\A\s*\{\s*'"), "It is a printed dictionary, not JSON."),
    (re.compile(r"&quot;|&#34;"), "It has HTML entities."),
)


def signs_of(body: bytes) -> list[str]:
    """Return the signs in the body, as sentences that repeat nothing of it."""
    text = body[:READ_CHARS].decode(errors="ignore")
    found = [words for pattern, words in _SIGNS if pattern.search(text)]
    if any(shortest(float(match[0])) == match[0] for match in _LARGE.finditer(text)):
        found.append("It has a large number that ends in zeros, as JavaScript rounds it.")
    return found
