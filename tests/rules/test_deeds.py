"""What people did, as sentences."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.actions import endpoints
from dashboard.actions.runs import commands
from dashboard.rules.deeds import DEEDS, About, told

DASHBOARD = Path(__file__).parents[2] / "dashboard"


@pytest.mark.parametrize(
    ("action", "is_done", "words", "about"),
    [
        ("re-enable endpoint", True, "re-enabled", About.ENDPOINT),
        ("re-enable endpoint", False, "tried to re-enable", About.ENDPOINT),
        ("redeliver", True, "asked OpenTrain to redeliver a delivery to", About.ENDPOINT),
        ("start run", True, "started a run on", About.ENDPOINT),
        ("connect install", True, "connected", About.INSTALL),
        ("sign in", False, "tried to sign in", About.NOTHING),
        ("rotate secret: give up", True, "did “rotate secret: give up”:", None),
        ("rotate secret: give up", False, "tried “rotate secret: give up”:", None),
    ],
)
def test_action_is_a_sentence_and_what_was_not_done_was_tried(
    action: str, is_done: bool, words: str, about: About | None
) -> None:
    found = told(action=action, is_done=is_done)
    assert (found.words, found.about) == (words, about)


def test_every_action_that_the_audit_notes_has_a_sentence() -> None:
    """Except those whose name is put together, such as the steps of a rotation."""
    found = {name for path in sorted(DASHBOARD.rglob("*.py")) for name in noted(path)}
    assert {"sign in", "export deliveries", "read who was hired"} <= found
    assert found - set(DEEDS) == set()


def noted(path: Path) -> Iterator[str]:
    """Yield the names of actions in the calls of `audit.note` and `audit.entry` of a module, also as its constants."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {
        target.id: one.value.value
        for one in tree.body
        if isinstance(one, ast.Assign) and isinstance(one.value, ast.Constant)
        for target in one.targets
        if isinstance(target, ast.Name)
    }
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"audit.note", "audit.entry"}:
            for argument in (one.value for one in call.keywords if one.arg == "action"):
                if isinstance(argument, ast.Constant):
                    yield argument.value
                elif isinstance(argument, ast.Name) and argument.id in named:
                    yield named[argument.id]


def test_actions_on_endpoints_and_of_runs_have_sentences() -> None:
    names = {endpoints.ENABLE, endpoints.PAUSE, *endpoints.BY_RUNS}
    names |= {commands.START, commands.PAUSE, commands.RESUME, commands.STOP}
    assert names <= set(DEEDS)
