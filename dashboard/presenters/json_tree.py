"""A JSON body as a foldable tree, limited in size, because the body is untrusted."""

import json
from dataclasses import dataclass

from dashboard.rules import json_limits

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


def tree_of(*, body: bytes) -> Node | None:
    """Return the tree of an object or list; None for any other body, which cannot fold."""
    try:
        value = json_limits.loads(body)
    except ValueError:
        return None
    return _node("", value, 0, _Budget()) if isinstance(value, dict | list) else None


def _node(name: str, value: object, depth: int, budget: _Budget) -> Node:
    if isinstance(value, dict):
        return _branch(name, "object", list(value.items()), depth, budget)
    if isinstance(value, list):
        return _branch(name, "list", [(str(index), item) for index, item in enumerate(value)], depth, budget)
    text = _shown(json.dumps(value, ensure_ascii=False))
    budget.chars -= len(text)
    return Node(_shown(name), "text" if isinstance(value, str) else "plain", text)


def _branch(name: str, kind: str, items: list[tuple[str, object]], depth: int, budget: _Budget) -> Node:
    children: list[Node] = []
    for key, item in items if depth < DEPTH else ():
        if budget.nodes <= 0 or budget.chars <= 0:
            break
        budget.nodes -= 1
        budget.chars -= min(len(key), TEXT)
        children.append(_node(key, item, depth + 1, budget))
    return Node(
        _shown(name),
        kind,
        size=len(items),
        children=tuple(children),
        unshown=len(items) - len(children),
        is_open=depth < OPEN_TO,
    )


def _shown(text: str) -> str:
    whole = text if len(text) <= TEXT else f"{text[:TEXT]}… ({len(text):,} characters)"
    return "".join(char if char.isprintable() else "\ufffd" for char in whole)
