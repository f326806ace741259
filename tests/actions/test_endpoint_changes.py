"""Editing, pausing and deleting endpoints: the call to OpenTrain, the stored changes, and the message to the user."""

import uuid

import pytest
from django.utils import timezone

from dashboard.actions import endpoint_changes, endpoints
from dashboard.actions.installs import sync
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.services.opentrain import OutcomeUnknown
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_delivery, make_endpoint, make_failed_delivery

pytestmark = pytest.mark.django_db

HANDLER = "https://acme.example.com/hook"


@pytest.fixture
def install(fake_opentrain: FakeOpenTrain, support: User) -> Install:
    _, install = sync.connect(
        actor=support, token=fake_opentrain.add_install(), name="Acme Labs", now=timezone.now(), operation=uuid.uuid4()
    )
    return install


def registered(install: Install, actor: User, *, url: str = "") -> Endpoint:
    _, endpoint, _ = endpoints.register(
        actor=actor, install=install, url=url, handler_url="" if url else HANDLER, through_redeliver=not url,
        event_types=["contract.started", "contract.ended"], clock=timezone.now, operation=uuid.uuid4(),
    )  # fmt: skip
    return endpoint


@pytest.fixture
def endpoint(install: Install, support: User) -> Endpoint:
    return registered(install, support)


def change(endpoint: Endpoint, actor: User, **changes: object) -> Outcome:
    given = {"address": endpoint.handler_url or endpoint.url, "event_types": endpoint.event_types}
    return endpoint_changes.change(
        actor=actor, endpoint=endpoint, **{"operation": uuid.uuid4()} | given | changes, clock=timezone.now
    )


def test_change_of_event_types_tells_opentrain_only_those(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome = change(endpoint, support, event_types=["contract.ended", "milestone.funded"])
    assert outcome.words == "Changed: added milestone.funded; removed contract.started."
    call = fake_opentrain.calls[-1]
    assert (call.operation, call.arguments) == (
        "update_endpoint",
        {
            "endpoint_id": endpoint.opentrain_id,
            "url": None,
            "event_types": ["contract.ended", "milestone.funded"],
        },
    )
    assert Endpoint.objects.get().event_types == ["contract.ended", "milestone.funded"]


def test_change_of_a_handler_is_ours_alone_and_in_the_audit(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    calls = len(fake_opentrain.calls)
    outcome = change(endpoint, support, address="https://new.example.com/hook")
    assert len(fake_opentrain.calls) == calls
    stored = Endpoint.objects.get()
    assert (stored.handler_url, stored.url) == ("https://new.example.com/hook", endpoint.url)
    entries = AuditEntry.objects.filter(action="edit endpoint").order_by("id").values_list("phase", "words")
    said = f"Changed: the handler is now https://new.example.com/hook (it was {HANDLER})."
    assert list(entries) == [("requested", ""), ("done", said)]
    assert outcome.words == said


def test_change_of_a_direct_endpoint_moves_its_url_at_opentrain(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    direct = registered(install, support, url=HANDLER)
    change(direct, support, address="https://new.example.com/hook")
    assert fake_opentrain.get_endpoint(token=install.token, endpoint_id=direct.opentrain_id).url == (
        "https://new.example.com/hook"
    )
    assert Endpoint.objects.get().url == "https://new.example.com/hook"


def test_change_of_nothing_asks_nothing(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    calls = len(fake_opentrain.calls)
    assert change(endpoint, support).words == "Nothing changed."
    assert len(fake_opentrain.calls) == calls


def test_change_that_is_not_answered_changes_nothing_here(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s.", request_id="9d1f"))
    outcome = change(endpoint, support, address="https://new.example.com/hook", event_types=["contract.ended"])
    assert outcome.kind is OutcomeKind.UNKNOWN
    stored = Endpoint.objects.get()
    assert (stored.handler_url, stored.event_types) == (HANDLER, ["contract.started", "contract.ended"])


def test_change_that_opentrain_refuses_says_its_reason(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome = change(endpoint, support, event_types=["nonsense"])
    assert (outcome.kind, outcome.code) == (OutcomeKind.REFUSED, "BAD_REQUEST")
    assert "eventTypes must name at least one of" in outcome.words


def test_same_form_sent_twice_is_one_change(endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain) -> None:
    operation = uuid.uuid4()
    first = change(endpoint, support, event_types=["contract.ended"], operation=operation)
    calls = len(fake_opentrain.calls)
    assert change(endpoint, support, event_types=["contract.started"], operation=operation) == first
    assert len(fake_opentrain.calls) == calls


def test_pause_stops_it_and_offers_the_way_back(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    outcome = endpoint_changes.pause(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome == Outcome(
        kind=OutcomeKind.DONE,
        words="Paused. OpenTrain attempts no deliveries until the endpoint is re-enabled.",
        offer_enable=True,
    )
    assert Endpoint.objects.get().status == "DISABLED"
    assert endpoints.enable(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4()).ok
    assert Endpoint.objects.get().status == "ACTIVE"


def test_delete_keeps_the_log_and_gives_up_what_was_waiting(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    waiting = make_delivery(endpoint=endpoint, last_ok=False, last_status=503, last_cause="status")
    failed = make_failed_delivery(endpoint=endpoint)
    assert endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4()).ok
    stored = Endpoint.objects.get()
    assert stored.deleted_at is not None
    assert fake_opentrain.list_endpoints(token=endpoint.install.token) == ()
    assert sorted(stored.deliveries.failed().values_list("pk", flat=True)) == [waiting.pk, failed.pk]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_delete_leaves_no_sum_of_the_install_behind(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain, elsewhere: bool
) -> None:
    make_endpoint(install=endpoint.install, consecutive_failures=8)
    if elsewhere:
        fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    install = Install.objects.get()
    assert (install.endpoint_count, install.needing_count, install.fine_count) == (1, 1, 0)


def test_deleted_endpoint_is_not_brought_back_by_a_list_from_before(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    listed, at = fake_opentrain.list_endpoints(token=endpoint.install.token), timezone.now()
    endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    sync.record_endpoints(install=endpoint.install, remote=listed, at=at)
    assert Endpoint.objects.registered().count() == 0


def test_delete_of_what_was_deleted_elsewhere_is_no_failure(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.delete_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
    outcome = endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert (outcome.kind, outcome.words) == (
        OutcomeKind.DONE,
        "OpenTrain no longer had this endpoint: it was deleted elsewhere. Its delivery log stays available.",
    )
    assert Endpoint.objects.get().deleted_at is not None


def test_delete_without_an_answer_leaves_the_endpoint_as_it_is(
    endpoint: Endpoint, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    fake_opentrain.fail_next(OutcomeUnknown("OpenTrain did not answer within 15 s."))
    outcome = endpoint_changes.delete(actor=support, endpoint=endpoint, clock=timezone.now, operation=uuid.uuid4())
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert Endpoint.objects.get().deleted_at is None
