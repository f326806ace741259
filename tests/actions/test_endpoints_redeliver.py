"""Redelivering: only what OpenTrain is known to have requeued is requested again here."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Delivery, Endpoint, User
from dashboard.rules.deliveries import Standing
from dashboard.services.opentrain import Redelivery
from tests.actions.conftest import make_failed
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery

pytestmark = pytest.mark.django_db

WHICH = ", and it does not say which. Each changes when its attempt arrives."


def test_redeliver_failed_requests_those_that_failed_and_quotes_opentrain(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=3, delivered=1)
    failed, waiting = make_failed(endpoint, "dlv_1"), make_delivery(endpoint=endpoint, last_ok=False)
    now = timezone.now()
    outcome = endpoints.redeliver_failed(
        actor=support, endpoint=endpoint, asked_at=now, clock=timezone.now, operation=uuid.uuid4()
    )
    assert outcome == Outcome(
        kind=OutcomeKind.DONE,
        words="3 requeued: the 1 that was failed here, and 2 that only OpenTrain had as failed.",
        quoted="Requeued deliveries will be attempted on the next delivery run (within ~5 minutes).",
        requeued=3,
    )
    failed.refresh_from_db()
    waiting.refresh_from_db()
    assert (failed.requested_at, waiting.requested_at) == (now, None)


def requeues(fake: FakeOpenTrain, number: int, *, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Let the next redelivery answer that it requeued this number. `meanwhile` runs before the answer arrives."""

    def change(answer: Redelivery) -> Redelivery:
        meanwhile()
        return replace(answer, requeued=number)

    fake.change_answer(change, operation="redeliver")


def redeliver_all(endpoint: Endpoint, actor: User) -> Outcome:
    return endpoints.redeliver_failed(actor=actor, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())


def requested(endpoint: Endpoint) -> int:
    return endpoint.deliveries.filter(standing=Standing.REQUESTED_AGAIN).count()


@pytest.mark.parametrize(
    ("number", "kind", "words", "marked"),
    [
        (
            0,
            OutcomeKind.UNAVAILABLE,
            (
                "OpenTrain requeued nothing; 3 are failed here, and stay failed. To redeliver one anyway, open it: "
                "OpenTrain redelivers a single delivery in any state."
            ),
            0,
        ),
        (
            1,
            OutcomeKind.UNKNOWN,
            f"OpenTrain requeued 1; 3 are failed here{WHICH}",
            0,
        ),
        (
            2,
            OutcomeKind.UNKNOWN,
            f"OpenTrain requeued 2; 3 are failed here{WHICH}",
            0,
        ),
        (3, OutcomeKind.DONE, "3 requeued.", 3),
        (4, OutcomeKind.DONE, "4 requeued: the 3 that were failed here, and 1 that only OpenTrain had as failed.", 3),
        (
            2_000_000_000,
            OutcomeKind.DONE,
            "2000000000 requeued: the 3 that were failed here, and 1999999997 that only OpenTrain had as failed.",
            3,
        ),
    ],
)
def test_only_what_is_known_to_be_requeued_is_requested_again(
    endpoint: Endpoint,
    support: User,
    fake_opentrain: FakeOpenTrain,
    number: int,
    kind: OutcomeKind,
    words: str,
    marked: int,
) -> None:
    for name in ("dlv_1", "dlv_2", "dlv_3"):
        make_failed(endpoint, name)
    requeues(fake_opentrain, number)
    outcome = redeliver_all(endpoint, support)
    assert (outcome.kind, outcome.words, outcome.requeued) == (kind, words, number)
    assert (requested(endpoint), endpoint.deliveries.failed().count()) == (marked, 3 - marked)
    ended = AuditEntry.objects.latest("id")
    assert (ended.phase, ended.words, ended.requeued) == (kind.value, words, number)


