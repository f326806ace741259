"""The references to OpenTrain's contract in the code, checked against the sections of docs/partner-api.md."""

import re

from tests.docs.pages import DOCS, ROOT

_SOURCE = re.compile(r'partner-api((?:(?:,| and|, and) "[^"\n]+")+)')


def test_sections_that_the_code_names_as_its_source_are_there() -> None:
    files = [*(ROOT / "dashboard").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    lists = [found for file in files for found in _SOURCE.findall(file.read_text())]
    named = {section for found in lists for section in re.findall(r'"([^"]+)"', found)}
    assert "Deliveries" in named
    headings = set(re.findall(r"^#+ (.+)$", (DOCS / "partner-api.md").read_text(), re.MULTILINE))
    assert named - headings == set()
