"""A body as a tree: complete for an ordinary body, bounded for a hostile one."""

import json

import pytest

from dashboard.presenters.json_tree import CHARS, DEPTH, NODES, TEXT, Node, tree_of
from dashboard.rules import json_as_written, json_limits


def tree_from(body: bytes) -> Node | None:
    return tree_of(json_as_written.read(body))


def count(node: Node) -> int:
    return len(node.children) + sum(count(child) for child in node.children)


def depth(node: Node) -> int:
    return 1 + max((depth(child) for child in node.children), default=0)


def test_plain_body_is_shown_whole_and_in_its_order() -> None:
    tree = tree_from(b'{"id": "evt_1", "data": {"n": 1.50, "none": null}, "tags": [true]}')
    assert tree == Node("", "object", size=3, is_open=True, children=(
        Node("id", "text", '"evt_1"'),
        Node("data", "object", size=2, is_open=True, children=(
            Node("n", "plain", "1.50"), Node("none", "plain", "null"),
        )),
        Node("tags", "list", size=1, is_open=True, children=(Node("0", "plain", "true"),)),
    ))  # fmt: skip


@pytest.mark.parametrize("body", [b'"text"', b"7", b"null", b"1E400"])
def test_what_cannot_be_folded_has_no_tree(body: bytes) -> None:
    assert tree_from(body) is None


def test_body_of_the_greatest_depth_that_is_read_has_a_tree() -> None:
    depth = json_limits.DEPTH
    assert tree_from(b"[" * depth + b"]" * depth) is not None


def test_deep_body_ends_at_its_limit_and_says_so() -> None:
    tree = tree_from(b"[" * 200 + b"]" * 200)
    assert depth(tree) == DEPTH + 1
    while tree.children:
        tree = tree.children[0]
    assert (tree.size, tree.unshown) == (1, 1)


def test_wide_body_ends_at_its_limit_and_says_so() -> None:
    tree = tree_from(json.dumps(list(range(5000))).encode())
    assert (count(tree), tree.size, tree.unshown) == (NODES, 5000, 5000 - NODES)


def test_long_texts_are_cut_and_a_page_of_them_too() -> None:
    tree = tree_from(json.dumps(["x" * 2000] * 500).encode())
    assert tree.children[0].text == '"' + "x" * (TEXT - 1) + "… (2,002 characters)"
    assert len(tree.children) <= CHARS // TEXT
    assert tree.unshown == 500 - len(tree.children)


def test_numbers_doubled_keys_and_escapes_are_shown_as_they_were_sent() -> None:
    tree = tree_from(rb'{"n": 1E400, "n": 12345678901234567890123, "": -0, "caf\u00e9": "\u202e\n\u00e9\ud800"}')
    assert [(node.name, node.kind, node.text) for node in tree.children] == [
        ("n", "plain", "1E400"),
        ("n", "plain", "12345678901234567890123"),
        ('""', "plain", "-0"),
        ("café", "text", r'"\u202e\né\ud800"'),
    ]
    assert tree.holds == "4 fields"


def test_characters_that_cannot_be_seen_are_shown_as_their_codes() -> None:
    tree = tree_from('{"id\u200b": "con\u00a0\u202e1", "list": [{"\ufeff": []}]}'.encode())
    assert [(node.name, node.text) for node in tree.children[:1]] == [("id⟨U+200B⟩", '"con⟨U+00A0⟩⟨U+202E⟩1"')]
    assert tree.children[1].children[0].children[0].name == "⟨U+FEFF⟩"


def test_byte_order_mark_before_the_json_is_ignored() -> None:
    assert tree_from(b'\xef\xbb\xbf{"a": 1}') == tree_from(b'{"a": 1}')
