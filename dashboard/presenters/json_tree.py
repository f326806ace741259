"""A JSON body as a foldable tree, limited in size, because the body is untrusted."""

from dataclasses import dataclass
from typing import Any

from dashboard.rules import json_as_written
from dashboard.rules.invisible import visible
from dashboard.rules.json_as_written import Fields

DEPTH = 12
NODES = 1000
CHARS = 50_000
TEXT = 500
"""Limits: depth, nodes, total characters, characters per value. The tree says what it leaves out."""
OPEN_TO = 2
"""Depth down to which objects and lists are open."""


@dataclass(frozen=True, slots=True)
class Node:
    """A named value: `text` of a plain value, or `children` of an object or list with `size` entries."""

    name: str
    kind: str
    text: str = ""
    size: int = 0
    children: tuple["Node", ...] = ()
    unshown: int = 0
    is_open: bool = False

    @property
    def is_branch(self) -> bool:
        return self.kind in {"object", "list"}

    @property
    def holds(self) -> str:
        """Return "1 item" or "3 fields"."""
        what = "item" if self.kind == "list" else "field"
        return f"{self.size} {what}" if self.size == 1 else f"{self.size} {what}s"


@dataclass(slots=True)
class _Budget:
    """Remaining nodes and characters of a tree."""

    nodes: int = NODES
    chars: int = CHARS


def tree_of(value: object) -> Node | None:
    """Return the tree of an object or list of rules/json_as_written.py; None for any other value, which cannot fold."""
    return _node("", value, 0, _Budget()) if isinstance(value, list) else None


def _node(name: str, value: object, depth: int, budget: _Budget) -> Node:
    if isinstance(value, Fields):
        return _branch(name, "object", value, depth, budget)
    if isinstance(value, list):
        return _branch(name, "list", value, depth, budget)
    text = _shown(json_as_written.plain(value))
    budget.chars -= len(text)
    return Node(_name(name), "text" if text.startswith('"') else "plain", text)


def _branch(name: str, kind: str, items: list[Any], depth: int, budget: _Budget) -> Node:
    children: list[Node] = []
    named = items if kind == "object" else ((str(index), item) for index, item in enumerate(items))
    for key, item in named if depth < DEPTH else ():
        if budget.nodes <= 0 or budget.chars <= 0:
            break
        budget.nodes -= 1
        budget.chars -= min(len(key), TEXT)
        children.append(_node(key or '""', item, depth + 1, budget))
    return Node(
        _name(name),
        kind,
        size=len(items),
        children=tuple(children),
        unshown=len(items) - len(children),
        is_open=depth < OPEN_TO,
    )


def _name(key: str) -> str:
    return _shown(json_as_written.readable(key))


def _shown(text: str) -> str:
    return visible(text if len(text) <= TEXT else f"{text[:TEXT]}… ({len(text):,} characters)")
