"""Every page is reachable, every link has a target, and every file that a page names exists."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, README, ROOT, anchors, code_spans, links, name_of, pages

README_LINES = 150
_WEB = re.compile(r"[a-z]+:")
_FILE = re.compile(
    r"(?:\.ci|\.github|dashboard|docs|static|templates|tests)/[\w./*-]*|[\w.-]+\.(?:md|toml|yaml|yml|lock)"
)


def target(page: Path, link: str) -> tuple[Path, str]:
    """Return the target file of a page's link, and the anchor in it."""
    path, _, anchor = link.partition("#")
    return ((page.parent / path).resolve() if path else page), anchor


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    found = [(link, *target(page, link)) for link in links(page) if not _WEB.match(link)]
    assert [link for link, file, _ in found if not file.exists()] == []
    to_pages = [(link, file, anchor) for link, file, anchor in found if anchor and file.suffix == ".md"]
    assert [link for link, file, anchor in to_pages if anchor not in anchors(file)] == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = [span for span in code_spans(page) if _FILE.fullmatch(span)]
    assert [name for name in named if not any(ROOT.glob(name.rstrip("/")))] == []


def test_pages_of_the_docs_can_be_reached_from_the_readme() -> None:
    reached, left = set[Path](), [README]
    while left:
        page = left.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            left += [target(page, link)[0] for link in links(page) if not _WEB.match(link)]
    assert [name_of(page) for page in DOCS.rglob("*.md") if page not in reached] == []


def test_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= README_LINES


def test_decisions_are_numbered_and_have_context_choice_and_price() -> None:
    files = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert [file.name[:4] for file in files] == [f"{number:04d}" for number in range(1, len(files) + 1)]
    headings = {file.name: re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE) for file in files}
    assert {name: found[1:] for name, found in headings.items() if found[1:] != ["Context", "Choice", "Price"]} == {}
    listed = (DOCS / "decisions/README.md").read_text()
    assert [name for name, (title, *_) in headings.items() if f"[{name[:4]}]({name}) | {title} |" not in listed] == []
