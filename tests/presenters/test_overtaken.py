"""What pages show of deliveries that later events have overtaken."""

from datetime import timedelta

import pytest

from dashboard.models import Endpoint
from dashboard.presenters.overtaken import SHOWN, Overtaken, failed_shown, shown, why
from dashboard.rules.event_order import Event, Other
from tests.factories import NOON, make_contract, make_delivery, make_endpoint, make_evidence, make_failed_delivery

pytestmark = pytest.mark.django_db
LISTED = "OpenTrain lists this contract as ended; redelivering contract.started may give access back."


@pytest.fixture
def endpoint() -> Endpoint:
    return make_endpoint()


@pytest.mark.parametrize(
    ("number", "words", "among_failed"),
    [
        (
            1,
            "1 is left out: a later event of the same resource has overtaken it.",
            "1 of the failed deliveries is overtaken by a later event of the same resource.",
        ),
        (
            3,
            "3 are left out: later events of the same resources have overtaken them.",
            "3 of the failed deliveries are overtaken by later events of the same resources.",
        ),
    ],
)
def test_words_are_of_one_or_of_many(number: int, words: str, among_failed: str) -> None:
    found = Overtaken(number, number, [])
    assert (found.words, found.among_failed, found.more) == (words, among_failed, number)
    assert found.box.startswith("Redeliver the ")
    assert f"{number} overtaken ones" in found.box or number == 1


def test_first_ones_are_shown_with_why_and_the_others_are_counted(endpoint: Endpoint) -> None:
    started = [make_failed_delivery(endpoint=endpoint) for _ in range(SHOWN + 2)]
    by = {one.pk: Other(Event("contract.ended"), NOON - timedelta(minutes=3)) for one in started}
    found = shown(started, by=by, now=NOON)
    assert found is not None
    assert (found.number, len(found.shown), found.more) == (SHOWN + 2, SHOWN, 2)
    why_it_is = (
        "contract.ended of this contract was taken 3 min ago; redelivering contract.started may give access back."
    )
    assert found.shown[0] == (started[0], why_it_is)
    assert shown([], by={}, now=NOON) is None


def test_failed_ones_count_that_retention_took_but_are_not_shown(endpoint: Endpoint) -> None:
    assert failed_shown(endpoint, now=NOON) is None
    contract = make_contract(install=endpoint.install, status="ended")
    make_evidence(contract=contract, endpoint=endpoint, event_type="contract.started", standing=3, taken_at=None)
    found = failed_shown(endpoint, now=NOON)
    assert found == Overtaken(1, 0, [])
    started = make_failed_delivery(endpoint=endpoint, resource_id=contract.opentrain_id)
    assert failed_shown(endpoint, now=NOON) == Overtaken(2, 1, [(started, LISTED)])


def test_delivery_says_what_has_overtaken_it(endpoint: Endpoint) -> None:
    started = make_delivery(endpoint=endpoint)
    assert why(started, now=NOON) == ""
    make_contract(install=endpoint.install, opentrain_id=started.resource_id, status="ended")
    assert why(started, now=NOON) == LISTED
