"""Actions on an endpoint: each makes one call, writes two audit entries, and updates the delivery log."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from dashboard.actions import endpoints
from dashboard.actions.installs import snapshots, sync
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.services.opentrain import OutcomeUnknown, Reason, Unavailable
from tests.actions.conftest import UNKNOWN, audit, make_failed, says
from tests.contract.fake import FakeOpenTrain

pytestmark = pytest.mark.django_db


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
    assert audit("redeliver all failed") == [("requested", "ana"), ("done", "ana")]


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
    assert audit("redeliver all failed") == [("requested", "ana"), (kind.value, "ana")]


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
