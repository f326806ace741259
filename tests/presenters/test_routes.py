"""The steps of an endpoint on its way behind the receiver, and the words about endpoints that are not seen."""

from datetime import timedelta
from typing import Any

import pytest

from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Delivery, Endpoint
from dashboard.presenters.routes import Line, Way, summary_words, unseen_words, way_of
from tests.presenters.rows import NOW, SUPPORT, VIEWER, endpoint, labels


def way(*signatures: str, **fields: Any) -> Way | None:
    one = endpoint(**({"routed_at": NOW - timedelta(hours=1), "proof": Endpoint.Proof.WAITING} | fields))
    newest = [Delivery(pk=number, last_signature=verdict) for number, verdict in enumerate(signatures)]
    return way_of(one, newest=newest, now=NOW, user=SUPPORT)


def done(found: Way | None) -> list[bool]:
    assert found is not None
    return [step.done for step in found.steps]


def test_steps_go_from_the_change_to_the_delivery_that_verified() -> None:
    assert done(way()) == [True, False, False]
    assert done(way("mismatch")) == [True, True, False]
    verified = way("verified", proof=Endpoint.Proof.PROVEN)
    assert done(verified) == [True, True, True]
    assert verified is not None
    assert verified.is_done
    assert verified.steps[2].words == "The signing secret is right: a delivery verified."


def test_secret_from_before_needs_no_delivery() -> None:
    known = way(proof=Endpoint.Proof.PROVEN)
    assert known is not None
    assert known.steps[2].words == "The signing secret is known from before."
    assert not known.is_done  # the first delivery has not arrived


@pytest.mark.parametrize(
    ("signatures", "trouble"),
    [
        ((), ""),
        (("verified",), ""),
        (("mismatch", "verified"), ""),
        (("mismatch", "missing"), "does not fit"),
        (("other_endpoint", "mismatch"), "another endpoint's"),
        (("missing", "malformed"), "may be from someone else"),
        (("stale",), "clock"),
    ],
)
def test_trouble_is_named_only_where_nothing_verified(signatures: tuple[str, ...], trouble: str) -> None:
    found = way(*signatures)
    assert found is not None
    assert (trouble in found.trouble) if trouble else (found.trouble == "")
    offered = ["Enter signing secret…", "Signature doctor"] if trouble else []
    assert [label for label, _look in labels(found.controls)] == offered


def test_viewer_reads_the_trouble_and_is_offered_nothing() -> None:
    one = endpoint(routed_at=NOW, proof=Endpoint.Proof.WAITING)
    found = way_of(one, newest=[Delivery(pk=1, last_signature="mismatch")], now=NOW, user=VIEWER)
    assert found is not None
    assert (bool(found.trouble), found.controls, found.asks) == (True, (), True)


def test_person_who_can_repair_it_is_not_told_whom_to_ask() -> None:
    found = way("mismatch")
    assert found is not None
    assert not found.asks
    doctor = found.controls[1]
    assert doctor.url == "/endpoints/7/doctor/?delivery=0"


@pytest.mark.parametrize(
    "fields",
    [
        {"routed_at": None},
        {"url": "https://acme.example.com/hook"},
        {"deleted_at": NOW},
        {"proof": Endpoint.Proof.NONE},
        {"proof": Endpoint.Proof.PROVEN, "routed_at": NOW - timedelta(days=2)},
    ],
)
def test_endpoint_that_is_not_on_the_way_has_no_steps(fields: dict[str, Any]) -> None:
    assert way(**fields) is None


def test_endpoint_that_waits_keeps_its_steps() -> None:
    assert way(routed_at=NOW - timedelta(days=90)) is not None


@pytest.mark.parametrize(
    ("count", "total", "words"),
    [
        (0, 3, ""),
        (1, 1, "1 endpoint, not seen here: OpenTrain delivers to it directly."),
        (3, 3, "3 endpoints, none seen here: OpenTrain delivers to them directly."),
        (1, 3, "1 of 3 endpoints is not seen here: OpenTrain delivers directly."),
    ],
)
def test_endpoints_that_are_not_seen_are_counted(count: int, total: int, words: str) -> None:
    assert unseen_words(count=count, total=total) == words


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ([OutcomeKind.DONE], "1 of 1 endpoint routed."),
        ([OutcomeKind.DONE, None, OutcomeKind.REFUSED], "1 of 3 endpoints routed."),
        ([None, OutcomeKind.UNKNOWN], "0 of 2 endpoints routed, 1 with an unknown outcome."),
    ],
)
def test_outcomes_of_an_installs_form_are_counted(kinds: list[OutcomeKind | None], words: str) -> None:
    lines = [Line(endpoint(), None if kind is None else Outcome(kind=kind, words=""), "") for kind in kinds]
    assert summary_words(lines) == words


def test_request_id_is_shown_once() -> None:
    said = Outcome(kind=OutcomeKind.REFUSED, words="No (request r1).", request_id="r1")
    unsaid = Outcome(kind=OutcomeKind.REFUSED, words="No.", request_id="r1")
    shown = [Line(endpoint(), one, "").has_request_id for one in (None, said, unsaid)]
    assert shown == [False, False, True]
