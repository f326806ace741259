"""The webhook endpoints, the current install and openapi.json, as a partner's client sees them."""

import re
from datetime import timedelta

import pytest

from dashboard.partner_api import auth, vault
from dashboard.partner_api.models import Attempt, Delivery, Endpoint, Event, Token
from tests.partner_api.conftest import BOTH, THEN, Partner, make_deliveries, make_endpoint, make_partner

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")

ACTIVE_MESSAGE = "Requeued deliveries will be attempted on the next delivery run (within ~5 minutes)."


def wire(endpoint: Endpoint, **changed: object) -> dict[str, object]:
    """The JSON of an endpoint created at THEN."""
    expected = {
        "id": endpoint.pk,
        "url": endpoint.url,
        "eventTypes": endpoint.event_types,
        "status": "ACTIVE",
        "createdAt": "2026-06-12T10:00:00.000Z",
        "consecutiveFailures": 0,
        "disabledAt": None,
        "disabledReason": None,
    }
    return expected | changed


def disable(endpoint: Endpoint, *, failures: int = 10) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(
        status="DISABLED", disabled_at=THEN, disabled_reason="It failed.", consecutive_failures=failures
    )


def test_current_install_answers_install_app_and_token(partner: Partner) -> None:
    answer = partner.call("GET", "/installs/current")
    install, token = partner.install, Token.objects.get()
    assert answer.status == 200
    assert answer.json == {
        "install": {
            "id": install.pk,
            "status": "ACTIVE",
            "scopes": install.scopes,
            "piiConsent": True,
            "organizationId": "org_acme-labs",
            "createdAt": "2026-06-12T10:00:00.000Z",
            "partnerApp": {"id": install.app_id, "slug": "label-studio-cloud", "name": "Label Studio Cloud"},
            "token": {"id": token.pk, "name": "Consent screen", "scopes": token.scopes},
        }
    }


def test_current_install_works_without_webhooks_manage(db: None) -> None:
    answer = make_partner(scopes=["contracts:read"]).call("GET", "/installs/current")
    assert (answer.status, answer.json["install"]["token"]["scopes"]) == (200, ["contracts:read"])
    assert answer.json["install"]["piiConsent"] is False


def test_register_answers_endpoint_and_secret_once(partner: Partner) -> None:
    answer = partner.call("POST", "/webhook-endpoints", {"url": "https://a.example.com/h", "eventTypes": BOTH})
    stored = Endpoint.objects.get()
    created_at = answer.json["webhookEndpoint"]["createdAt"]
    assert answer.status == 200
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", created_at)
    assert answer.json["webhookEndpoint"] == wire(stored, createdAt=created_at)
    assert answer.json["message"].startswith("Store the secret now")
    assert re.fullmatch(r"whsec_[A-Za-z0-9_-]{43}", answer.json["secret"])
    assert vault.unseal(stored.secret_sealed) == answer.json["secret"]
    assert answer.json["secret"] not in stored.secret_sealed
    for path in ("/webhook-endpoints", f"/webhook-endpoints/{stored.pk}"):
        assert "whsec" not in str(partner.call("GET", path).json)


def test_list_answers_own_endpoints_newest_first(partner: Partner, outsider: Partner) -> None:
    older, newer = make_endpoint(partner).endpoint, make_endpoint(partner).endpoint
    Endpoint.objects.filter(pk=newer.pk).update(created_at=THEN + timedelta(seconds=1))
    make_endpoint(outsider)
    answer = partner.call("GET", "/webhook-endpoints")
    assert answer.json == {
        "webhookEndpoints": [wire(newer, createdAt="2026-06-12T10:00:01.000Z"), wire(older)],
    }


def test_get_answers_a_disabled_endpoint_with_since_and_why(partner: Partner, endpoint: Endpoint) -> None:
    disable(endpoint)
    answer = partner.call("GET", f"/webhook-endpoints/{endpoint.pk}")
    assert answer.status == 200
    assert answer.json["webhookEndpoint"] == wire(
        endpoint,
        status="DISABLED",
        consecutiveFailures=10,
        disabledAt="2026-06-12T10:00:00.000Z",
        disabledReason="It failed.",
    )


def test_patch_changes_only_what_was_sent(partner: Partner, endpoint: Endpoint) -> None:
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", {"url": "https://b.example.com/x?y=1"})
    assert answer.json == {"webhookEndpoint": wire(endpoint, url="https://b.example.com/x?y=1")}
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", {"eventTypes": ["install.revoked"]})
    assert answer.json["webhookEndpoint"]["eventTypes"] == ["install.revoked"]
    assert answer.json["webhookEndpoint"]["url"] == "https://b.example.com/x?y=1"


