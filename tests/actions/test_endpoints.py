"""Actions on an endpoint: each makes one call, writes two audit entries, and updates the delivery log."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import DataError
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import snapshots, sync
from dashboard.actions.operation import UNRECORDED
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Delivery, Endpoint, Install, User
from dashboard.rules.deliveries import Standing
from dashboard.rules.snapshots import LAG
from dashboard.services import opentrain
from dashboard.services.opentrain import OutcomeUnknown, Reason, Redelivery, Unavailable, WebhookEndpoint
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_user

pytestmark = pytest.mark.django_db

EVENTS = ["contract.started", "contract.ended"]
WHICH = ", and it does not say which. Each changes when its attempt arrives."
UNKNOWN = "OpenTrain did not answer within 15 s. The request may have been taken."


@pytest.fixture
def support() -> User:
    return make_user(role="support", username="ada")


@pytest.fixture
def install(fake_opentrain: FakeOpenTrain, support: User) -> Install:
    _, install = sync.connect(
        actor=support, token=fake_opentrain.add_install(), name="Acme Labs", now=timezone.now(), operation=uuid.uuid4()
    )
    return install


@pytest.fixture
def endpoint(install: Install, support: User) -> Endpoint:
    _, endpoint, _ = register(install, support)
    return endpoint


def register(install: Install, actor: User, **changes: object) -> tuple:
    given = {"url": "", "handler_url": "http://localhost:1/hook", "through_redeliver": True, "event_types": EVENTS}
    return endpoints.register(
        actor=actor, install=install, clock=timezone.now, operation=uuid.uuid4(), **given | changes
    )


def audit(action: str) -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(action=action).order_by("id")
    return [(entry.phase, entry.actor_name) for entry in entries]


def make_failed(endpoint: Endpoint, opentrain_id: str) -> Delivery:
    return make_delivery(endpoint=endpoint, opentrain_id=opentrain_id, last_ok=False, attempts_in_round=5)


def test_register_through_redeliver_keeps_the_secret_and_a_key_of_its_own(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome, endpoint, secret = register(install, support)
    assert outcome == Outcome(
        kind=OutcomeKind.DONE,
        words="The endpoint is registered.",
        quoted="Store the secret now: it is shown only once.",
    )
    stored = Endpoint.objects.get(pk=endpoint.pk)
    assert stored.secret == secret
    assert stored.url == f"https://redeliver.example.com/hooks/{stored.receiver_key}/"
    assert stored.handler_url == "http://localhost:1/hook"
    assert (stored.status, stored.event_types, stored.registering_since) == ("ACTIVE", EVENTS, None)
    assert fake_opentrain.calls[-1].arguments == {"url": stored.url, "event_types": EVENTS}
    assert audit("register endpoint") == [("requested", "ada"), ("done", "ada")]


def test_register_straight_keeps_no_secret(install: Install, support: User) -> None:
    _, endpoint, secret = register(install, support, url="https://acme.example.com/hook", through_redeliver=False)
    stored = Endpoint.objects.get(pk=endpoint.pk)
    assert secret.reveal().startswith("whsec_")
    assert (stored.secret, stored.receiver_key, stored.url) == (None, None, "https://acme.example.com/hook")


def test_register_refused_leaves_no_row(install: Install, support: User) -> None:
    outcome, endpoint, secret = register(install, support, url="ftp://acme.example.com", through_redeliver=False)
    assert (outcome.kind, endpoint, secret) == (OutcomeKind.REFUSED, None, None)
    assert Endpoint.objects.count() == 0
    assert audit("register endpoint") == [("requested", "ada"), ("refused", "ada")]


def test_register_of_unknown_outcome_is_recognised_when_it_is_listed(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown(UNKNOWN))
    outcome, _, _ = register(install, support)
    assert (outcome.kind, outcome.words) == (OutcomeKind.UNKNOWN, UNKNOWN)
    pending = Endpoint.objects.get()
    assert (pending.opentrain_id, pending.secret) == (None, None)
    fake_opentrain.create_endpoint(token=install.token, url=pending.url, event_types=EVENTS)
    assert sync.refresh(install=install, now=timezone.now()) is None
    adopted = Endpoint.objects.get()
    assert adopted.pk == pending.pk
    assert adopted.opentrain_id.startswith("whe_")


@pytest.mark.parametrize("received", [True, False])
def test_register_answered_with_an_id_that_is_known_is_of_unknown_outcome_and_keeps_the_secret(
    endpoint: Endpoint, install: Install, support: User, fake_opentrain: FakeOpenTrain, received: bool
) -> None:
    before = Endpoint.objects.filter(pk=endpoint.pk).values().get()
    fake_opentrain.create_again(endpoint.opentrain_id)
    outcome, made, secret = register(
        install, support, url="" if received else "https://acme.example.com/hook", through_redeliver=received
    )
    assert (outcome.kind, made) == (OutcomeKind.UNKNOWN, None)
    assert outcome.words.startswith(
        "OpenTrain answered with the ID of an endpoint that Redeliver already has (http://localhost:1/hook)."
    )
    assert secret.reveal().startswith("whsec_")
    row = Endpoint.objects.exclude(pk=endpoint.pk).get()
    assert (row.opentrain_id, row.registering_since, row.deleted_at is not None) == (None, None, True)
    assert row.secret == (secret if received else None)
    assert Endpoint.objects.filter(pk=endpoint.pk).values().get() == before
    assert audit("register endpoint")[-2:] == [("requested", "ada"), ("unknown", "ada")]
    sync.refresh(install=install, now=timezone.now() + LAG)
    assert list(Endpoint.objects.registered()) == [endpoint]
    made = fake_opentrain.create_endpoint(token=install.token, url=row.url, event_types=EVENTS)
    sync.refresh(install=install, now=timezone.now() + LAG)
    assert Endpoint.objects.registered().get(opentrain_id=made.endpoint.id) == row  # the list knows it after all


def test_register_that_cannot_be_recorded_keeps_the_secret_for_the_list_that_shows_the_endpoint(
    install: Install, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_given: object) -> None:
        raise DataError

    with monkeypatch.context() as patch:
        patch.setattr(endpoints, "record_change", fail)
        outcome, made, secret = register(install, support)
    assert (outcome.kind, outcome.words, made) == (OutcomeKind.UNKNOWN, UNRECORDED, None)
    assert audit("register endpoint") == [("requested", "ada"), ("unknown", "ada")]
    sync.refresh(install=install, now=timezone.now())
    row = Endpoint.objects.get()
    assert (row.opentrain_id is not None, row.secret) == (True, secret)


def test_register_takes_its_id_back_from_a_row_that_a_list_took_for_it(
    install: Install, support: User, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two registrations of one URL wait for their answers, and the list comes first."""
    given = {"url": "https://acme.example.com/hook", "through_redeliver": False}
    fake_opentrain.fail_next(OutcomeUnknown(UNKNOWN), operation="create_endpoint")
    register(install, support, **given)
    create = fake_opentrain.create_endpoint

    def create_slowly(**arguments: Any) -> opentrain.CreatedEndpoint:
        answer = create(**arguments)
        sync.refresh(install=install, now=timezone.now())
        return answer

    monkeypatch.setattr(opentrain, "create_endpoint", create_slowly)
    outcome, endpoint, _ = register(install, support, **given)
    assert outcome.kind is OutcomeKind.DONE
    ids = dict(Endpoint.objects.values_list("pk", "opentrain_id"))
    assert ids.pop(endpoint.pk) is not None
    assert list(ids.values()) == [None]


