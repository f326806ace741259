"""Claims: only of endpoints that are ACTIVE at that moment, and released if not needed."""

import uuid
from datetime import timedelta

import pytest

from dashboard.partner_api import claims, conf, endpoints, engine, record_outcomes
from dashboard.partner_api.endpoints import Registered
from dashboard.partner_api.fair_scheduler import Ask
from dashboard.partner_api.models import Delivery, Endpoint
from tests.partner_api.conftest import THEN, Partner
from tests.partner_api.deeds import change, claim_all, deliver, emit, states
from tests.partner_api.sink import Sink

MOMENT = timedelta(microseconds=1)


def test_a_paused_endpoint_is_left_alone_and_goes_on_when_resumed(
    partner: Partner, hooked: Registered, receiver: Sink
) -> None:
    emit(partner, count=2)
    change(hooked.endpoint, status="DISABLED")
    assert deliver().attempted == 0
    assert states() == ["PENDING", "PENDING"]
    change(hooked.endpoint, status="ACTIVE")
    assert deliver().delivered == 2


@pytest.mark.parametrize("event", ["paused", "deleted"])
def test_what_changed_since_an_endpoint_was_found_due_is_not_claimed(
    partner: Partner, hooked: Registered, receiver: Sink, event: str
) -> None:
    emit(partner)
    asks = [Ask(endpoint_id=found, count=10, held=0) for found in claims.due_endpoints(now=THEN)]
    if event == "paused":
        change(hooked.endpoint, status="DISABLED")
    else:
        endpoints.delete(install_id=partner.install_id, endpoint_id=hooked.endpoint.pk)
    assert [ask.endpoint_id for ask in asks] == [hooked.endpoint.pk]
    assert claims.claim(asks=asks, now=THEN, knobs=conf.knobs()) == []


@pytest.mark.parametrize(
    ("delivery", "endpoint", "claimable"),
    [
        ({}, {}, True),
        ({"next_attempt_at": THEN}, {}, True),
        ({"next_attempt_at": THEN + MOMENT}, {}, False),
        ({"lease_until": THEN, "claimed_by": uuid.UUID(int=1)}, {}, True),
        ({"lease_until": THEN + MOMENT, "claimed_by": uuid.UUID(int=1)}, {}, False),
        ({"status": "DELIVERED", "next_attempt_at": None}, {}, False),
        ({"status": "FAILED", "next_attempt_at": None}, {}, False),
        ({}, {"status": "DISABLED", "disabled_at": THEN, "disabled_reason": "paused"}, False),
    ],
)
def test_what_makes_an_endpoint_due_is_what_is_claimed_of_it(
    partner: Partner, hooked: Registered, delivery: dict, endpoint: dict, claimable: bool
) -> None:
    emit(partner)
    Delivery.objects.update(**delivery)
    Endpoint.objects.update(**endpoint)
    due = claims.due_endpoints(now=THEN)
    asks = [Ask(endpoint_id=hooked.endpoint.pk, count=10, held=0)]
    claimed = claims.claim(asks=asks, now=THEN, knobs=conf.knobs())
    assert due == ([hooked.endpoint.pk] if claimable else [])
    assert [claim.endpoint_id for claim in claimed] == due


def test_a_claim_says_what_to_post_where_and_shows_no_secret(partner: Partner, hooked: Registered) -> None:
    emit(partner)
    change(hooked.endpoint, url="https://new.example.com/")
    [claim] = claim_all()
    assert (claim.url, claim.event_type) == ("https://new.example.com/", "contract.started")
    assert hooked.endpoint.secret_sealed not in repr(claim)


def test_a_released_claim_is_free_at_once_and_anothers_is_left_alone(partner: Partner, hooked: Registered) -> None:
    emit(partner, count=2)
    mine, lapsed = claim_all()
    Delivery.objects.filter(pk=lapsed.delivery_id).update(claimed_by=uuid.UUID(int=1))
    claims.release(claims=[mine, lapsed])
    held = Delivery.objects.exclude(claimed_by=None)
    assert list(held.values_list("id", "claimed_by")) == [(lapsed.delivery_id, uuid.UUID(int=1))]
    assert [claim.delivery_id for claim in claim_all()] == [mine.delivery_id]


def test_an_endpoint_paused_during_the_run_is_posted_to_no_more(
    partner: Partner, hooked: Registered, receiver: Sink, settings
) -> None:
    settings.PARTNER_API_MAX_PER_ENDPOINT = 1
    emit(partner, count=5)
    record = record_outcomes.record

    def record_and_pause(**values: object) -> None:
        record(**values)
        change(hooked.endpoint, status="DISABLED")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_record", engine.sync_to_async(record_and_pause))
        assert deliver().attempted == 1
    assert states() == ["DELIVERED", "PENDING", "PENDING", "PENDING", "PENDING"]


@pytest.mark.parametrize(
    ("failures", "held", "given"), [(0, 0, 8), (3, 0, 7), (3, 4, 3), (9, 0, 1), (9, 1, 0), (5, 9, 0)]
)
def test_a_claim_brings_no_more_than_the_failures_that_are_left_without_what_is_held(
    partner: Partner, hooked: Registered, failures: int, held: int, given: int
) -> None:
    emit(partner, count=12)
    Endpoint.objects.update(consecutive_failures=failures)
    ask = Ask(endpoint_id=hooked.endpoint.pk, count=8, held=held)
    assert len(claims.claim(asks=[ask], now=THEN, knobs=conf.knobs())) == given