def test_patch_active_on_a_disabled_endpoint_clears_counter_and_reason(partner: Partner, endpoint: Endpoint) -> None:
    disable(endpoint)
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", {"status": "ACTIVE"})
    assert answer.json == {"webhookEndpoint": wire(endpoint)}


def test_patch_active_on_an_active_endpoint_resets_the_counter(partner: Partner, endpoint: Endpoint) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(consecutive_failures=7)
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", {"status": "ACTIVE"})
    assert answer.json == {"webhookEndpoint": wire(endpoint)}


def test_patch_disabled_pauses_and_keeps_pending_deliveries(partner: Partner, endpoint: Endpoint) -> None:
    make_deliveries(partner, endpoint, count=2, status="PENDING")
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", {"status": "DISABLED"})
    shown = answer.json["webhookEndpoint"]
    assert (shown["status"], shown["disabledReason"]) == ("DISABLED", "Paused through the API.")
    assert shown["disabledAt"] is not None
    assert list(Delivery.objects.values_list("status", flat=True)) == ["PENDING", "PENDING"]


def test_patch_disabled_on_a_disabled_endpoint_keeps_since_and_why(partner: Partner, endpoint: Endpoint) -> None:
    disable(endpoint)
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", {"status": "DISABLED"})
    assert answer.json["webhookEndpoint"]["disabledReason"] == "It failed."
    assert answer.json["webhookEndpoint"]["disabledAt"] == "2026-06-12T10:00:00.000Z"


def test_delete_answers_the_last_snapshot_and_discards_deliveries(partner: Partner, endpoint: Endpoint) -> None:
    [first, _] = make_deliveries(partner, endpoint, count=2, status="PENDING")
    Attempt.objects.create(delivery_id=first, number=1, started_at=THEN, duration_ms=1, cause="", response_head=b"")
    answer = partner.call("DELETE", f"/webhook-endpoints/{endpoint.pk}")
    assert (answer.status, answer.json) == (200, {"webhookEndpoint": wire(endpoint), "deleted": True})
    assert (Endpoint.objects.count(), Delivery.objects.count(), Event.objects.count()) == (0, 0, 2)
    assert partner.call("DELETE", f"/webhook-endpoints/{endpoint.pk}").status == 404


def test_redeliver_all_requeues_exactly_the_failed_ones(partner: Partner, endpoint: Endpoint) -> None:
    other = make_endpoint(partner).endpoint
    failed = make_deliveries(partner, endpoint, count=3, status="FAILED")
    Delivery.objects.filter(pk__in=failed).update(tries=5, attempts=5)
    delivered = make_deliveries(partner, endpoint, count=1, status="DELIVERED")
    Delivery.objects.filter(endpoint=other).update(status="FAILED", next_attempt_at=None)
    answer = partner.call("POST", f"/webhook-endpoints/{endpoint.pk}/redeliver", {})
    assert answer.json == {"webhookEndpoint": wire(endpoint), "requeued": 3, "message": ACTIVE_MESSAGE}
    rows = Delivery.objects.filter(endpoint=endpoint).values_list("id", "status", "round", "tries", "attempts")
    assert sorted(rows) == sorted([(pk, "PENDING", 2, 0, 5) for pk in failed] + [(delivered[0], "DELIVERED", 1, 0, 0)])
    assert set(Delivery.objects.filter(endpoint=other).values_list("status", flat=True)) == {"FAILED"}


@pytest.mark.parametrize("status", ["PENDING", "DELIVERED", "FAILED"])
def test_redeliver_one_requeues_it_whatever_its_status(partner: Partner, endpoint: Endpoint, status: str) -> None:
    [one, other] = make_deliveries(partner, endpoint, count=2, status=status)
    answer = partner.call("POST", f"/webhook-endpoints/{endpoint.pk}/redeliver", {"deliveryId": one})
    assert (answer.json["requeued"], answer.json["message"]) == (1, ACTIVE_MESSAGE)
    assert dict(Delivery.objects.values_list("id", "round")) == {one: 2, other: 1}


def test_redeliver_while_disabled_requeues_and_reminds(partner: Partner, endpoint: Endpoint) -> None:
    [one] = make_deliveries(partner, endpoint, count=1, status="FAILED")
    disable(endpoint)
    answer = partner.call("POST", f"/webhook-endpoints/{endpoint.pk}/redeliver", {})
    assert answer.json["requeued"] == 1
    assert answer.json["message"] == (
        "Nothing is attempted while the endpoint is DISABLED. Re-enable it first (PATCH with status ACTIVE), "
        "then redeliver."
    )
    assert Delivery.objects.get(pk=one).status == "PENDING"


