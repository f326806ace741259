"""Request fields: every invalid one is named, and no value is converted."""

import pytest

from dashboard.partner_api.models import Endpoint
from tests.partner_api.conftest import BOTH, Partner
from tests.partner_api.test_errors import problem, refused

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")

URL = "https://partner.example.com/hooks"

NO_EVENT_TYPE = (
    "is not an event type; the event types are contract.started, contract.ended, project_link.created, "
    "project_link.removed, install.revoked, milestone.funded, milestone.budget_low, milestone.budget_depleted"
)

REGISTER_PROBLEMS = [
    ({"eventTypes": BOTH}, "url", "is missing"),
    ({"url": URL}, "eventTypes", "is missing"),
    ({"url": 7, "eventTypes": BOTH}, "url", "must be a string"),
    ({"url": None, "eventTypes": BOTH}, "url", "must be a string"),
    ({"url": URL, "eventTypes": []}, "eventTypes", "must not be empty"),
    ({"url": URL, "eventTypes": "contract.started"}, "eventTypes", "must be a list"),
    ({"url": URL, "eventTypes": [1]}, "eventTypes[0]", NO_EVENT_TYPE),
    (
        {"url": URL, "eventTypes": [*BOTH, "contract.ended"]},
        "eventTypes",
        "must name each event type once; contract.ended appears more than once",
    ),
    (
        {"url": URL, "eventTypes": ["contract.started", "contract.paused"]},
        "eventTypes[1]",
        NO_EVENT_TYPE,
    ),
    ({"url": URL, "eventTypes": BOTH, "secret": "x"}, "secret", "is not a field of this operation; remove it"),
    (
        {"url": URL, "event_types": BOTH, "eventTypes": BOTH},
        "event_types",
        "is not a field of this operation; remove it",
    ),
    ({"url": f"{URL}#top", "eventTypes": BOTH}, "url", "must not have a fragment: remove # and everything after it"),
]


@pytest.mark.parametrize(("body", "field", "words"), REGISTER_PROBLEMS)
def test_register_with_a_bad_field_names_it_and_says_what_to_do(
    partner: Partner, body: object, field: str, words: str
) -> None:
    assert problem(partner.call("POST", "/webhook-endpoints", body)) == refused(field, words)
    assert Endpoint.objects.count() == 0


def test_register_with_two_bad_fields_names_both(partner: Partner) -> None:
    status, _, error, details = problem(partner.call("POST", "/webhook-endpoints", {"url": 1, "eventTypes": []}))
    assert (status, error) == (400, "url must be a string; eventTypes must not be empty.")
    assert details == {"fields": {"url": "must be a string", "eventTypes": "must not be empty"}}


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"status": "PAUSED"}, "status", "must be 'ACTIVE' or 'DISABLED'"),
        ({"status": None}, "status", "must be 'ACTIVE' or 'DISABLED'"),
        ({"url": None}, "url", "must be a string"),
        ({"eventTypes": None}, "eventTypes", "must be a list"),
        ({"consecutiveFailures": 0}, "consecutiveFailures", "is not a field of this operation; remove it"),
    ],
)
def test_patch_with_a_bad_field_names_it(
    partner: Partner, endpoint: Endpoint, body: object, field: str, words: str
) -> None:
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", body)
    assert problem(answer) == refused(field, words)


def test_patch_without_a_field_says_what_can_be_changed(partner: Partner, endpoint: Endpoint) -> None:
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", {})
    message = "There is nothing to change. Send one or more of url, eventTypes and status."
    assert problem(answer) == (400, "BAD_REQUEST", message, {})


@pytest.mark.parametrize("value", ["12", "true", "null", '["whe_1"]', '{"id": "dlv_1"}'])
def test_what_is_no_string_where_a_string_belongs_is_not_converted(
    partner: Partner, endpoint: Endpoint, value: str
) -> None:
    raw = f'{{"deliveryId": {value}}}'.encode()
    answer = partner.call("POST", f"/webhook-endpoints/{endpoint.pk}/redeliver", raw=raw)
    assert problem(answer) == refused("deliveryId", "must be a string")


def test_a_long_unknown_key_is_named_in_short(partner: Partner, endpoint: Endpoint) -> None:
    raw = b'{"' + b"k" * 300 + b'": 1}'
    _, _, _, details = problem(partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", raw=raw))
    assert details == {"fields": {"k" * 100 + "…": "is not a field of this operation; remove it"}}
