"""The page of a rotation: its progress, and the buttons of each step."""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from django.urls import reverse

from dashboard.models import Endpoint, Rotation
from dashboard.presenters.controls import MAIN, Button

UNPROVEN = (("unproven", "yes"),)


class Stage(StrEnum):
    """The stage of a rotation that the page shows."""

    BEFORE = "before"
    UNDER_WAY = "under_way"
    DONE = "done"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Names:
    """IDs of the operations behind the buttons."""

    start: uuid.UUID
    go_on: uuid.UUID
    finish: uuid.UUID
    abort: uuid.UUID


@dataclass(frozen=True, slots=True)
class Buttons:
    """The buttons. The three `go_on` buttons differ in the proof that the new endpoint receives deliveries."""

    start: Button
    go_on: Button
    go_on_taken: Button
    go_on_unproven: Button
    finish: Button
    abort: Button


@dataclass(frozen=True, slots=True)
class Steps:
    """Progress after the new endpoint was created. `needs_key`: the new endpoint has no observation key yet."""

    is_proven: bool
    prove_tone: str
    delete_tone: str
    needs_key: bool


def stage(*, endpoint: Endpoint, rotation: Rotation | None) -> Stage:
    """Return the stage of the endpoint's newest rotation."""
    if rotation is not None and rotation.step == Rotation.Step.DONE:
        return Stage.DONE
    if rotation is not None and rotation.is_under_way:
        return Stage.UNDER_WAY
    return Stage.GONE if endpoint.deleted_at or not endpoint.opentrain_id else Stage.BEFORE


def steps(rotation: Rotation | None) -> Steps | None:
    """Return the progress; None until the new endpoint exists and its secret is stored."""
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
    """Say what to do while the new endpoint's secret is unknown."""
    if rotation is None:
        return ""
    if rotation.new.opentrain_id:
        return (
            "OpenTrain created the new endpoint, but its answer was lost, and its secret may be lost with it. Delete "
            "the new endpoint and start again; the old one is unchanged."
        )
    if rotation.is_mistaken:
        return (
            "OpenTrain answered with the ID of an endpoint that Redeliver already has, so it is unknown whether it "
            "created the new one. Check this install's endpoints at OpenTrain, then cancel this rotation."
        )
    asked = "Redeliver requested the new endpoint, and OpenTrain has not responded."
    if is_being_made:
        return f"{asked} Wait two minutes: this page shows whether it was created."
    if is_not_made:
        return f"{asked} OpenTrain does not list it, so it was not created. Cancel this rotation and start again."
    return f"{asked} The next sync with OpenTrain shows whether it was created."


def at_old_words(count: int, *, most: int) -> str:
    """Return how many deliveries have reached the old endpoint, in words; the count stops at `most`."""
    if count >= most:
        return f"{count} or more deliveries have"
    return f"{count} delivery has" if count == 1 else f"{count} deliveries have"


def buttons(endpoint: Endpoint, names: Names) -> Buttons:
    """Return the buttons of the old endpoint's page."""

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
        go_on=button("continue", names.go_on, "Continue"),
        go_on_taken=button("continue", names.go_on, "My handler has accepted one: continue", fields=UNPROVEN),
        go_on_unproven=button("continue", names.go_on, "Continue without confirming", "", UNPROVEN),
        finish=finish,
        abort=button("abort", names.abort, "Cancel this rotation", ""),
    )
