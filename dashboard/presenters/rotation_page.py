"""What the page of a rotation shows: how far it is, and the buttons of each step."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from django.urls import reverse

from dashboard.models import Endpoint, Rotation
from dashboard.presenters.controls import MAIN, Button

UNPROVEN = (("unproven", "yes"),)


class Stage(StrEnum):
    """What the page is about."""

    BEFORE = "before"
    UNDER_WAY = "under_way"
    DONE = "done"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of what the page's buttons do."""

    start: uuid.UUID
    go_on: uuid.UUID
    finish: uuid.UUID
    abort: uuid.UUID


@dataclass(frozen=True, slots=True)
class Buttons:
    """The buttons; the three that go on say by what it is proven that the new endpoint receives."""

    start: Button
    go_on: Button
    go_on_taken: Button
    go_on_unproven: Button
    finish: Button
    abort: Button


@dataclass(frozen=True, slots=True)
class Steps:
    """How far a rotation is whose new endpoint is made. `needs_key` says that reports would miss the new endpoint."""

    is_proven: bool
    prove_tone: str
    delete_tone: str
    needs_key: bool


def stage(*, endpoint: Endpoint, rotation: Rotation | None) -> Stage:
    """Say what the endpoint's page of rotations is about; `rotation` is its newest."""
    if rotation is not None and rotation.step == Rotation.Step.DONE:
        return Stage.DONE
    if rotation is not None and rotation.is_under_way:
        return Stage.UNDER_WAY
    return Stage.GONE if endpoint.deleted_at or not endpoint.opentrain_id else Stage.BEFORE


def steps(rotation: Rotation | None) -> Steps | None:
    """Return how far it is; None while it is not known that the new endpoint is made, and its secret kept."""
    if rotation is None or rotation.step == Rotation.Step.CREATE:
        return None
    is_proven = rotation.step != Rotation.Step.PROVE
    return Steps(
        is_proven,
        prove_tone="info" if not is_proven else "warn" if rotation.unproven else "ok",
        delete_tone="info" if is_proven else "idle",
        needs_key=rotation.old.is_observed and not rotation.new.is_observed,
    )


def lost_words(rotation: Rotation | None, *, is_being_made: bool, is_not_made: bool) -> str:
    """Say what to do while the secret of the new endpoint is not known."""
    if rotation is None:
        return ""
    if rotation.new.opentrain_id:
        return (
            "OpenTrain has made the new endpoint, but its secret was lost with the answer. Delete the new one and "
            "start anew; the old one is untouched."
        )
    asked = "OpenTrain was asked for the new endpoint, and its answer is not in."
    if is_being_made:
        return f"{asked} Wait a minute: this page shows whether it was made."
    if is_not_made:
        return f"{asked} OpenTrain does not list it, so it was not made: give up, and start anew."
    return f"{asked} Whether it was made is known after the next sync with OpenTrain."


def at_old_words(count: int, *, most: int) -> str:
    """Say that so many deliveries have reached the old endpoint; no more than `most` were counted."""
    if count >= most:
        return f"{count} or more deliveries have"
    return f"{count} delivery has" if count == 1 else f"{count} deliveries have"


def buttons(endpoint: Endpoint, names: Names) -> Buttons:
    """Return the buttons of the page of the old endpoint."""

    def button(
        action: str, operation: uuid.UUID, label: str, look: str = MAIN, fields: tuple[tuple[str, str], ...] = ()
    ) -> Button:
        url = reverse(f"rotation-{action}", args=[endpoint.pk])
        return Button(label, url, operation=operation, look=look, fields=fields)

    finish = button("finish", names.finish, "Delete the old endpoint", "btn-danger")
    if endpoint.deleted_at:
        finish = button("finish", names.finish, "Finish")
    return Buttons(
        start=button("start", names.start, "Create the new endpoint"),
        go_on=button("continue", names.go_on, "Go on"),
        go_on_taken=button("continue", names.go_on, "My handler has taken one: go on", fields=UNPROVEN),
        go_on_unproven=button("continue", names.go_on, "Go on without proof", "", UNPROVEN),
        finish=finish,
        abort=button("abort", names.abort, "Give up this rotation", ""),
    )
