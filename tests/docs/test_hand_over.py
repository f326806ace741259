"""What partners read of the events that Redeliver hands over is what handlers get."""

import json
import re
from typing import Any

from tests.docs.pages import DOCS
from tests.rules.test_reconstruction import built


def shape(value: Any) -> Any:
    """Return an object's keys in their order, with those of the objects in it."""
    return {key: shape(one) for key, one in value.items()} if isinstance(value, dict) else None


def test_body_and_headers_of_the_page_are_those_that_are_sent() -> None:
    page, sent = (DOCS / "hand-over.md").read_text(), built()
    found = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert found is not None
    example, body = json.loads(found[1]), json.loads(sent.body)
    assert json.dumps(shape(example)) == json.dumps(shape(body))
    assert (example["reconstructed"], len(example["id"])) == (True, len(body["id"]))
    named = set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE))
    assert named == {name for name, _ in sent.headers(signature="")} - {"Content-Type"}