def test_enable_resets_the_streak_and_says_what_is_left_to_do(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.disable(endpoint.opentrain_id, "10 consecutive failures")
    make_failed(endpoint, "dlv_1")
    make_failed(endpoint, "dlv_2")
    outcome = endpoints.enable(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome.kind is OutcomeKind.DONE
    assert outcome.words == (
        "Re-enabled. OpenTrain sends to this endpoint again, and its consecutive failures are reset to 0. "
        "The 2 failed deliveries are not sent again automatically. Redeliver them."
    )
    endpoint.refresh_from_db()
    assert (endpoint.status, endpoint.consecutive_failures, endpoint.disabled_at) == ("ACTIVE", 0, None)
    assert fake_opentrain.calls[-1].arguments == {"endpoint_id": endpoint.opentrain_id, "status": "ACTIVE"}


def says(fake: FakeOpenTrain, operation: str, **columns: Any) -> None:
    """Let the next answer of the operation show the endpoint with these columns."""

    def change(answer: Any) -> Any:
        if isinstance(answer, WebhookEndpoint):
            return replace(answer, **columns)
        return replace(answer, endpoint=replace(answer.endpoint, **columns))

    fake.change_answer(change, operation=operation)


@pytest.mark.parametrize(
    ("answered", "kind", "words"),
    [
        (
            {"status": "DISABLED", "consecutive_failures": 10},
            OutcomeKind.UNAVAILABLE,
            (
                "Not re-enabled: OpenTrain answered that the endpoint is DISABLED, with 10 consecutive failures. "
                "Deliveries stay stopped. Try again. If the answer stays the same, ask OpenTrain's support."
            ),
        ),
        (
            {"status": "HIBERNATING"},
            OutcomeKind.UNKNOWN,
            (
                "Not known whether it is re-enabled: OpenTrain gives its status as HIBERNATING, which Redeliver does "
                "not know. It may not attempt any deliveries. Ask OpenTrain's support what it means."
            ),
        ),
        (
            {"status": "ACTIVE", "consecutive_failures": 9},
            OutcomeKind.DONE,
            (
                "Re-enabled. OpenTrain sends to this endpoint again, but still counts 9 consecutive failures. "
                "It disables an endpoint at 10. The failed delivery is not sent again automatically. Redeliver it."
            ),
        ),
    ],
)
def test_enable_says_what_the_answer_says(
    endpoint: Endpoint,
    support: User,
    fake_opentrain: FakeOpenTrain,
    answered: dict[str, Any],
    kind: OutcomeKind,
    words: str,
) -> None:
    make_failed(endpoint, "dlv_1")
    says(fake_opentrain, "update_endpoint", **answered)
    outcome = endpoints.enable(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert (outcome.kind, outcome.words) == (kind, words)
    assert outcome.offer_enable is (answered["status"] == "DISABLED")
    assert Endpoint.objects.get().status == answered["status"]
    assert AuditEntry.objects.latest("id").words == words


@pytest.mark.parametrize(
    ("answered", "differs"),
    [
        ({"url": "https://other.example.com/"}, "the address is https://other.example.com/ (requested: {url})"),
        (
            {"event_types": ("milestone.funded",)},
            "the event types are milestone.funded (requested: contract.ended, contract.started)",
        ),
        ({"status": "DISABLED"}, "it is DISABLED, so nothing is sent until it is re-enabled"),
        ({"status": "HIBERNATING"}, "its status is HIBERNATING, which Redeliver does not know"),
    ],
)
def test_register_says_what_the_answer_has_otherwise_and_keeps_the_secret(
    install: Install, support: User, fake_opentrain: FakeOpenTrain, answered: dict[str, Any], differs: str
) -> None:
    says(fake_opentrain, "create_endpoint", **answered)
    outcome, endpoint, secret = register(install, support, url="https://acme.example.com/", through_redeliver=False)
    differs = differs.format(url="https://acme.example.com/")
    assert (outcome.kind, outcome.words) == (
        OutcomeKind.UNKNOWN,
        (
            f"The endpoint is registered, but not as requested. OpenTrain answered that {differs}. "
            "Correct it on the endpoint's page."
        ),
    )
    assert (endpoint.pk, secret is not None) == (Endpoint.objects.get().pk, True)


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


def test_same_form_sent_twice_is_one_call(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    fake_opentrain.add_deliveries(endpoint.opentrain_id, failed=3)
    operation, calls = uuid.uuid4(), len(fake_opentrain.calls)
    first, second = (
        endpoints.redeliver_failed(actor=support, endpoint=endpoint, clock=timezone.now, operation=operation)
        for _ in range(2)
    )
    assert first == second
    assert first.requeued == 3
    assert len(fake_opentrain.calls) == calls + 1
    assert audit("redeliver all failed") == [("requested", "ada"), ("done", "ada")]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OutcomeUnknown(UNKNOWN, request_id="9d1f"), OutcomeKind.UNKNOWN),
        (Unavailable("OpenTrain cannot be reached.", reason=Reason.DNS, request_id="9d1f"), OutcomeKind.UNAVAILABLE),
    ],
)
def test_call_that_fails_changes_no_delivery_and_is_in_the_audit(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, error: Exception, kind: OutcomeKind
) -> None:
    failed = make_failed(endpoint, "dlv_1")
    fake_opentrain.fail_next(error)
    outcome = endpoints.redeliver_failed(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome == Outcome(kind=kind, words=str(error), request_id="9d1f")
    failed.refresh_from_db()
    assert failed.requested_at is None
    assert audit("redeliver all failed") == [("requested", "ada"), (kind.value, "ada")]


def test_answer_that_is_older_than_what_is_known_changes_nothing(endpoint: Endpoint, install: Install) -> None:
    endpoint.refresh_from_db()
    remote = sync.opentrain.get_endpoint(token=install.token, endpoint_id=endpoint.opentrain_id)
    earlier = endpoint.snapshot_at - timedelta(seconds=1)
    Endpoint.objects.update(status="DISABLED")
    assert snapshots.record_endpoint(install=install, remote=remote, at=earlier) == "DISABLED"
    assert Endpoint.objects.get(pk=endpoint.pk).snapshot_at == endpoint.snapshot_at


def test_answer_that_says_nothing_new_is_one_statement(
    endpoint: Endpoint, install: Install, django_assert_num_queries: Any
) -> None:
    remote = sync.opentrain.get_endpoint(token=install.token, endpoint_id=endpoint.opentrain_id)
    at = timezone.now()
    with django_assert_num_queries(1):
        assert snapshots.record_endpoint(install=install, remote=remote, at=at) == "ACTIVE"
    assert Endpoint.objects.get(pk=endpoint.pk).snapshot_at == at


def test_token_that_cannot_be_read_asks_nothing_and_says_what_to_do(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, settings
) -> None:
    calls = len(fake_opentrain.calls)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    stored = Endpoint.objects.defer("secret").get(pk=endpoint.pk)
    stored.install = Install.objects.defer("token").get(pk=endpoint.install_id)
    outcome = endpoints.redeliver_failed(actor=support, endpoint=stored, clock=timezone.now, operation=uuid.uuid4())
    assert outcome == Outcome(
        kind=OutcomeKind.UNAVAILABLE,
        words="This install's token cannot be read with the keys in FIELD_KEYS, so OpenTrain was not called. "
        "Restore the missing key, or replace the token.",
    )
    assert len(fake_opentrain.calls) == calls
    assert sync.refresh(install=stored.install, now=timezone.now()).words == outcome.words
