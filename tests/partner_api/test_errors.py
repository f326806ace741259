"""Everything that is not 2xx: validation, tokens, paths, methods, crashes; always the one envelope."""

import json

import pytest
from django.test import Client

from dashboard.partner_api import auth, bodies, endpoints
from dashboard.partner_api.models import App, Endpoint, Install, Token
from tests.partner_api.conftest import BOTH, THEN, ApiAnswer, Partner, make_partner

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")

URL = "https://partner.example.com/hooks"


def problem(answer: ApiAnswer) -> tuple[int, str, str, dict]:
    """The envelope without its request ID, which has to be the header's."""
    assert sorted(answer.json) == ["code", "details", "error", "requestId"]
    assert answer.json["requestId"] == answer.headers["X-Request-Id"]
    return answer.status, answer.json["code"], answer.json["error"], answer.json["details"]


def refused(field: str, words: str) -> tuple[int, str, str, dict]:
    return 400, "BAD_REQUEST", f"{field} {words}.", {"fields": {field: words}}


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


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"deliveryId": None}, "deliveryId", "must be a string"),
        ({"deliveryId": 12}, "deliveryId", "must be a string"),
        ({"deliveryId": ""}, "deliveryId", "must not be empty"),
        ({"deliveryId": "d" * 101}, "deliveryId", "is too long"),
        ({"delivery_id": "dlv_1"}, "delivery_id", "is not a field of this operation; remove it"),
    ],
)
def test_redeliver_with_a_bad_delivery_id_requeues_nothing(
    partner: Partner, endpoint: Endpoint, body: object, field: str, words: str
) -> None:
    answer = partner.call("POST", f"/webhook-endpoints/{endpoint.pk}/redeliver", body)
    assert problem(answer) == refused(field, words)


BODIES = [
    (b"", "application/json", bodies.EMPTY),
    (
        b"{",
        "application/json",
        "The body is not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2.",
    ),
    (b"[]", "application/json", "The body must be a JSON object: { … }."),
    (b"null", "application/json", "The body must be a JSON object: { … }."),
    (b'"x"', "application/json", "The body must be a JSON object: { … }."),
    (b'{"a":NaN}', "application/json", "The body is not valid JSON: NaN is not a JSON value."),
    (b'{"a":1,"a":2}', "application/json", "The body names a key more than once."),
    (b'{"a":"\xff"}', "application/json", "The body is not UTF-8."),
    ('{"a":1}'.encode("utf-16"), "application/json", "The body is not UTF-8."),
    (b"[" * 60_000, "application/json", bodies.TOO_DEEP),
    (b'{"a":' * 17 + b"{}" + b"}" * 17, "application/json", bodies.TOO_DEEP),
    (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", "application/json", bodies.TOO_DEEP),
    (
        b'{"a":' + b"1" * 5000 + b"}",
        "application/json",
        "The body contains a number with too many digits.",
    ),
    (b'{"a":"\\u0000"}', "application/json", "The body contains a NUL character, which no value may contain."),
    (b'{"a":[{"\\u0000":1}]}', "application/json", "The body contains a NUL character, which no value may contain."),
    (
        b'{"a":"\\ud800"}',
        "application/json",
        "The body contains half of a surrogate pair, which is not a character.",
    ),
    (b"{}" + b" " * 65_535, "application/json", "The body is larger than 64 KiB."),
    (
        b"{}",
        "application/json; charset=latin-1",
        "JSON must be UTF-8: encode the body as UTF-8, and leave charset out of Content-Type.",
    ),
    (
        b"{}",
        "application/json; charset=utf-16",
        "JSON must be UTF-8: encode the body as UTF-8, and leave charset out of Content-Type.",
    ),
    (b"{}", "text/plain", "Send the body as JSON, with the header Content-Type: application/json."),
    (
        b"{}",
        "application/x-www-form-urlencoded",
        "Send the body as JSON, with the header Content-Type: application/json.",
    ),
]


@pytest.mark.parametrize(("raw", "content_type", "message"), BODIES)
@pytest.mark.parametrize("limit", [2_500_000, 65_536])
def test_a_body_that_is_no_json_object_answers_400(
    *, partner: Partner, endpoint: Endpoint, settings, raw: bytes, content_type: str, message: str, limit: int
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = limit
    path = f"/webhook-endpoints/{endpoint.pk}/redeliver"
    answer = partner.call("POST", path, raw=raw, content_type=content_type)
    assert problem(answer) == (400, "BAD_REQUEST", message, {})


def test_a_body_of_64_kib_with_a_charset_is_read(partner: Partner, endpoint: Endpoint) -> None:
    answer = partner.call(
        "POST",
        f"/webhook-endpoints/{endpoint.pk}/redeliver",
        raw=b"{}" + b" " * 65_534,
        content_type="application/json; charset=utf-8",
    )
    assert (answer.status, answer.json["requeued"]) == (200, 0)


def test_a_body_of_sixteen_levels_is_read_and_its_field_is_named(partner: Partner, endpoint: Endpoint) -> None:
    raw = b'{"a":' + b"[" * 15 + b"]" * 15 + b"}"
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", raw=raw)
    assert problem(answer) == refused("a", "is not a field of this operation; remove it")


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


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer  "},
        {"Authorization": "Basic b3RfcHRr"},
    ],
)
def test_a_call_without_a_token_answers_401(partner: Partner, headers: dict[str, str]) -> None:
    answer = partner.call("GET", "/webhook-endpoints", headers=headers)
    message = "No token was sent. Send the header Authorization: Bearer ot_ptk_…."
    assert problem(answer) == (401, "UNAUTHORIZED", message, {})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


