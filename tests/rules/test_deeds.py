"""What people did, as sentences."""

import pytest

from dashboard.actions import endpoints
from dashboard.actions.runs import commands
from dashboard.rules.deeds import DEEDS, About, told


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


def test_actions_on_endpoints_and_of_runs_have_sentences() -> None:
    names = {endpoints.ENABLE, endpoints.PAUSE, *endpoints.BY_RUNS}
    names |= {commands.START, commands.PAUSE, commands.RESUME, commands.STOP}
    assert names <= set(DEEDS)
