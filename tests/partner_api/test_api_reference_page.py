"""The reference page's own curl request, over a real connection, compared with the page's example answer.

Source: the page "Redeliver webhook deliveries" of OpenTrain's Platform API reference.
"""

import http.client
import json
from collections.abc import Iterator

import pytest
from pytest_django.live_server_helper import LiveServer

from dashboard.partner_api.models import Delivery
from tests.partner_api.conftest import make_deliveries, make_endpoint, make_partner

pytestmark = [pytest.mark.urls("dashboard.partner_api.urls"), pytest.mark.django_db(transaction=True)]

EXAMPLE = """
{
  "webhookEndpoint": {
    "id": "<ENDPOINT_ID>",
    "url": "https://your-platform.example.com/webhooks/opentrain",
    "eventTypes": ["contract.started", "contract.ended"],
    "status": "ACTIVE",
    "createdAt": "2026-06-12T10:00:00.000Z",
    "consecutiveFailures": 0,
    "disabledAt": null,
    "disabledReason": null
  },
  "requeued": 3,
  "message": "Requeued deliveries will be attempted on the next delivery run (within ~5 minutes)."
}
"""


@pytest.fixture
def server(transactional_db: None) -> Iterator[LiveServer]:
    running = LiveServer("127.0.0.1")
    yield running
    running.stop()


def curl(server: LiveServer, path: str, *, token: str, body: bytes) -> tuple[int, str]:
    """Send what `curl -sS -X POST URL -H Authorization -H Content-Type -d BODY` sends."""
    connection = http.client.HTTPConnection(server.thread.host, server.thread.port, timeout=60)
    headers = {
        "User-Agent": "curl/8.5.0",
        "Accept": "*/*",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
    }
    connection.request("POST", path, body=body, headers=headers)
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    return response.status, text


def test_the_pages_request_gets_the_pages_answer(server: LiveServer) -> None:
    partner = make_partner()
    endpoint = make_endpoint(partner, url="https://your-platform.example.com/webhooks/opentrain").endpoint
    failed = make_deliveries(partner, endpoint, count=3, status="FAILED")
    path = f"/api/partner/v1/webhook-endpoints/{endpoint.pk}/redeliver"
    status, text = curl(server, path, token=partner.token, body=b"{}")
    assert status == 200
    assert text.replace(endpoint.pk, "<ENDPOINT_ID>") == json.dumps(json.loads(EXAMPLE))
    assert set(Delivery.objects.filter(pk__in=failed).values_list("status", flat=True)) == {"PENDING"}


@pytest.mark.parametrize(
    ("path", "token", "body", "status", "code"),
    [
        ("{}/redeliver", "{}", b"{deliveryId: 1}", 400, "BAD_REQUEST"),
        ("{}/redeliver", "ot_ptk_wrong", b"{}", 401, "UNAUTHORIZED"),
        ("{}0/redeliver", "{}", b"{}", 404, "NOT_FOUND"),
    ],
)
def test_the_pages_errors_come_with_their_codes(
    *, server: LiveServer, path: str, token: str, body: bytes, status: int, code: str
) -> None:
    partner = make_partner()
    endpoint = make_endpoint(partner).endpoint
    target = f"/api/partner/v1/webhook-endpoints/{path.format(endpoint.pk)}"
    answered, text = curl(server, target, token=token.format(partner.token), body=body)
    assert (answered, json.loads(text)["code"]) == (status, code)


def test_the_pages_403_comes_for_a_token_without_webhooks_manage(server: LiveServer) -> None:
    reader = make_partner(scopes=["contracts:read"])
    status, text = curl(server, "/api/partner/v1/webhook-endpoints/x/redeliver", token=reader.token, body=b"{}")
    assert (status, json.loads(text)["code"]) == (403, "FORBIDDEN")
