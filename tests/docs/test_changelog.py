"""The changelog: its branches are merged line by line, which doubles what two of them moved."""

from collections import Counter

from tests.docs.pages import ROOT


def test_no_heading_and_no_line_of_a_release_stands_twice() -> None:
    for release in (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1:]:
        lines = Counter(line for line in release.splitlines() if line.strip())
        assert [line for line, count in lines.items() if count > 1] == []