INVALID = (401, "UNAUTHORIZED", "The token is not valid: it is malformed, unknown or revoked.", {})


@pytest.mark.parametrize("token", ["nonsense", "ot_ptk_" + "a" * 43, "ot_ptk_é", "ot_ptk_" + "a" * 5000])
def test_an_unknown_token_answers_401(partner: Partner, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert problem(partner.call("GET", "/installs/current", headers=headers)) == INVALID


def test_a_revoked_token_answers_401(partner: Partner) -> None:
    auth.revoke(token_id=Token.objects.get().pk, now=THEN)
    assert problem(partner.call("GET", "/installs/current")) == INVALID


def test_a_token_is_looked_up_by_its_hash_and_stored_as_nothing_else(partner: Partner) -> None:
    stored = str(Token.objects.values().get())
    assert partner.token not in stored
    assert partner.token.removeprefix("ot_ptk_") not in stored


def test_bearer_is_read_in_any_case(partner: Partner) -> None:
    answer = partner.call("GET", "/installs/current", headers={"Authorization": f"bearer {partner.token}"})
    assert answer.status == 200


def test_an_inactive_install_answers_403(partner: Partner) -> None:
    Install.objects.update(status="REVOKED")
    expected = (403, "FORBIDDEN", "The install is REVOKED, not ACTIVE.", {"installStatus": "REVOKED"})
    assert problem(partner.call("GET", "/installs/current")) == expected


def test_an_inactive_app_answers_403(partner: Partner) -> None:
    App.objects.update(status="SUSPENDED")
    expected = (403, "FORBIDDEN", "The app is SUSPENDED, not ACTIVE.", {"appStatus": "SUSPENDED"})
    assert problem(partner.call("GET", "/installs/current")) == expected


def test_a_feature_that_is_off_answers_403(partner: Partner) -> None:
    Install.objects.update(feature_enabled=False)
    expected = (403, "FORBIDDEN", "The Partner API is not enabled for this organization.", {})
    assert problem(partner.call("GET", "/installs/current")) == expected


LACKS = "This token lacks the scope webhooks:manage. Ask the customer to reconnect the app with it."


@pytest.mark.parametrize(
    ("method", "suffix"),
    [("GET", ""), ("POST", ""), ("GET", "/x"), ("PATCH", "/x"), ("DELETE", "/x"), ("POST", "/x/redeliver")],
)
def test_a_token_without_webhooks_manage_answers_403_before_anything_else(db: None, method: str, suffix: str) -> None:
    reader = make_partner(scopes=["contracts:read"])
    answer = reader.call(method, f"/webhook-endpoints{suffix}", raw=b"not json")
    details = {"requiredScope": "webhooks:manage", "scopes": ["contracts:read"]}
    assert problem(answer) == (403, "FORBIDDEN", LACKS, details)


def test_a_scope_that_the_install_lost_does_not_count(partner: Partner) -> None:
    Install.objects.update(scopes=["contracts:read"])
    status, _, error, details = problem(partner.call("GET", "/webhook-endpoints"))
    assert (status, error, details["scopes"]) == (403, LACKS, ["contracts:read"])


def test_a_token_cannot_be_issued_beyond_its_install(db: None) -> None:
    reader = make_partner(scopes=["contracts:read"])
    with pytest.raises(ValueError, match="the install does not have the scopes webhooks:manage"):
        auth.issue(install=reader.install, name="wide", scopes=["webhooks:manage"], now=THEN)


def test_last_use_is_noted_once_a_minute(partner: Partner, django_assert_num_queries) -> None:
    partner.call("GET", "/installs/current")
    first = Token.objects.get().last_used_at
    with django_assert_num_queries(2):  # the token, and its bucket
        partner.call("GET", "/installs/current")
    assert first is not None
    assert Token.objects.get().last_used_at == first


def test_secrets_are_not_in_the_repr_of_what_holds_them(partner: Partner, registered: endpoints.Registered) -> None:
    issued = auth.issue(install=partner.install, name="x", scopes=[], now=THEN)
    assert repr(issued) == f"NewToken(id={issued.id!r})"
    assert repr(registered) == f"Registered(endpoint={registered.endpoint.pk!r})"


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/webhook-endpoints/", "/docs", "/installs/current/x", "/%00"])
def test_an_unknown_path_answers_404(partner: Partner, path: str) -> None:
    answer = partner.call("POST", path, {})
    message = "There is nothing at this path. GET openapi.json lists what there is."
    assert problem(answer) == (404, "NOT_FOUND", message, {})


def test_a_path_outside_the_api_answers_404_too(db: None) -> None:
    response = Client(raise_request_exception=False).get("/admin/")
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/webhook-endpoints", ["GET", "POST"]),
        ("POST", "/webhook-endpoints/x", ["DELETE", "GET", "PATCH"]),
        ("GET", "/webhook-endpoints/x/redeliver", ["POST"]),
        ("DELETE", "/installs/current", ["GET"]),
        ("POST", "/openapi.json", ["GET"]),
    ],
)
def test_a_wrong_method_answers_405_with_allow(partner: Partner, method: str, path: str, allow: list[str]) -> None:
    answer = partner.call(method, path)
    message = f"{method} is not possible here; use {', '.join(allow)}."
    assert problem(answer) == (405, "BAD_REQUEST", message, {"allow": allow})
    assert answer.headers["Allow"] == ", ".join(allow)


def test_a_crash_answers_500_and_logs_the_request_id_only(partner: Partner, monkeypatch, caplog) -> None:
    def crash(**_: object) -> None:
        raise RuntimeError("inner workings")

    monkeypatch.setattr(endpoints, "newest_first", crash)
    answer = partner.call("GET", "/webhook-endpoints")
    message = "Something went wrong on our side. Try again; if it stays, quote the requestId to support."
    assert problem(answer) == (500, "INTERNAL_ERROR", message, {})
    assert answer.json["requestId"] in caplog.text
    assert "inner workings" in caplog.text
    assert "inner workings" not in json.dumps(answer.json)
    assert partner.token not in caplog.text
