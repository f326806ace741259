"""A body as a tree: complete for an ordinary body, bounded for a hostile one."""

import json

import pytest

from dashboard.presenters.json_tree import CHARS, DEPTH, NODES, TEXT, Node, tree_of
from dashboard.rules import json_limits


def count(node: Node) -> int:
    return len(node.children) + sum(count(child) for child in node.children)


def depth(node: Node) -> int:
    return 1 + max((depth(child) for child in node.children), default=0)


def test_plain_body_is_shown_whole_and_in_its_order() -> None:
    tree = tree_of(body=b'{"id": "evt_1", "data": {"n": 1.50, "none": null}, "tags": [true]}')
    assert tree == Node("", "object", size=3, is_open=True, children=(
        Node("id", "text", '"evt_1"'),
        Node("data", "object", size=2, is_open=True, children=(
            Node("n", "plain", "1.5"), Node("none", "plain", "null"),
        )),
        Node("tags", "list", size=1, is_open=True, children=(Node("0", "plain", "true"),)),
    ))  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff", b'"text"', b"7", b"[" * 200_000])
def test_what_cannot_be_folded_has_no_tree(body: bytes) -> None:
    assert tree_of(body=body) is None


def test_body_below_the_depth_that_is_read_has_no_tree() -> None:
    depth = json_limits.DEPTH
    assert tree_of(body=b"[" * depth + b"]" * depth) is not None
    assert tree_of(body=b"[" * (depth + 1) + b"]" * (depth + 1)) is None


def test_deep_body_ends_at_its_limit_and_says_so() -> None:
    tree = tree_of(body=b"[" * 200 + b"]" * 200)
    assert depth(tree) == DEPTH + 1
    while tree.children:
        tree = tree.children[0]
    assert (tree.size, tree.unshown) == (1, 1)


def test_wide_body_ends_at_its_limit_and_says_so() -> None:
    tree = tree_of(body=json.dumps(list(range(5000))).encode())
    assert (count(tree), tree.size, tree.unshown) == (NODES, 5000, 5000 - NODES)


def test_long_texts_are_cut_and_a_page_of_them_too() -> None:
    tree = tree_of(body=json.dumps(["x" * 2000] * 500).encode())
    assert tree.children[0].text == '"' + "x" * (TEXT - 1) + "… (2,002 characters)"
    assert len(tree.children) <= CHARS // TEXT
    assert tree.unshown == 500 - len(tree.children)


def test_characters_that_cannot_be_seen_are_not_sent() -> None:
    tree = tree_of(body=b'{"\\u202e\\u0000": "\\u001b[2J\\ud800"}')
    assert tree.children[0].name == "\ufffd\ufffd"
    assert "\\u001b" in tree.children[0].text
    assert tree.children[0].text.isprintable()
