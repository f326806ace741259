"""The text of a run's page, and its buttons."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from dashboard.models import User
from dashboard.presenters.controls import Button
from dashboard.presenters.run_page import (
    BAR_GAP,
    BAR_LEAST,
    BAR_WIDTH,
    Look,
    bar,
    drawn,
    list_words,
    plan,
    reason_look,
    result,
    steering,
)
from dashboard.presenters.runs import RunEnding, StepRow
from dashboard.rules.run_endings import EndingKind
from dashboard.rules.runs import UNANSWERED, UNSEEN, UNSEEN_DIRECT, Tally
from tests.presenters.rows import NOW, OPERATION, SUPPORT, VIEWER, endpoint, labels, row, run


def steered(user: User = SUPPORT, **fields: Any) -> list[str]:
    return [label for label, _look in labels(steering(run(**fields), operation=OPERATION, user=user).controls)]


@pytest.mark.parametrize(
    ("fields", "offered"),
    [
        ({"kind": "recovery", "state": "running"}, ["Pause", "Stop"]),
        ({"kind": "bulk", "state": "running"}, ["Pause", "Cancel"]),
        ({"kind": "recovery", "state": "paused"}, ["Resume", "Stop"]),
        ({"kind": "bulk", "state": "paused"}, ["Resume", "Cancel"]),
        ({"kind": "recovery", "state": "stopped"}, ["Recover what is left…"]),
        ({"kind": "bulk", "state": "cancelled", "tally": Tally(waiting=2)}, ["Continue with what is left"]),
        ({"kind": "bulk", "state": "cancelled"}, []),
        ({"kind": "recovery", "state": "done"}, []),
        ({"kind": "recovery", "state": "stopped", "endpoint": endpoint(deleted_at=NOW)}, []),
    ],
)
def test_run_is_steered_by_what_fits_its_state(fields: dict[str, Any], offered: list[str]) -> None:
    assert steered(**fields) == offered
    assert steered(VIEWER, **fields) == []


def test_buttons_of_a_run_name_their_operation() -> None:
    found = steering(run(kind="bulk"), operation=OPERATION, user=SUPPORT).controls
    assert [isinstance(one, Button) and one.operation for one in found] == [OPERATION, OPERATION]


@pytest.mark.parametrize(
    ("state", "user", "words"),
    [
        ("running", SUPPORT, "You can leave this page. The run continues and is listed under Runs."),
        ("paused", SUPPORT, "Nothing more is requested until the run is resumed."),
        (
            "paused",
            VIEWER,
            (
                "Nothing more is requested until the run is resumed. "
                "A partner admin of the install or support can resume it."
            ),
        ),
        ("done", SUPPORT, ""),
    ],
)
def test_run_says_what_happens_without_a_press(state: str, user: User, words: str) -> None:
    assert steering(run(state=state), operation=OPERATION, user=user).help == words


@pytest.mark.parametrize(
    ("fields", "kind", "icon"),
    [
        ({"state": "done", "tally": Tally(delivered=2)}, "done", "circle-check"),
        ({"state": "done", "tally": Tally(delivered=1, failed_again=1)}, "unavailable", "alert-triangle"),
        ({"state": "stopped", "why": "It failed again."}, "refused", "ban"),
        ({"state": "stopped", "why": "Stopped by ana.", "by_person": True}, "idle", "ban"),
        ({"state": "paused", "why": "No answer."}, "unavailable", "player-pause"),
        ({"state": "cancelled", "why": "No endpoint."}, "unknown", "x"),
        ({"state": "running"}, "running", "refresh"),
    ],
)
def test_reason_is_drawn_by_whose_fault_it_is(fields: dict[str, Any], kind: str, icon: str) -> None:
    found = reason_look(run(**fields))
    assert (found.kind, found.icon) == (kind, icon)


@pytest.mark.parametrize(
    ("kind", "fields", "tone", "dot", "how_far"),
    [
        ("done", {}, "ok", "check", "done in 2 s"),
        ("failed", {}, "bad", "x", "ended after 2 s"),
        ("failed", {"state": "stopped", "why": "Stopped by ana.", "by_person": True}, "idle", "x", "ended after 2 s"),
        ("current", {}, "info", "refresh", "in progress"),
        ("current", {"state": "paused"}, "info", "refresh", "paused"),
        ("to_come", {}, "idle", "hourglass", "to come"),
    ],
)
def test_step_is_drawn_by_how_far_it_is(kind: str, fields: dict[str, Any], tone: str, dot: str, how_far: str) -> None:
    found = drawn(StepRow("A step", kind, "", "2 s", NOW, NOW), row=run(**fields))
    assert (found.tone, found.dot, found.how_far) == (tone, dot, how_far)
    assert (found.began_at, found.ended_at) == (NOW, NOW)


@pytest.mark.parametrize(
    ("fields", "headline", "reason"),
    [
        ({"state": "done", "why": "2 of 2 delivered in 9 s."}, "Done: 2 of 2 delivered in 9 s.", ""),
        ({"state": "done", "tally": Tally(delivered=2), "ended_at": NOW}, "2 of 2 delivered in 0 s.", ""),
        ({"state": "running", "tally": Tally(waiting=2)}, "Running: 0 of 2 delivered, 2 not requested.", ""),
        (
            {"state": "paused", "why": "Paused by ana.", "by_person": True, "tally": Tally(delivered=1, waiting=1)},
            "Paused: 1 of 2 delivered, 1 not requested.",
            "Paused by ana.",
        ),
        (
            {"state": "stopped", "why": "3 of the first 5 failed again.", "tally": Tally(delivered=2, failed_again=3)},
            "Stopped: 2 of 5 delivered, 3 failed again.",
            "3 of the first 5 failed again.",
        ),
    ],
)
def test_result_is_one_sentence_and_the_reason(fields: dict[str, Any], headline: str, reason: str) -> None:
    found = result(run(created_at=NOW, **fields), now=NOW)
    assert (found.headline, found.reason) == (headline, reason)


@pytest.mark.parametrize(
    ("why", "tally", "kind"),
    [
        ("2 of 2 delivered in 9 s.", Tally(delivered=2), "done"),
        ("1 of 2 delivered, 1 failed again, in 9 s.", Tally(delivered=1, failed_again=1), "partly_done"),
        ("1 of 2 delivered, 1 not seen in time, in 9 s.", Tally(delivered=1, not_seen=1), "partly_done"),
        (f"No failed deliveries were known. 6 requested. {UNSEEN_DIRECT}", Tally(), "partly_done"),
        (f"2 of 2 delivered in 9 s. 1 more that OpenTrain requeued {UNSEEN}", Tally(delivered=2), "partly_done"),
        (f"2 of 2 delivered in 9 s. {UNANSWERED}", Tally(delivered=2), "partly_done"),
    ],
)
def test_run_is_only_called_done_where_all_is_known_to_be_delivered(why: str, tally: Tally, kind: str) -> None:
    row = run(state="done", why=why, tally=tally)
    assert (row.kind, row.label) == (kind, "Done" if kind == "done" else "Partly done")
    assert reason_look(row).kind == ("done" if kind == "done" else "unavailable")
    assert result(row, now=NOW).headline == f"{row.label}: {why}"


def test_run_after_which_events_are_missing_is_not_shown_as_all_well() -> None:
    row = run(state="done", why="2 of 2 delivered in 9 s.", tally=Tally(delivered=2))
    words = "1 missing: the handler never took contract.ended of 1 contract."
    missing = replace(row, ending=RunEnding(EndingKind.MISSING, "1 missing", words, None))
    assert (reason_look(missing).kind, result(missing, now=NOW).reason) == ("unavailable", words)
    lost = "Events at 12:00 UTC may be missing here."
    assert result(missing, now=NOW, lost=lost).reason == f"{words} {lost}"
    fine = replace(row, ending=RunEnding(EndingKind.NOTHING_MISSING, "Nothing missing", "Nothing missing: so.", None))
    assert (reason_look(fine).kind, result(fine, now=NOW).reason) == ("done", "")
    assert reason_look(fine, lost=lost) == Look("idle", "help-circle")
    assert reason_look(missing, lost=lost).kind == "unavailable"
    assert result(fine, now=NOW, lost=lost).reason == lost


@pytest.mark.parametrize(
    "tally",
    [
        Tally(delivered=1),
        Tally(delivered=100_000, failed_again=1),
        Tally(delivered=1, failed_again=1, refused=1, unknown=1, requested=1, waiting=1, left_out=1),
        Tally(left_out=3),
    ],
)
def test_bar_is_filled_and_shows_each_part_however_small(tally: Tally) -> None:
    parts = bar(tally).parts
    assert [part.count for part in parts] == [count for _kind, _label, count in tally.parts]
    assert min(part.width for part in parts) >= BAR_LEAST
    assert parts[0].x == 0
    for one, after in itertools.pairwise(parts):
        assert after.x == pytest.approx(one.x + one.width + BAR_GAP, abs=0.2)
    assert parts[-1].x + parts[-1].width == pytest.approx(BAR_WIDTH, abs=1)


def test_bar_says_in_words_what_it_shows() -> None:
    assert bar(Tally(delivered=2, waiting=1)).words == "delivered: 2, not requested: 1"
    assert bar(Tally()).parts == ()


def test_plan_says_only_what_will_happen() -> None:
    none, one, few, many = (plan(row(failed=failed), interval="5 min") for failed in (0, 1, 5, 6))
    assert [words for words in none if "sent again" in words or "delivered: " in words] == []
    assert [words for words in one if words.startswith("If it is delivered")] == []
    order = "Events of the same resource go in order."
    assert f"If it is delivered: the rest, one by one. {order}" in few
    assert f"If it is delivered: four more, and once those have outcomes, the rest, one by one. {order}" in many
    assert any("oldest of the 6 that failed" in words and "within 5 min" in words for words in many)


def test_plan_leaves_out_what_is_overtaken_and_the_call_for_all() -> None:
    why = "2 failed deliveries are overtaken by later events, and one call requests them too"
    steps = plan(row(failed=8), interval="5 min", overtaken=2, withheld=why)
    assert any("the oldest of the 6 that are safe" in words for words in steps)
    assert f"Other failed deliveries at OpenTrain are not requested: {why}." in steps
    assert [words for words in steps if words.startswith("Other failed deliveries at OpenTrain are requested")] == []
    assert any("One delivery is requested" in words for words in plan(row(failed=2), interval="", overtaken=1))
    assert not any("One delivery is requested" in words for words in plan(row(failed=2), interval="", overtaken=2))


def test_plan_asks_a_handler_where_there_is_one_and_re_enables_what_is_stopped() -> None:
    stopped = endpoint(status="DISABLED", handler_url="https://acme.example/hook")
    assert plan(row(stopped), interval="")[0].startswith("Redeliver checks the handler with a HEAD request")
    assert "The endpoint is re-enabled at OpenTrain." in plan(row(stopped), interval="")
    assert plan(row(), interval="")[0] == "Redeliver checks that the endpoint is still active."
    moved = endpoint(handler_url="https://acme.example.com/hook", url="https://acme.example.com/elsewhere")
    assert plan(row(moved), interval="")[0] == "Redeliver checks that the endpoint is still active."


def test_plan_without_the_check_says_what_shows_instead_whether_the_handler_responds() -> None:
    stopped = endpoint(status="DISABLED", handler_url="https://acme.example/hook")
    words = "The handler is not checked: the first delivery shows whether it responds."
    assert plan(row(stopped), interval="", checks_handler=False)[0] == words


def test_list_is_called_by_what_it_shows() -> None:
    assert list_words(together=3, is_first_page=True, user=SUPPORT).heading == "3 runs, started together"
    assert list_words(together=None, is_first_page=True, user=SUPPORT).heading == "Runs"
    assert list_words(together=None, is_first_page=False, user=SUPPORT).nothing == "No older runs."
    assert "Recover…" in list_words(together=None, is_first_page=True, user=SUPPORT).nothing
    assert "Recover…" not in list_words(together=None, is_first_page=True, user=VIEWER).nothing


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"state": "running", "why": "No answer."}, "0 requested again, 0 delivered, 0 failed again."),
        ({"state": "done", "why": "2 of 2 delivered."}, "2 of 2 delivered."),
        ({"state": "done", "why": ""}, "0 requested again, 0 delivered, 0 failed again."),
    ],
)
def test_line_of_a_run_says_how_far_it_is_or_why_it_ended(fields: dict[str, Any], line: str) -> None:
    assert run(**fields).line == line


def test_warning_of_a_pause_depends_on_the_run() -> None:
    assert run(kind="recovery").if_paused.startswith("Pausing the endpoint stops the run.")
    assert run(kind="bulk").if_paused.startswith("Pausing the endpoint pauses the run too.")
