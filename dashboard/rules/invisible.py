"""Characters that nobody sees: control and format characters, bidirectional marks, and spaces other than the plain one.

Text from outside may hide them, by accident or to deceive. Views show each as its code: ⟨U+202E⟩.
"""

import re

_BLANK = re.compile(
    "["
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0"  # joiners and fillers, and the blank of Braille
    "\ufe00-\ufe0f\U000e0100-\U000e01ef"  # variation selectors
    "]"
)
"""Characters without ink that Python calls printable."""
_MAYBE = re.compile(r"[^\n\t\x20-\x7e]")


def is_visible(text: str) -> bool:
    """Return whether people see every character of the text. Line feeds and tabs are not seen."""
    return text.isprintable() and (text.isascii() or _BLANK.search(text) is None)


def visible(text: str) -> str:
    """Return the text with the code of each invisible character in its place. Line feeds and tabs stay."""
    return text if is_visible(text) else _MAYBE.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    char = match[0]
    return char if is_visible(char) else f"⟨U+{ord(char):04X}⟩"