def test_nothing_requeued_where_nothing_is_failed_is_no_trouble(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome = redeliver_all(endpoint, support)
    assert (outcome.kind, outcome.words) == (
        OutcomeKind.DONE,
        "OpenTrain requeued nothing: it has no failed deliveries on this endpoint.",
    )


def test_attempt_that_arrives_before_the_answer_counts_among_those_that_were_failed(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    """Of two requeued ones, one has come back already: which of the two that are left is the other is not known."""
    first, *_ = [make_failed(endpoint, name) for name in ("dlv_1", "dlv_2", "dlv_3")]

    def arrive() -> None:
        Delivery.objects.filter(pk=first.pk).update(
            last_ok=True, last_attempt_at=timezone.now(), standing=Standing.DELIVERED
        )

    requeues(fake_opentrain, 2, meanwhile=arrive)
    outcome = redeliver_all(endpoint, support)
    assert (outcome.kind, requested(endpoint)) == (OutcomeKind.UNKNOWN, 0)


def test_delivery_that_fails_for_good_before_the_answer_is_not_taken_for_requeued(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    failed = make_failed(endpoint, "dlv_1")
    retried = make_delivery(endpoint=endpoint, last_ok=False, attempts_in_round=4)

    def fail() -> None:
        Delivery.objects.filter(pk=retried.pk).update(
            attempts_in_round=5, last_attempt_at=timezone.now(), standing=Standing.FAILED
        )

    requeues(fake_opentrain, 1, meanwhile=fail)
    assert redeliver_all(endpoint, support).words == "1 requeued."
    failed.refresh_from_db()
    retried.refresh_from_db()
    assert (failed.standing, retried.standing) == (Standing.REQUESTED_AGAIN, Standing.FAILED)


def test_deliveries_that_the_answer_gives_up_are_counted_too(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    """The answer tells of an auto-disable that Redeliver has not seen yet: what waited here is failed there."""
    make_failed(endpoint, "dlv_1")
    make_delivery(endpoint=endpoint, last_ok=False, attempts_in_round=2, last_attempt_at=timezone.now())
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    changed = {"status": "DISABLED", "consecutive_failures": 10, "disabled_at": timezone.now()}

    def change(answer: Redelivery) -> Redelivery:
        return replace(answer, requeued=1, endpoint=replace(answer.endpoint, **changed))

    fake_opentrain.change_answer(change, operation="redeliver")
    outcome = redeliver_all(endpoint, support)
    assert outcome.words.startswith("OpenTrain requeued 1; 2 are failed here, and it does not say which.")
    assert (requested(endpoint), endpoint.deliveries.failed().count()) == (0, 2)


@pytest.mark.parametrize(
    ("number", "kind", "words", "marked"),
    [
        (
            0,
            OutcomeKind.UNAVAILABLE,
            (
                "OpenTrain requeued nothing, so this delivery is not requested again. Try again. "
                "If the answer stays the same, ask OpenTrain's support."
            ),
            0,
        ),
        (1, OutcomeKind.DONE, "1 requeued.", 1),
        (
            2,
            OutcomeKind.DONE,
            "OpenTrain requeued 2, although only this delivery was requested. It does not say which others.",
            1,
        ),
    ],
)
def test_redelivery_of_one_says_how_many_opentrain_requeued(
    endpoint: Endpoint,
    support: User,
    fake_opentrain: FakeOpenTrain,
    number: int,
    kind: OutcomeKind,
    words: str,
    marked: int,
) -> None:
    opentrain_id, other = fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=2)
    delivery, _ = make_failed(endpoint, opentrain_id), make_failed(endpoint, other)
    requeues(fake_opentrain, number)
    outcome = endpoints.redeliver_one(actor=support, delivery=delivery, clock=timezone.now, operation=uuid.uuid4())
    assert (outcome.kind, outcome.words, outcome.requeued) == (kind, words, number)
    assert (requested(endpoint), endpoint.deliveries.failed().count()) == (marked, 2 - marked)


def test_redeliver_on_a_disabled_endpoint_offers_to_enable_it(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    outcome = endpoints.redeliver_failed(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert (outcome.kind, outcome.offer_enable) == (OutcomeKind.DONE, True)
    assert "Nothing is attempted while the endpoint is DISABLED" in outcome.quoted


def test_redeliver_one_asks_for_that_delivery_alone(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    opentrain_id, other = fake_opentrain.add_deliveries(endpoint.opentrain_id, delivered=2)
    delivery = make_delivery(endpoint=endpoint, opentrain_id=opentrain_id)
    outcome = endpoints.redeliver_one(actor=support, delivery=delivery, clock=timezone.now, operation=uuid.uuid4())
    assert outcome.words == "1 requeued."
    assert fake_opentrain.states(endpoint.opentrain_id) == {opentrain_id: "PENDING", other: "DELIVERED"}
    assert AuditEntry.objects.latest("id").delivery_id == opentrain_id
