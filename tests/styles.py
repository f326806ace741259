"""`make styles`: writes static/css/tabler.css, the part of Tabler's style sheet that our pages can use.

Tabler is some 80 KB compressed, and nine tenths of it style components that we do not use. A rule is kept if each
class in it appears as a word in the templates, the scripts or the Python code; rules without a class are kept. This
keeps too much rather than too little, and the same sources always give the same file.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WHOLE = ROOT / "static/vendor/tabler-1.6.1/tabler.min.css"
USED = ROOT / "static/css/tabler.css"
HEAD = (
    "/* What our pages use of Tabler 1.6.1 (static/vendor/tabler-1.6.1, MIT). Made by `make styles`: do not edit. */\n"
)
_WORD = re.compile(r"[A-Za-z][\w-]*")
_CLASS = re.compile(r"\.(-?[A-Za-z_](?:[\w-]|\\.)*)")
_CHOICE = re.compile(r":(?:not|is|where|has)\((?:[^()]|\([^()]*\))*\)")
_GROUPS = ("@media", "@supports", "@layer", "@container")


def words() -> set[str]:
    """Return every word in the sources that may be a class name."""
    sources = [*ROOT.glob("templates/**/*"), *ROOT.glob("static/js/*.js"), *ROOT.glob("dashboard/**/*.py")]
    return {word for source in sources if source.is_file() for word in _WORD.findall(source.read_text())}


def used(*, css: str, names: set[str]) -> str:
    """Return the rules whose classes are all in `names`, and the keyframes that these rules use."""
    text = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    kept = "".join(_kept(text, names))
    for name in set(re.findall(r"@keyframes ([\w-]+)", kept)):
        if not re.search(rf"(?:animation[\w-]*|--[\w-]+):[^;}}]*\b{re.escape(name)}\b", kept):
            kept = re.sub(rf"@keyframes {re.escape(name)}{{(?:[^{{}}]*{{[^{{}}]*}})*}}", "", kept)
    return kept


def _kept(text: str, names: set[str]) -> Iterator[str]:
    for head, block in _rules(text):
        if block is None:
            continue  # the character set: the server's header states it
        elif head.startswith(_GROUPS):
            inner = "".join(_kept(block, names))
            if inner:
                yield f"{head}{{{inner}}}\n"
        elif head.startswith("@"):
            yield f"{head}{{{block}}}\n"
        else:
            selectors = [one for one in _split(head) if set(_CLASS.findall(_CHOICE.sub("", one))) <= names]
            if selectors:
                yield f"{','.join(selectors)}{{{block}}}\n"


def _rules(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the text before each block, and the block; None for a statement without a block."""
    start = at = 0
    while at < len(text):
        if text[at] == ";":
            yield text[start:at].strip(), None
            start = at + 1
        elif text[at] == "{":
            end = _end_of_block(text, at)
            yield text[start:at].strip(), text[at + 1 : end]
            start = at = end + 1
            continue
        at = _after(text, at)


def _end_of_block(text: str, at: int) -> int:
    depth = 0
    while True:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
        at = _after(text, at)


def _after(text: str, at: int) -> int:
    """Return the position after this character, or after the string that starts here."""
    if text[at] not in "\"'":
        return at + 1
    end = at + 1
    while text[end] != text[at]:
        end += 2 if text[end] == "\\" else 1
    return end + 1


def _split(selectors: str) -> list[str]:
    """Split at commas outside parentheses, brackets and strings."""
    found, depth, start, at = [], 0, 0, 0
    while at < len(selectors):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(selectors[at], 0)
        if selectors[at] == "," and depth == 0:
            found.append(selectors[start:at])
            start = at + 1
        at = _after(selectors, at)
    return [*found, selectors[start:]]


def make() -> str:
    """Return the complete contents of the file."""
    return HEAD + used(css=WHOLE.read_text(), names=words())


if __name__ == "__main__":
    USED.write_text(make())
