"""Rules for every template: readable lines, decisions made in Python, nothing that the CSP refuses."""

import re
from pathlib import Path

import pytest
from django.template.loader import get_template

FOLDER = Path(__file__).resolve().parents[1] / "templates"
LONGEST = 200
"""Maximum characters per line. Django's tags cannot be broken, so some lines are longer than Python's 120."""
TEMPLATES = sorted(path for path in FOLDER.rglob("*") if path.is_file())
_CONDITION = re.compile(r"\{% (?:if|elif) ([^%]*)%\}")
_INLINE = re.compile(r"<style|<script(?![^>]* src=)|\s(?:style|on[a-z]+)=", re.IGNORECASE)
_BUTTON = re.compile(r'class="spinner"')


def found(pattern: re.Pattern[str]) -> list[str]:
    """Return the templates in which the pattern occurs."""
    return [str(path.relative_to(FOLDER)) for path in TEMPLATES if pattern.search(path.read_text())]


def test_there_are_templates() -> None:
    assert len(TEMPLATES) > 100


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_lines_can_be_read_whole(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > LONGEST] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_template_loads_what_it_uses(path: Path) -> None:
    """Else its page fails, and maybe only in a state that no other test brings about."""
    get_template(str(path.relative_to(FOLDER)))


def test_conditions_test_one_thing() -> None:
    """A condition on two facts belongs in a presenter, where a test covers it."""
    combined = {
        f"{path.relative_to(FOLDER)}: {condition.strip()}"
        for path in TEMPLATES
        for condition in _CONDITION.findall(path.read_text())
        if re.search(r"\b(?:and|or)\b", re.sub(r"\"[^\"]*\"|'[^']*'", "", condition))
    }
    assert combined == set()


def test_templates_have_neither_scripts_nor_styles_inside() -> None:
    assert found(_INLINE) == []


def test_button_with_a_spinner_is_drawn_in_one_place() -> None:
    assert found(_BUTTON) == ["components/_button.html"]


def test_errors_of_fields_are_tied_to_their_fields_in_one_place() -> None:
    """A screen reader reads an error with its field. The key's box is on its page twice, so it has IDs of its own."""
    of_their_own = {"account/_passkey.html", "account/set_password.html", "observation_keys/_confirm.html"}
    assert set(found(re.compile(r'aria-invalid=|class="field-error'))) == of_their_own


def test_times_are_written_by_one_owner_in_the_readers_zone() -> None:
    """Django's filters write no zone. They write times for scripts alone, and a channel's hours beside its zone."""
    written = {
        f"{path.relative_to(FOLDER)}: {how}"
        for path in TEMPLATES
        for how in re.findall(r"\|(?:date|time)(?::[^}|]*)?|\{% now .*?%\}", path.read_text())
        if how.strip() not in {"|date:'U'", '|time:"H:i"'}
    }
    assert written == set()


def test_times_in_attributes_are_no_elements() -> None:
    """The filters of times may write a <time> element, which an attribute cannot hold."""
    assert found(re.compile(r'="[^"<>]*\|(?:exactly|clock:)')) == []


def test_titles_of_tabs_name_what_the_page_is_about() -> None:
    """A person has several tabs open: those of two endpoints must not be called the same."""
    nameless = [
        str(path.relative_to(FOLDER))
        for path in TEMPLATES
        if "endpoints/_crumbs.html" in path.read_text()
        if not re.search(r"\{% block title %\}[^\n]*(?:endpoint\.title|install\.name)", path.read_text())
    ]
    assert nameless == []
