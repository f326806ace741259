"""The client's seven operations against a real server: the requests and the results."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.services import opentrain
from dashboard.services.opentrain import (
    CreatedEndpoint,
    DeletedEndpoint,
    Install,
    NotFound,
    PartnerApp,
    Redelivery,
    TokenInfo,
    Unauthorized,
    call,
)
from dashboard.services.opentrain.call import Limits
from dashboard.vault import Secret
from tests.services import misbehaving as bad
from tests.services.opentrain_samples import (
    ENDPOINT,
    INSTALL,
    READ,
    TOKEN,
    fails,
    get,
    ok,
)


def test_get_install_reads_install_app_and_token(serve: Any) -> None:
    with serve(ok({"install": INSTALL | {"new": 1}, "new": 1})) as server:
        install = opentrain.get_install(token=TOKEN)
    assert install == Install(
        id="ins_1",
        status="ACTIVE",
        scopes=("webhooks:manage",),
        pii_consent=True,
        organization_id="org_1",
        created_at=datetime(2026, 6, 12, 10, 0, tzinfo=UTC),
        partner_app=PartnerApp(id="app_1", slug="studio", name="Studio"),
        token=TokenInfo(id="tok_1", name="Consent screen", scopes=("webhooks:manage",)),
    )
    [request] = server.requests
    assert (request.method, request.target, request.body) == ("GET", "/api/partner/v1/installs/current", b"")
    assert sorted(request.headers) == [
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("Authorization", f"Bearer {TOKEN.reveal()}"),
        ("Connection", "close"),
        ("Host", f"localhost:{server.port}"),
        ("User-Agent", "Redeliver"),
    ]


def test_create_endpoint_reads_the_secret_and_keeps_it_covered(serve: Any) -> None:
    answer = {"webhookEndpoint": ENDPOINT, "secret": "whsec_" + "a" * 32, "message": "Keep it."}
    with serve(ok(answer)) as server:
        made = opentrain.create_endpoint(token=TOKEN, url="https://a.example.com/ü", event_types=("contract.ended",))
    assert made == CreatedEndpoint(READ, Secret("whsec_" + "a" * 32), "Keep it.")
    assert "whsec_" not in repr(made)
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/api/partner/v1/webhook-endpoints")
    assert json.loads(request.body) == {"url": "https://a.example.com/ü", "eventTypes": ["contract.ended"]}
    assert request.values("Content-Type") == ["application/json"]


def test_list_endpoints_keeps_the_order_and_the_first_of_a_double(serve: Any) -> None:
    items = [ENDPOINT | {"id": "b"}, ENDPOINT | {"id": "a"}, ENDPOINT | {"id": "b", "status": "DISABLED"}]
    with serve(ok({"webhookEndpoints": items})):
        found = opentrain.list_endpoints(token=TOKEN)
    assert [(item.id, item.status) for item in found] == [("b", "ACTIVE"), ("a", "ACTIVE")]


def test_list_endpoints_takes_thousands(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "LIMITS", Limits())
    with serve(ok({"webhookEndpoints": [ENDPOINT | {"id": f"whe_{n}"} for n in range(3000)]})):
        assert len(opentrain.list_endpoints(token=TOKEN)) == 3000


def test_get_endpoint_keeps_what_it_does_not_know_as_it_came(serve: Any) -> None:
    strange = ENDPOINT | {"status": "SLEEPING", "eventTypes": ["moon.full"], "added": {"later": True}}
    with serve(ok({"webhookEndpoint": strange})):
        found = get()
    assert (found.status, found.event_types) == ("SLEEPING", ("moon.full",))


def test_get_endpoint_reads_times_into_utc(serve: Any) -> None:
    disabled = {"disabledAt": "2026-06-12T12:30:00.500+02:00", "disabledReason": "10 failures", "status": "DISABLED"}
    with serve(ok({"webhookEndpoint": ENDPOINT | disabled})):
        found = get()
    assert found.disabled_at == datetime(2026, 6, 12, 10, 30, 0, 500_000, tzinfo=UTC)
    assert found.disabled_at.utcoffset() == timedelta(0)
    assert found.disabled_reason == "10 failures"


def test_text_from_outside_is_put_on_one_line_and_cut(serve: Any) -> None:
    reason = "a\u0000b\r\n<script>\ud800 \u202e" + "x" * 5000
    with serve(ok({"webhookEndpoint": ENDPOINT | {"disabledReason": reason}})):
        found = get()
    assert found.disabled_reason is not None
    assert found.disabled_reason == "a b <script> " + "x" * 486 + "…"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"url": "https://b.example.com/"}, {"url": "https://b.example.com/"}),
        ({"event_types": ["contract.ended"]}, {"eventTypes": ["contract.ended"]}),
        ({"status": "DISABLED"}, {"status": "DISABLED"}),
        ({"event_types": []}, {"eventTypes": []}),
        ({}, {}),
    ],
)
def test_update_endpoint_sends_only_what_is_given(serve: Any, given: dict[str, Any], sent: dict[str, Any]) -> None:
    with serve(ok({"webhookEndpoint": ENDPOINT})) as server:
        assert opentrain.update_endpoint(token=TOKEN, endpoint_id="whe_1", **given) == READ
    [request] = server.requests
    assert (request.method, request.target) == ("PATCH", "/api/partner/v1/webhook-endpoints/whe_1")
    assert json.loads(request.body) == sent


def test_delete_endpoint_reads_the_last_snapshot(serve: Any) -> None:
    with serve(ok({"webhookEndpoint": ENDPOINT, "deleted": True})) as server:
        assert opentrain.delete_endpoint(token=TOKEN, endpoint_id="whe_1") == DeletedEndpoint(READ)
    [request] = server.requests
    assert (request.method, request.target) == ("DELETE", "/api/partner/v1/webhook-endpoints/whe_1")
    assert (request.body, request.values("Content-Type")) == (b"", [])


@pytest.mark.parametrize(("delivery_id", "sent"), [(None, {}), ("dlv_1", {"deliveryId": "dlv_1"})])
def test_redeliver_sends_one_or_all_and_reads_the_message(serve: Any, delivery_id: str | None, sent: Any) -> None:
    message = "Requeued deliveries will be attempted on the next delivery run (within ~5 minutes)."
    with serve(ok({"webhookEndpoint": ENDPOINT, "requeued": 3, "message": message})) as server:
        done = opentrain.redeliver(token=TOKEN, endpoint_id="whe_1", delivery_id=delivery_id)
    assert done == Redelivery(READ, 3, message)
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/api/partner/v1/webhook-endpoints/whe_1/redeliver")
    assert json.loads(request.body) == sent


@pytest.mark.parametrize(
    ("endpoint_id", "path"),
    [("a/b", "a%2Fb"), ("a?b#c", "a%3Fb%23c"), ("a b\r\n", "a%20b%0D%0A"), ("ü", "%C3%BC"), ("%2e%2e", "%252e%252e")],
)
def test_id_is_quoted_into_the_path(serve: Any, endpoint_id: str, path: str) -> None:
    with serve(ok({"webhookEndpoint": ENDPOINT})) as server:
        opentrain.get_endpoint(token=TOKEN, endpoint_id=endpoint_id)
    assert server.requests[0].target == f"/api/partner/v1/webhook-endpoints/{path}"


@pytest.mark.parametrize("endpoint_id", ["", ".", ".."])
def test_id_that_would_name_another_path_is_not_asked_for(serve: Any, endpoint_id: str) -> None:
    with serve(bad.answer(200)) as server:
        error = fails(lambda: opentrain.delete_endpoint(token=TOKEN, endpoint_id=endpoint_id), NotFound)
    assert str(error) == "OpenTrain has no endpoint with this ID."
    assert (error.status, error.code, server.connections) == (404, "NOT_FOUND", 0)


@pytest.mark.parametrize("text", ["", " ", "ot_ptk_a b", "ot_ptk_a\n", "ot_ptk_ä", "ot_ptk_“a”", "ot_ptk_a\r\nX-A: b"])
def test_token_that_cannot_be_one_is_not_sent(serve: Any, text: str) -> None:
    with serve(bad.answer(200)) as server:
        error = fails(lambda: opentrain.get_install(token=Secret(text)), Unauthorized)
    assert str(error) == "This is not a token: it is empty or contains a space or another invalid character."
    assert (error.status, error.code, server.connections) == (401, "UNAUTHORIZED", 0)
