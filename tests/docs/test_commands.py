"""The commands of the documentation: each exists as written, and the release checklist names what runs it."""

import re
import subprocess
from collections.abc import Iterator

import pytest
from django.core.management import get_commands, load_command_class

from tests.docs.pages import DOCS, ROOT, Command, code_spans, commands, name_of, pages

CHECKLIST = DOCS / "release-checklist.md"
_ROW = re.compile(r"^\| `([^`]+)` \| (.+?) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)`")
BY_HAND = "by hand"
OF_DJANGO = {"migrate", "collectstatic", "makemigrations", "createsuperuser"}
"""Django's own commands, which need no test."""


def what(command: Command) -> str:
    """Return a command's name in the checklist: `make demo`, `manage account`, `papi emit`, `curl`."""
    program, *arguments = command.words
    if program == "make":
        return f"make {next(one for one in arguments if '=' not in one)}"
    if program == "papi":
        return f"papi {arguments[0]}"
    if "python" in program and arguments[0] == "manage.py":
        return f"manage {arguments[1]}"
    if "python" in program and arguments[0] == "-m":
        return f"manage {arguments[3]}" if arguments[1:3] == ["dashboard.launch", "manage"] else arguments[1]
    return program.rpartition("/")[2]


def spoken() -> Iterator[Command]:
    """Yield the commands that the text mentions inline: `make lint`, `manage retain`."""
    for page in pages():
        for span in code_spans(page):
            words = span.split()
            if len(words) > 1 and words[0] in {"make", "manage", "papi"} and re.fullmatch(r"[a-z][\w-]*", words[1]):
                yield Command(name_of(page), tuple(words))


def every() -> list[Command]:
    return [*commands(), *spoken()]


def make_targets() -> set[str]:
    """Return every make target, including computed ones."""
    dump = subprocess.run(
        ["make", "--print-data-base", "--question", "help"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
    ).stdout
    return set(re.findall(r"^([\w./-]+):(?!=)", dump, re.MULTILINE))


def test_make_has_every_target_that_is_named() -> None:
    named = {one for command in every() for one in command.words[1:2] if command.words[0] == "make"}
    named = {one for one in named if "=" not in one}
    targets = make_targets()
    assert sorted(named - targets) == []


@pytest.mark.parametrize("command", [one for one in every() if what(one).startswith(("manage ", "papi "))], ids=str)
def test_management_commands_are_there_with_their_options(command: Command) -> None:
    name = what(command).split()[1]
    known = get_commands()
    assert name in known
    application = known[name]
    loaded = load_command_class(application, name) if isinstance(application, str) else application
    parser = loaded.create_parser("manage.py", name)
    options = {option for action in parser._actions for option in action.option_strings}
    assert [word for word in command.words if word.startswith("--") and word not in options] == []


def test_checklist_says_what_runs_every_command() -> None:
    listed = dict(_ROW.findall(CHECKLIST.read_text()))
    missing = {what(command): command.page for command in commands() if what(command) not in listed}
    gone = set(listed) - {what(command) for command in every()}
    assert (missing, gone) == ({}, set()), "not in the checklist; in it, and on no page"


def test_tests_of_the_checklist_name_what_they_run() -> None:
    for command, who in _ROW.findall(CHECKLIST.read_text()):
        files = _TEST.findall(who)
        assert files or BY_HAND in who, command
        word = command.split()[-1]
        if word not in OF_DJANGO:
            assert [file for file in files if word not in (ROOT / file).read_text()] == [], command
