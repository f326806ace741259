"""The client's operations against a real server: the requests and the results."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dashboard.rules import json_limits
from dashboard.rules.outside_texts import is_whole
from dashboard.services import opentrain
from dashboard.services.http.deadline_socket import BoundSocket
from dashboard.services.opentrain import (
    BadResponse,
    CreatedEndpoint,
    DeletedEndpoint,
    Install,
    NotFound,
    OutcomeUnknown,
    PartnerApp,
    Redelivery,
    TokenInfo,
    Unauthorized,
    client,
    types,
)
from dashboard.vault import Secret
from tests.contract.fake import EVENT_TYPES
from tests.services import misbehaving as bad
from tests.services.misbehaving import Behaviour
from tests.services.opentrain_samples import (
    ENDPOINT,
    INSTALL,
    READ,
    REQUEST_ID,
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


def full(number: int) -> dict[str, Any]:
    """An endpoint with the longest URL and every event type."""
    url = f"https://a.example.com/{number}/".ljust(types.URL_CHARS, "x")
    return ENDPOINT | {"id": f"whe_{number:024}", "url": url, "eventTypes": list(EVENT_TYPES)}


def test_list_of_5000_endpoints_is_read_and_any_other_answer_of_its_size_is_not(serve: Any) -> None:
    answer = ok({"webhookEndpoints": [full(number) for number in range(5000)]})
    with serve(answer):
        assert len(opentrain.list_endpoints(token=TOKEN)) == 5000
        with pytest.raises(BadResponse, match="it is too large"):
            get()


def test_limits_of_the_list_fit_10000_endpoints_with_the_longest_urls() -> None:
    body = json.dumps({"webhookEndpoints": [full(number) for number in range(10_000)]})
    assert len(body) < client._ENDPOINTS.max_bytes
    assert not json_limits.has_more_values(body, than=json_limits.VALUES // 2)


LONGER = {
    "bytes": (bad.endless(bad.head(200, f"X-Request-Id: {REQUEST_ID}"), b" " * 10_000), "is larger than 1 MiB"),
    "values": (ok({"webhookEndpoints": [[]] * json_limits.VALUES}), "has more than 500,000 values"),
}


@pytest.mark.parametrize(("behaviour", "words"), LONGER.values(), ids=LONGER)
def test_list_that_is_too_long_is_refused_for_its_length_and_not_for_the_network(
    serve: Any, monkeypatch: pytest.MonkeyPatch, behaviour: Behaviour, words: str
) -> None:
    if "MiB" in words:
        monkeypatch.setattr(client, "_ENDPOINTS", dataclasses.replace(client._ENDPOINTS, max_bytes=2**20))
    with serve(behaviour) as server:
        error = fails(lambda: opentrain.list_endpoints(token=TOKEN), BadResponse)
    assert str(error) == (
        f"OpenTrain's list of endpoints {words}, the most that Redeliver reads (status 200, request {REQUEST_ID}). "
        "Redeliver keeps the last list that it read. Delete endpoints that are no longer used: "
        "Redeliver reads the list again when it is small enough."
    )
    assert len(server.requests) == 1  # the list would not be shorter


def test_body_of_the_list_alone_may_take_longer(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    extended: list[float] = []
    monkeypatch.setattr(BoundSocket, "extend", lambda _self, more_s: extended.append(more_s))
    with serve(ok({"webhookEndpoints": []})):
        opentrain.list_endpoints(token=TOKEN)
    with serve(ok({"webhookEndpoint": ENDPOINT})):
        get()
    assert extended == [30, 0]


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
    assert found.disabled_reason == "a b <script>\ufffd \u202e" + "x" * 484 + "…"  # pages show U+202E as a code


LONG = "https://a.example.com/" + "x" * 2026


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        (LONG, LONG),
        (LONG + "x", LONG[:-1] + "…"),
        ("https://a.example.com/" + "x" * 2078, LONG[:-1] + "…"),
        ("https://a\u0000b.example.com/", "https://a b.example.com/…"),
        ("https://a.example.com/\ud800", "https://a.example.com/\ufffd…"),
    ],
)
def test_url_is_whole_or_marked(serve: Any, url: str, kept: str) -> None:
    with serve(ok({"webhookEndpoint": ENDPOINT | {"url": url}})):
        assert get().url == kept
    assert is_whole(kept) == (kept == url)


def test_odd_items_of_a_list_are_named_beside_the_others(serve: Any) -> None:
    items = ["contract.ended", 7, None, "e" * 101, {"a": "b" * 200}, "a\u0000b"]
    with serve(ok({"webhookEndpoint": ENDPOINT | {"eventTypes": items}})):
        found = get().event_types
    assert found[:4] == ("contract.ended", "unreadable: 7…", "unreadable: null…", "e" * 99 + "…")
    assert (found[4][:22], len(found[4]), found[5]) == ('unreadable: {"a": "bbb', 100, "a b…")
    assert [is_whole(name) for name in found] == [True] + [False] * 5


def test_scopes_are_known_beside_an_odd_one(serve: Any) -> None:
    token = INSTALL["token"] | {"scopes": [{"odd": 1}, *(f"scope-{n}" for n in range(300)), "webhooks:manage"]}
    with serve(ok({"install": INSTALL | {"token": token}})):
        found = opentrain.get_install(token=TOKEN).token.scopes
    assert (found[0], found[-1], len(found)) == ('unreadable: {"odd": 1}…', "webhooks:manage", 302)


def test_secret_is_taken_whole(serve: Any) -> None:
    secret = "whsec_" + "s" * 900
    with serve(ok({"webhookEndpoint": ENDPOINT, "secret": secret, "message": ""})):
        made = opentrain.create_endpoint(token=TOKEN, url="https://a.example.com/", event_types=["contract.ended"])
    assert made.secret == Secret(secret)


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
        fails(lambda: opentrain.get_endpoint(token=TOKEN, endpoint_id=endpoint_id), BadResponse)  # about another one
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


@pytest.mark.parametrize(
    "ask",
    [
        lambda: opentrain.update_endpoint(token=TOKEN, endpoint_id="whe_2", status="ACTIVE"),
        lambda: opentrain.delete_endpoint(token=TOKEN, endpoint_id="whe_2"),
        lambda: opentrain.redeliver(token=TOKEN, endpoint_id="whe_2"),
    ],
    ids=["update", "delete", "redeliver"],
)
def test_answer_about_another_endpoint_proves_nothing(serve: Any, ask: Any) -> None:
    """The outcome of a write is then unknown: it must not be recorded on the endpoint that the answer names."""
    with serve(ok({"webhookEndpoint": ENDPOINT, "deleted": True, "requeued": 3, "message": ""})):
        error = fails(ask, OutcomeUnknown)
    assert "it is about another endpoint" in str(error)


def test_read_about_another_endpoint_cannot_be_used(serve: Any) -> None:
    with serve(ok({"webhookEndpoint": ENDPOINT})):
        error = fails(lambda: opentrain.get_endpoint(token=TOKEN, endpoint_id="whe_2"), BadResponse)
    assert "it is about another endpoint" in str(error)
