"""The progress of a rotation, and the buttons of its page."""

from typing import Any

import pytest

from dashboard.models import Rotation
from dashboard.presenters.rotation_page import (
    UNPROVEN,
    Names,
    Stage,
    Steps,
    at_old_words,
    buttons,
    lost_words,
    stage,
    steps,
)
from tests.presenters.rows import NOW, OPERATION, endpoint

NAMES = Names(OPERATION, OPERATION, OPERATION, OPERATION)


def rotation(step: str, *, new: dict[str, Any] | None = None, old: dict[str, Any] | None = None, **fields: Any) -> Any:
    return Rotation(step=step, old=endpoint(**(old or {})), new=endpoint(**({"pk": 8} | (new or {}))), **fields)


@pytest.mark.parametrize(
    ("one", "fields", "at"),
    [
        (None, {}, Stage.BEFORE),
        (None, {"deleted_at": NOW}, Stage.GONE),
        (None, {"opentrain_id": None}, Stage.GONE),
        (rotation("aborted"), {}, Stage.BEFORE),
        (rotation("create"), {}, Stage.UNDER_WAY),
        (rotation("delete"), {"deleted_at": NOW}, Stage.UNDER_WAY),
        (rotation("done"), {"deleted_at": NOW}, Stage.DONE),
    ],
)
def test_stage_says_what_the_page_is_about(one: Any, fields: dict[str, Any], at: Stage) -> None:
    assert stage(endpoint=endpoint(**fields), rotation=one) is at


def test_steps_are_not_known_before_the_new_endpoint_is() -> None:
    assert steps(None) is None
    assert steps(rotation("create")) is None


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (rotation("prove"), Steps(False, "info", "idle", False)),
        (rotation("delete"), Steps(True, "ok", "info", False)),
        (rotation("delete", unproven=True), Steps(True, "warn", "info", False)),
        (rotation("prove", old={"observation_key_sha256": "0"}), Steps(False, "info", "idle", True)),
    ],
)
def test_steps_are_drawn_by_how_far_they_are(one: Any, found: Steps) -> None:
    assert steps(one) == found


@pytest.mark.parametrize(
    ("new", "is_being_made", "is_not_made", "end"),
    [
        ({}, False, False, "Delete the new endpoint and start again; the old one is unchanged."),
        ({"opentrain_id": None}, True, False, "Wait two minutes: this page shows whether it was created."),
        ({"opentrain_id": None}, False, False, "The next sync with OpenTrain shows whether it was created."),
        ({"opentrain_id": None}, False, True, "so it was not created. Cancel this rotation and start again."),
        ({"opentrain_id": None, "deleted_at": NOW}, False, False, "at OpenTrain, then cancel this rotation."),
    ],
)
def test_lost_answer_says_what_to_do(new: dict[str, Any], is_being_made: bool, is_not_made: bool, end: str) -> None:
    assert lost_words(rotation("create", new=new), is_being_made=is_being_made, is_not_made=is_not_made).endswith(end)


@pytest.mark.parametrize(
    ("count", "words"),
    [(1, "1 delivery has"), (2, "2 deliveries have"), (100, "100 or more deliveries have")],
)
def test_deliveries_to_the_old_endpoint_are_counted_so_far(count: int, words: str) -> None:
    assert at_old_words(count, most=100) == words


def test_buttons_say_by_what_it_is_proven() -> None:
    found = buttons(endpoint(), NAMES)
    assert (found.go_on.fields, found.go_on_taken.fields, found.go_on_unproven.fields) == ((), UNPROVEN, UNPROVEN)
    assert found.start.url == "/endpoints/7/rotate/start/"
    assert (found.finish.label, found.finish.look) == ("Delete the old endpoint", "btn-danger")


def test_finish_deletes_nothing_that_is_deleted_already() -> None:
    found = buttons(endpoint(deleted_at=NOW), NAMES)
    assert (found.finish.label, found.finish.look) == ("Finish", "btn-primary")