def test_redeliver_message_follows_the_run_interval(partner: Partner, endpoint: Endpoint, settings) -> None:
    settings.PARTNER_API_RUN_INTERVAL_S = 5
    answer = partner.call("POST", f"/webhook-endpoints/{endpoint.pk}/redeliver", {})
    assert answer.json["message"] == (
        "Requeued deliveries will be attempted on the next delivery run (within ~5 seconds)."
    )
    assert answer.json["requeued"] == 0


@pytest.mark.parametrize("delivery_id", ["dlv_" + "0" * 32, "nonsense", "é"])
def test_redeliver_of_an_unknown_delivery_answers_404(partner: Partner, endpoint: Endpoint, delivery_id: str) -> None:
    answer = partner.call("POST", f"/webhook-endpoints/{endpoint.pk}/redeliver", {"deliveryId": delivery_id})
    assert (answer.status, answer.json["code"]) == (404, "NOT_FOUND")
    assert answer.json["details"] == {"fields": {"deliveryId": "unknown"}}


def test_redeliver_of_another_endpoints_delivery_answers_404(partner: Partner, endpoint: Endpoint) -> None:
    other = make_endpoint(partner).endpoint
    [theirs] = make_deliveries(partner, other, count=1, status="FAILED")
    answer = partner.call("POST", f"/webhook-endpoints/{endpoint.pk}/redeliver", {"deliveryId": theirs})
    assert answer.status == 404
    assert Delivery.objects.get(pk=theirs).status == "FAILED"


@pytest.mark.parametrize(
    ("method", "suffix", "body"),
    [("GET", "", None), ("PATCH", "", {"status": "DISABLED"}), ("DELETE", "", None), ("POST", "/redeliver", {})],
)
def test_an_endpoint_of_another_install_answers_exactly_like_an_unknown_one(
    *, partner: Partner, outsider: Partner, endpoint: Endpoint, method: str, suffix: str, body: object
) -> None:
    theirs = outsider.call(method, f"/webhook-endpoints/{endpoint.pk}{suffix}", body)
    unknown = outsider.call(method, f"/webhook-endpoints/whe_{'0' * 32}{suffix}", body)
    strange = outsider.call(method, f"/webhook-endpoints/a%00b{suffix}", body)
    answers = [(a.status, {**a.json, "requestId": ""}) for a in (theirs, unknown, strange)]
    assert (
        answers
        == [
            (
                404,
                {
                    "error": "There is no such webhook endpoint on this install.",
                    "code": "NOT_FOUND",
                    "requestId": "",
                    "details": {},
                },
            )
        ]
        * 3
    )
    endpoint.refresh_from_db()
    assert endpoint.active


def test_openapi_needs_no_token_and_names_all_fifteen_operations(partner: Partner) -> None:
    answer = partner.call("GET", "/openapi.json", headers={})
    operations = {
        f"{method.upper()} {path}"
        for path, item in answer.json["paths"].items()
        for method in item
        if method != "parameters"
    }
    base = "/api/partner/v1"
    assert operations == {
        f"GET {base}/installs/current",
        f"POST {base}/project-links",
        f"GET {base}/project-links",
        f"GET {base}/project-links/{{linkId}}",
        f"DELETE {base}/project-links/{{linkId}}",
        f"GET {base}/contracts",
        f"GET {base}/contracts/{{contractId}}/participants",
        f"GET {base}/contracts/{{contractId}}/budget",
        f"POST {base}/contracts/{{contractId}}/usage",
        f"POST {base}/webhook-endpoints",
        f"GET {base}/webhook-endpoints",
        f"GET {base}/webhook-endpoints/{{endpointId}}",
        f"PATCH {base}/webhook-endpoints/{{endpointId}}",
        f"DELETE {base}/webhook-endpoints/{{endpointId}}",
        f"POST {base}/webhook-endpoints/{{endpointId}}/redeliver",
    }
    schemas = answer.json["components"]["schemas"]
    assert sorted(schemas["EndpointOut"]["required"]) == sorted(wire(Endpoint()))
    assert schemas["RegisterIn"]["additionalProperties"] is False
    assert schemas["ChangeIn"].get("required") is None


def test_revoking_a_token_twice_keeps_the_first_time(partner: Partner) -> None:
    token = Token.objects.get()
    auth.revoke(token_id=token.pk, now=THEN)
    auth.revoke(token_id=token.pk, now=THEN + timedelta(days=1))
    token.refresh_from_db()
    assert token.revoked_at == THEN
