"""The receiver in Django's full stack, with real handlers behind it."""

import hashlib
import json
import logging
import time
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection
from django.test import Client, override_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dashboard.models import Attempt, Delivery, RefusedAttempt
from dashboard.models.endpoints import new_receiver_key
from dashboard.signatures import sign
from dashboard.vault import Secret
from dashboard.views import receiver
from tests.factories import BODY, SECRET, make_delivery, make_endpoint
from tests.services.misbehaving import answer, closed_port, hanging_up, misbehaving, silent

OTHER_SECRET = "whsec_" + "b" * 32
ID = "dlv_1"


def deliver(client, endpoint, *, body=BODY, secret=SECRET, age_s=0, content_type="application/json", **changed):
    """POST one delivery as OpenTrain does; a header in `changed` replaces the default one, and None omits it."""
    headers = {
        "Content-Type": content_type,
        "X-OpenTrain-Event": "contract.started",
        "X-OpenTrain-Delivery": ID,
        "X-OpenTrain-Signature": sign(secret=secret, body=body, timestamp=int(time.time()) - age_s),
        "User-Agent": "OpenTrain-Partner-Webhooks/1.0",
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    return client.generic(
        "POST",
        f"/hooks/{endpoint.receiver_key}/",
        data=body,
        headers={name: value for name, value in headers.items() if value is not None},
    )


def said(response):
    return (response.status_code, json.loads(response.content)["reason"])


@contextmanager
def database_refusing(*statements):
    """Make the database refuse every statement that contains one of these words, as during an outage."""

    def refuse(execute, sql, params, many, context):
        if any(word in sql for word in statements):
            raise OperationalError("the connection is lost")
        return execute(sql, params, many, context)

    with connection.execute_wrapper(refuse):
        yield


@pytest.mark.django_db
def test_delivery_without_a_handler_is_recorded_and_received(client) -> None:
    endpoint = make_endpoint()
    response = deliver(client, endpoint)
    assert (response.status_code, response.json()) == (200, {"received": True})
    row = Delivery.objects.get()
    assert (row.endpoint, row.opentrain_id, row.event_id, row.event_type, row.resource_id, bytes(row.body)) == (
        endpoint, ID, "evt_1", "contract.started", "con_1", BODY,
    )  # fmt: skip
    attempt = row.attempts.get()
    assert (attempt.answered_status, attempt.ok, attempt.cause, attempt.handler_status, attempt.handler_url) == (
        200, True, "", None, "",
    )  # fmt: skip
    assert bytes(attempt.response_head) == b'{"received": true}'


@pytest.mark.django_db
def test_delivery_with_a_handler_is_given_its_answer(client) -> None:
    with misbehaving(answer(418, b"<p>no</p>", content_type="text/html", headers=["X-Trace: 7"])) as server:
        response = deliver(client, make_endpoint(handler_url=f"{server.url}/hook"))
    assert (response.status_code, response.content, response["Content-Type"]) == (418, b"<p>no</p>", "text/html")
    assert (server.requests[0].target, server.requests[0].body) == ("/hook", BODY)
    assert server.requests[0].values("x-opentrain-delivery") == [ID]
    attempt = Attempt.objects.get()
    assert (attempt.answered_status, attempt.ok, attempt.cause, attempt.handler_status) == (418, False, "status", 418)
    assert ["X-Trace", "7"] in attempt.response_headers
    assert (bytes(attempt.response_head), attempt.handler_url) == (b"<p>no</p>", f"{server.url}/hook")


@pytest.mark.django_db
def test_secrets_of_the_handlers_url_and_of_headers_are_used_whole_and_stored_hidden(client) -> None:
    with misbehaving(answer(302, headers=["Set-Cookie: a=s3cr3t", "Location: /in?token=s3cr3t"])) as server:
        endpoint = make_endpoint(handler_url=f"{server.url}/hook?api_key=s3cr3t&a=1")
        response = deliver(client, endpoint, X_Auth_Token="s3cr3t")
        deliver(client, endpoint, secret=OTHER_SECRET, X_Auth_Token="s3cr3t")
    assert response.status_code == 302
    assert server.requests[0].target == "/hook?api_key=s3cr3t&a=1"
    assert server.requests[0].values("x-auth-token") == ["s3cr3t"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT handler_url, request_headers::text, response_headers::text FROM dashboard_attempt")
        url, asked, answered = cursor.fetchone()
        cursor.execute("SELECT request_headers::text FROM dashboard_refusedattempt")
        (refused,) = cursor.fetchone()
    assert url == f"{server.url}/hook?api_key=[redacted]&a=1"
    assert '["X-Auth-Token", "[redacted]"]' in asked
    assert '["X-Auth-Token", "[redacted]"]' in refused
    assert '["Set-Cookie", "[redacted]"], ["Location", "/in?token=[redacted]"]' in answered
    assert "s3cr3t" not in asked + answered + refused


@pytest.mark.django_db
def test_delivery_that_is_redirected_gets_the_redirect_and_counts_as_failed(client) -> None:
    with misbehaving(answer(302, headers=["Location: /elsewhere"])) as server:
        response = deliver(client, make_endpoint(handler_url=server.url))
        assert len(server.requests) == 1
    assert (response.status_code, response.content) == (302, b"")
    assert Delivery.objects.values_list("last_ok", "last_status", "last_cause").get() == (False, 302, "status")


@pytest.mark.django_db
def test_delivery_to_a_handler_with_header_injection_is_answered_without_it(client) -> None:
    with misbehaving(answer(200, b"x", content_type="text/\xe9")) as server:
        response = deliver(client, make_endpoint(handler_url=server.url))
    assert (response.status_code, response["Content-Type"]) == (200, "application/octet-stream")


@pytest.mark.django_db
@pytest.mark.parametrize(("behaviour", "status", "cause"), [(silent, 504, "timeout"), (hanging_up, 502, "connection")])
def test_delivery_to_a_failing_handler_records_the_cause(client, monkeypatch, behaviour, status, cause) -> None:
    monkeypatch.setattr(receiver, "DEADLINE_S", 2)
    with misbehaving(behaviour) as server:
        started = time.monotonic()
        response = deliver(client, make_endpoint(handler_url=server.url))
        assert time.monotonic() - started < 20  # the silent server would hold the connection for 30 s
    assert said(response) == (status, cause)
    attempt = Attempt.objects.get()
    assert (attempt.answered_status, attempt.cause, attempt.handler_status) == (status, cause, None)
    assert attempt.latency_ms < 20_000


@pytest.mark.django_db
def test_delivery_to_a_closed_port_is_a_bad_gateway(client) -> None:
    response = deliver(client, make_endpoint(handler_url=f"http://127.0.0.1:{closed_port()}"))
    assert said(response) == (502, "refused")


@pytest.mark.django_db
def test_delivery_again_becomes_the_next_attempt(client) -> None:
    with misbehaving(answer(503), answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        assert [deliver(client, endpoint).status_code for _ in range(2)] == [503, 200]
    assert [(a.number, a.ok) for a in Delivery.objects.get().attempts.all()] == [(1, False), (2, True)]


@pytest.mark.django_db
def test_request_to_an_unknown_door_is_not_found_whatever_it_is(client) -> None:
    answers = {
        client.generic(method, f"/hooks/{key}/", data=b"x", content_type="text/plain").content
        for method in ("GET", "POST", "DELETE")
        for key in (new_receiver_key(), "a", "%00", "é", "a" * 65, "..")
    }
    assert answers == {b'{"error": "Not found.", "reason": "not_found"}'}


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_request_by_another_method_is_told_which_is_allowed(client, method) -> None:
    response = client.generic(method, f"/hooks/{make_endpoint().receiver_key}/")
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert RefusedAttempt.objects.count() == 0


def refusal():
    row = RefusedAttempt.objects.get()
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)
    return row.answered_status, row.reason


@pytest.mark.django_db
@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"])
def test_request_of_another_content_type_is_refused(client, content_type) -> None:
    assert said(deliver(client, make_endpoint(), content_type=content_type)) == (415, "content_type")
    assert refusal() == (415, "content_type")


@pytest.mark.django_db
def test_request_with_a_charset_is_taken(client) -> None:
    assert deliver(client, make_endpoint(), content_type="application/json; charset=utf-8").status_code == 200


@pytest.mark.django_db
def test_request_over_the_limit_is_refused_and_at_the_limit_is_taken(client) -> None:
    endpoint = make_endpoint()
    assert said(deliver(client, endpoint, body=b"x" * (receiver.BODY_LIMIT + 1))) == (413, "too_large")
    assert refusal() == (413, "too_large")
    assert deliver(client, endpoint, body=b"x" * receiver.BODY_LIMIT).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"X_OpenTrain_Signature": None}, "missing"),
        ({"X_OpenTrain_Signature": "nonsense"}, "malformed"),
        ({"X_OpenTrain_Signature": "t=1,v1=" + "a" * 64 + ",t=1,v1=" + "a" * 64}, "doubled"),
        ({"age_s": 400}, "stale"),
        ({"age_s": -400}, "future"),
        ({"secret": "whsec_unknown"}, "mismatch"),
        ({"secret": OTHER_SECRET}, "other_endpoint"),
    ],
)
def test_request_that_is_not_verified_is_refused_with_its_reason(client, changed, reason) -> None:
    with misbehaving(answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        make_endpoint(install=endpoint.install, secret=Secret(OTHER_SECRET))
        response = deliver(client, endpoint, **changed)
        assert (said(response), server.requests) == ((401, reason), [])
    assert refusal() == (401, reason)
    assert RefusedAttempt.objects.get().explanation == response.json()["error"]


@pytest.mark.django_db
def test_request_signed_for_another_install_is_a_mismatch(client) -> None:
    make_endpoint(secret=Secret(OTHER_SECRET))
    assert said(deliver(client, make_endpoint(), secret=OTHER_SECRET)) == (401, "mismatch")


@pytest.mark.django_db
def test_refusal_keeps_size_and_hash_but_neither_body_nor_credentials(client) -> None:
    body = b'{"marker": "not to be kept"}'
    endpoint = make_endpoint()
    deliver(
        client, endpoint, body=body, secret="whsec_unknown", Authorization="Bearer geheim", Cookie="sid=geheim",
        X_OpenTrain_Delivery="d" * 300, X_Long="y" * 5000,
    )  # fmt: skip
    row = RefusedAttempt.objects.values().get()
    assert (row["body_size"], row["body_sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
    assert (row["claimed_delivery_id"], row["claimed_event_type"]) == ("d" * 199 + "…", "contract.started")
    headers = dict(row["request_headers"])
    assert (headers["Authorization"], headers["Cookie"]) == ("[redacted]", "[redacted]")
    assert headers["X-Long"] == "y" * 999 + "…"
    assert headers["X-OpenTrain-Signature"].startswith("t=")
    assert "geheim" not in str(row)
    assert "marker" not in str(row)


@pytest.mark.django_db
def test_attempt_keeps_the_signature_header_and_no_credentials(client) -> None:
    deliver(client, make_endpoint(), Authorization="Bearer geheim", **{f"X_{n}": "v" for n in range(100)})
    headers = Attempt.objects.get().request_headers
    assert len(headers) == receiver.HEADERS_KEPT
    assert dict(headers)["Authorization"] == "[redacted]"
    assert dict(headers)["X-OpenTrain-Signature"].startswith("t=")


@pytest.mark.django_db
@pytest.mark.parametrize("delivery_id", [None, "", " ", "d" * 201, "a\x00b", "a\x1bb", "a\x85b"])
def test_request_without_a_usable_delivery_id_is_a_bad_request(client, delivery_id) -> None:
    assert said(deliver(client, make_endpoint(), X_OpenTrain_Delivery=delivery_id)) == (400, "delivery_id")
    assert refusal() == (400, "delivery_id")


@pytest.mark.django_db
def test_delivery_while_the_endpoint_is_being_registered_is_asked_for_again(client) -> None:
    response = deliver(client, make_endpoint(secret=None, opentrain_id=None))
    assert said(response) == (503, "registering")
    assert (Delivery.objects.count(), RefusedAttempt.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_delivery_whose_secret_cannot_be_read_is_asked_for_again(client, caplog) -> None:
    endpoint = make_endpoint()
    with override_settings(FIELD_KEYS=["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]):
        assert said(deliver(client, endpoint)) == (503, "unavailable")
    assert SECRET not in caplog.text


@pytest.mark.django_db
@override_settings(SECURE_SSL_REDIRECT=True)
def test_delivery_over_plain_http_is_refused_and_not_redirected(client) -> None:
    assert said(deliver(client, make_endpoint())) == (403, "plain_http")


@pytest.mark.django_db
def test_database_down_from_the_start_is_unavailable_and_the_handler_is_not_called(client) -> None:
    with misbehaving(answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        with database_refusing("SELECT"):
            assert said(deliver(client, endpoint)) == (503, "unavailable")
        assert server.requests == []


@pytest.mark.django_db
@pytest.mark.parametrize("statement", ['INTO "dashboard_delivery"', 'INTO "dashboard_attempt"'])
def test_record_that_fails_after_the_handler_was_called_is_unavailable(client, caplog, statement) -> None:
    with misbehaving(answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        with database_refusing(statement):
            assert said(deliver(client, endpoint)) == (503, "unavailable")
        assert len(server.requests) == 1
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)
    assert [record.levelno for record in caplog.records if record.name == receiver.__name__] == [logging.ERROR]


@pytest.mark.django_db(transaction=True)
def test_connection_is_given_back_while_the_handler_is_asked(client) -> None:
    held = []
    with misbehaving(answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        before = receiver.handler.ask

        def ask(**request):
            held.append(connection.connection)
            return before(**request)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(receiver.handler, "ask", ask)
            assert deliver(client, endpoint).status_code == 200
    assert held == [None]


RTL = "\u202egnp.exe"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "event_id", "event_type", "resource_id"),
    [
        (b"", "", "contract.started", ""),
        (b"not json", "", "contract.started", ""),
        (b"\xff\xfe\x00\x80", "", "contract.started", ""),
        (b"[1, 2]", "", "contract.started", ""),
        (b"null", "", "contract.started", ""),
        (b"[" * 100_000, "", "contract.started", ""),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "", "contract.started", ""),
        (b'{"id": "evt_1", "a":' + b"[" * 200 + b"]" * 200 + b"}", "", "contract.started", ""),
        (b'{"id": ' + b"9" * 5000 + b"}", "", "contract.started", ""),
        (b'{"id": ' + b"9" * 641 + b"}", "", "contract.started", ""),
        (b'{"id": 7, "type": "x.y", "resourceId": 8}', "7", "x.y", "8"),
        (b'{"id": true, "type": [], "resourceId": {"a": 1}}', "", "contract.started", ""),
        (b'{"id": "a\\u0000b", "type": "\\ud800", "resourceId": "\\u0000"}', "a\ufffdb", "?", "\ufffd"),
        (json.dumps({"id": RTL, "type": RTL, "resourceId": RTL}).encode(), RTL, RTL, RTL),
        (
            json.dumps({"id": "i" * 10_000, "type": "t" * 10_000, "resourceId": "r" * 10_000}).encode(),
            "i" * 199 + "…",
            "t" * 99 + "…",
            "r" * 199 + "…",
        ),
        (json.dumps({"id": "i" * 200, "type": "t" * 100}).encode(), "i" * 200, "t" * 100, ""),
        (b"\xef\xbb\xbf" + b'{"id": "evt_1", "type": "x.y"}', "evt_1", "x.y", ""),
    ],
    ids=range(17),
)
def test_verified_body_that_is_not_the_contracts_is_recorded_and_passed_on(
    client, body, event_id, event_type, resource_id
) -> None:
    with misbehaving(answer(200)) as server:
        response = deliver(client, make_endpoint(handler_url=server.url), body=body)
        assert (response.status_code, server.requests[0].body) == (200, body)
    row = Delivery.objects.get()
    assert (row.event_id, row.event_type, row.resource_id, bytes(row.body)) == (
        event_id, event_type, resource_id, body,
    )  # fmt: skip


@pytest.mark.django_db
def test_delivery_that_was_requested_again_is_seen_again(client) -> None:
    endpoint = make_endpoint()
    make_delivery(endpoint=endpoint, opentrain_id=ID, requested_at=endpoint.created_at)
    deliver(client, endpoint)
    assert Delivery.objects.values_list("attempt_count", "attempts_in_round", "requested_at").get() == (2, 1, None)


header_text = st.text(st.characters(max_codepoint=255), max_size=300)


@pytest.mark.django_db
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=300)
    | st.text(max_size=100).map(lambda text: json.dumps({"id": text, "type": text}).encode()),
    signed=st.booleans(),
    signature=header_text,
    delivery_id=header_text,
    event=header_text,
    content_type=st.sampled_from(["application/json", "application/json; charset=nonsense"]) | header_text,
)
def test_request_of_any_bytes_is_taken_or_refused_and_never_a_crash(
    body, signed, signature, delivery_id, event, content_type, db
) -> None:
    own = {} if signed else {"X_OpenTrain_Signature": signature}
    headers = {"X_OpenTrain_Delivery": delivery_id, "X_OpenTrain_Event": event, "X_Odd": event} | own
    endpoint = make_endpoint()
    response = deliver(Client(), endpoint, body=body, content_type=content_type, **headers)
    assert response.status_code in {200, 400, 401, 415}
    recorded = Attempt.objects.filter(delivery__endpoint=endpoint).count()
    refused = RefusedAttempt.objects.filter(endpoint=endpoint).count()
    assert (recorded, refused) == ((1, 0) if response.status_code == 200 else (0, 1))


@pytest.mark.django_db
def test_delivery_beyond_the_waits_is_answered_503_and_recorded_as_busy(client, settings) -> None:
    settings.HANDLER_WAITS = 0
    with misbehaving(answer(200)) as server:
        response = deliver(client, make_endpoint(handler_url=server.url))
        assert server.connections == 0
    assert (said(response), response["Retry-After"]) == ((503, "busy"), "5")
    attempt = Attempt.objects.get()
    assert (attempt.answered_status, attempt.ok, attempt.cause, attempt.handler_status) == (503, False, "busy", None)


@pytest.mark.django_db
@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(max_size=100),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"]),
    # Without control characters, because the server in front refuses them. For `charset*` see tests/test_wsgi.py.
    charset=st.sampled_from(["utf-7", "nonsense"]) | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    encoding=st.sampled_from(["gzip", "br"]) | header_text,
    length=st.none() | st.sampled_from(["0", "-1", "9" * 30, "1e3", "\xb2", ""]),
)
def test_request_in_any_encoding_is_recorded_as_the_bytes_that_it_is(
    text, codec, charset, encoding, length, db
) -> None:
    body = json.dumps({"id": text, "createdAt": text, "resourceId": text}, ensure_ascii=False).encode(codec, "replace")
    own = {} if length is None else {"Content_Length": length}
    given = {"content_type": f"application/json; charset={charset}", "Content_Encoding": encoding} | own
    endpoint = make_endpoint()
    response = deliver(Client(), endpoint, body=body, **given)
    assert response.status_code in {200, 400, 401, 415}
    if response.status_code == 200:
        assert bytes(Delivery.objects.get(endpoint=endpoint).body) == body
