"""Parsing of the documentation for tests: pages, tables, links, anchors and commands."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[(?:[^\]]*)\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
SHELL = {"", "sh"}
"""Languages of shell blocks."""


def pages() -> list[Path]:
    """Return the README, every page of the docs, and the files that GitHub shows to contributors."""
    return [README, ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")), *sorted((ROOT / ".github").rglob("*.md"))]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and images."""
    return _LINK.findall(_CODE.sub("", prose(page)))


def code_spans(page: Path) -> list[str]:
    return _CODE.findall(prose(page))


def shell_blocks(page: Path) -> list[str]:
    """Return a page's shell blocks."""
    return [block for language, block in _FENCE.findall(page.read_text()) if language in SHELL]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub generates them."""
    return {_slug(heading) for heading in _HEADING.findall(prose(page))}


def _slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a page's shell block, with its arguments."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


_HEREDOC = re.compile(r"<<'(\w+)'\n.*?^\1$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s)#.*$", re.MULTILINE)
_QUOTED = re.compile(r"'[^']*'|\"(?:\$\([^()]*\)|[^\"])*\"")
_BETWEEN = re.compile(r"&&|;|\||\n|\$\(|\(|\)")
_ASSIGNMENT = re.compile(r"[A-Z_]+=\S*")
_SHELL = {"cd", "set", "unset", ".", "export", "umask", "alias", "printf", "echo", "cat", "mkdir", "cp"}
"""Standard shell commands, which need no test."""


def commands() -> Iterator[Command]:
    """Yield every command of the shell blocks of all pages, except standard shell commands."""
    for page in pages():
        for block in shell_blocks(page):
            yield from (Command(name_of(page), words) for words in _commands(block))


def _commands(block: str) -> Iterator[tuple[str, ...]]:
    text = _HEREDOC.sub("", block.replace("\\\n", " "))
    text = _COMMENT.sub("", _QUOTED.sub("QUOTED", text))
    for part in _BETWEEN.split(text):
        words = part.split()
        while words and _ASSIGNMENT.fullmatch(words[0]):
            words = words[1:]
        if words and words[0] not in _SHELL:
            yield tuple(words)
