"""The receiver's deliveries, with real connections, the real log, and real handlers behind it."""

import asyncio
import hashlib
import json
import logging
import socket
import time
from contextlib import contextmanager

import brotli
import pytest
from django.db import OperationalError, connection
from django.test import override_settings
from django.urls import reverse

from dashboard import metrics
from dashboard.models import Attempt, Delivery, RefusedAttempt
from dashboard.models.endpoints import new_receiver_key
from dashboard.receiver import delivery
from dashboard.rules import receipts
from dashboard.rules.attempts import BODY_LIMIT
from dashboard.vault import Secret
from tests.factories import BODY, SECRET, make_delivery, make_endpoint
from tests.receiver.delivering import ID, OTHER_SECRET, deliver, receiving, refusal, request, said
from tests.services.misbehaving import answer, closed_port, hanging_up, head, misbehaving, raw, silent


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
def test_delivery_without_a_handler_is_recorded_and_received(receiver) -> None:
    endpoint = make_endpoint()
    response = deliver(receiver, endpoint)
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
def test_delivery_with_a_handler_is_given_its_answer(receiver) -> None:
    with misbehaving(answer(418, b"<p>no</p>", content_type="text/html", headers=["X-Trace: 7"])) as server:
        response = deliver(receiver, make_endpoint(handler_url=f"{server.url}/hook"))
    assert (response.status_code, response.content, response["Content-Type"]) == (418, b"<p>no</p>", "text/html")
    assert (server.requests[0].target, server.requests[0].body) == ("/hook", BODY)
    assert server.requests[0].values("x-opentrain-delivery") == [ID]
    attempt = Attempt.objects.get()
    assert (attempt.answered_status, attempt.ok, attempt.cause, attempt.handler_status) == (418, False, "status", 418)
    assert ["X-Trace", "7"] in attempt.response_headers
    assert (bytes(attempt.response_head), attempt.handler_url) == (b"<p>no</p>", f"{server.url}/hook")


@pytest.mark.django_db
def test_compressed_answer_goes_on_as_it_came_and_is_readable_on_the_deliverys_page(receiver, client, support) -> None:
    compressed = brotli.compress("reçu et compris".encode("cp1252"))
    headers = ["Content-Encoding: br"]
    with misbehaving(answer(200, compressed, content_type="text/plain; charset=latin1", headers=headers)) as server:
        response = deliver(receiver, make_endpoint(handler_url=server.url))
    assert (response.content, response["Content-Encoding"]) == (compressed, "br")
    client.force_login(support)
    page = client.get(reverse("delivery-detail", args=[Delivery.objects.get().pk])).content.decode()
    assert "\nreçu et compris</pre>" in page
    assert f"Decompressed from {len(compressed)} bytes of Brotli." in page


@pytest.mark.django_db
def test_secrets_of_the_handlers_url_and_of_headers_are_used_whole_and_stored_hidden(receiver) -> None:
    with misbehaving(answer(302, headers=["Set-Cookie: a=s3cr3t", "Location: /in?token=s3cr3t"])) as server:
        endpoint = make_endpoint(handler_url=f"{server.url}/hook?api_key=s3cr3t&a=1")
        response = deliver(receiver, endpoint, X_Auth_Token="s3cr3t")
        deliver(receiver, endpoint, secret=OTHER_SECRET, X_Auth_Token="s3cr3t")
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
def test_delivery_that_is_redirected_gets_the_redirect_and_counts_as_failed(receiver) -> None:
    with misbehaving(answer(302, headers=["Location: /elsewhere"])) as server:
        response = deliver(receiver, make_endpoint(handler_url=server.url))
        assert len(server.requests) == 1
    assert (response.status_code, response.content) == (302, b"")
    assert Delivery.objects.values_list("last_ok", "last_status", "last_cause").get() == (False, 302, "status")


@pytest.mark.django_db
def test_delivery_to_a_handler_with_header_injection_is_answered_without_it(receiver) -> None:
    with misbehaving(answer(200, b"x", content_type="text/\xe9")) as server:
        response = deliver(receiver, make_endpoint(handler_url=server.url))
    assert (response.status_code, response["Content-Type"]) == (200, "application/octet-stream")


@pytest.mark.django_db
@pytest.mark.parametrize(("behaviour", "status", "cause"), [(silent, 504, "timeout"), (hanging_up, 502, "connection")])
def test_delivery_to_a_failing_handler_records_the_cause(behaviour, status, cause) -> None:
    with misbehaving(behaviour) as server, receiving(handler_s=1.0) as receiver:
        started = time.monotonic()
        response = deliver(receiver, make_endpoint(handler_url=server.url))
        assert time.monotonic() - started < 20  # the silent server would hold the connection for 30 s
    assert said(response) == (status, cause)
    attempt = Attempt.objects.get()
    assert (attempt.answered_status, attempt.cause, attempt.handler_status) == (status, cause, None)
    assert attempt.latency_ms < 20_000


@pytest.mark.django_db
def test_delivery_to_a_closed_port_is_a_bad_gateway(receiver) -> None:
    response = deliver(receiver, make_endpoint(handler_url=f"http://127.0.0.1:{closed_port()}"))
    assert said(response) == (502, "refused")


@pytest.mark.django_db
def test_delivery_again_becomes_the_next_attempt(receiver) -> None:
    with misbehaving(answer(503), answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        assert [deliver(receiver, endpoint).status_code for _ in range(2)] == [503, 200]
    assert [(a.number, a.ok) for a in Delivery.objects.get().attempts.all()] == [(1, False), (2, True)]


@pytest.mark.django_db
def test_request_to_an_unknown_door_is_not_found_whatever_it_is(receiver) -> None:
    answers = {
        receiver.say(request(key, method=method)).content
        for method in ("GET", "POST", "DELETE")
        for key in (new_receiver_key(), "a", "%00", "%C3%A9", "a" * 65, "..")
    }
    assert answers == {b'{"error": "Not found.", "reason": "not_found"}'}


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_request_by_another_method_is_told_which_is_allowed(receiver, method) -> None:
    response = receiver.say(request(make_endpoint(), method=method), is_head=method == "HEAD")
    assert (response.status_code, response["Allow"]) == (405, "POST")
    assert RefusedAttempt.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("content_type", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"])
def test_request_of_another_content_type_is_refused(receiver, content_type) -> None:
    assert said(deliver(receiver, make_endpoint(), content_type=content_type)) == (415, "content_type")
    assert refusal() == (415, "content_type")


@pytest.mark.django_db
def test_request_with_a_charset_is_taken(receiver) -> None:
    assert deliver(receiver, make_endpoint(), content_type="application/json; charset=utf-8").status_code == 200


@pytest.mark.django_db
def test_request_over_the_limit_is_refused_and_at_the_limit_is_taken(receiver) -> None:
    endpoint = make_endpoint()
    assert said(deliver(receiver, endpoint, body=b"x" * (BODY_LIMIT + 1))) == (413, "too_large")
    assert refusal() == (413, "too_large")
    assert deliver(receiver, endpoint, body=b"x" * BODY_LIMIT).status_code == 200


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
def test_request_that_is_not_verified_is_refused_with_its_reason(receiver, changed, reason) -> None:
    with misbehaving(answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        make_endpoint(install=endpoint.install, secret=Secret(OTHER_SECRET))
        response = deliver(receiver, endpoint, **changed)
        assert (said(response), server.requests) == ((401, reason), [])
    assert refusal() == (401, reason)
    assert RefusedAttempt.objects.get().explanation == response.json()["error"]


@pytest.mark.django_db
def test_request_signed_for_another_install_is_a_mismatch(receiver) -> None:
    make_endpoint(secret=Secret(OTHER_SECRET))
    assert said(deliver(receiver, make_endpoint(), secret=OTHER_SECRET)) == (401, "mismatch")


@pytest.mark.django_db
def test_refusal_keeps_size_and_hash_but_neither_body_nor_credentials(receiver) -> None:
    body = b'{"marker": "not to be kept"}'
    endpoint = make_endpoint()
    deliver(
        receiver, endpoint, body=body, secret="whsec_unknown", Authorization="Bearer geheim", Cookie="sid=geheim",
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
def test_attempt_keeps_the_signature_header_and_no_credentials(receiver) -> None:
    deliver(receiver, make_endpoint(), Authorization="Bearer geheim", **{f"X_{n}": "v" for n in range(80)})
    headers = Attempt.objects.get().request_headers
    assert len(headers) == receipts.HEADERS_KEPT
    assert dict(headers)["Authorization"] == "[redacted]"
    assert dict(headers)["X-OpenTrain-Signature"].startswith("t=")


@pytest.mark.django_db
@pytest.mark.parametrize("delivery_id", [None, "", " ", "d" * 201, "a\x85b"])
def test_request_without_a_usable_delivery_id_is_a_bad_request(receiver, delivery_id) -> None:
    assert said(deliver(receiver, make_endpoint(), X_OpenTrain_Delivery=delivery_id)) == (400, "delivery_id")
    assert refusal() == (400, "delivery_id")


@pytest.mark.django_db
def test_delivery_while_the_endpoint_is_being_registered_is_asked_for_again(receiver) -> None:
    response = deliver(receiver, make_endpoint(secret=None, opentrain_id=None))
    assert said(response) == (503, "registering")
    assert (Delivery.objects.count(), RefusedAttempt.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_delivery_whose_secret_cannot_be_read_is_asked_for_again(receiver, caplog) -> None:
    endpoint = make_endpoint()
    with override_settings(FIELD_KEYS=["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]):
        assert said(deliver(receiver, endpoint)) == (503, "unavailable")
    assert SECRET not in caplog.text


@pytest.mark.django_db
@override_settings(SECURE_SSL_REDIRECT=True)
def test_delivery_over_plain_http_is_refused_and_not_redirected(receiver) -> None:
    assert said(deliver(receiver, make_endpoint())) == (403, "plain_http")


@pytest.mark.django_db
def test_key_that_cannot_be_looked_up_is_unavailable_and_not_unknown(receiver) -> None:
    with misbehaving(answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        receiver.routes.is_away = True
        response = deliver(receiver, endpoint)
        assert (said(response), response["Retry-After"], server.requests) == ((503, "unavailable"), "5", [])


@pytest.mark.django_db
@pytest.mark.parametrize("statement", ['INTO "dashboard_delivery"', 'INTO "dashboard_attempt"'])
def test_record_that_fails_after_the_handler_was_called_is_unavailable(receiver, caplog, statement) -> None:
    with misbehaving(answer(200)) as server:
        endpoint = make_endpoint(handler_url=server.url)
        with database_refusing(statement):
            assert said(deliver(receiver, endpoint)) == (503, "unavailable")
        assert len(server.requests) == 1
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)
    assert [record.levelno for record in caplog.records if record.name == delivery.__name__] == [logging.ERROR]


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
    receiver, body, event_id, event_type, resource_id
) -> None:
    with misbehaving(answer(200)) as server:
        response = deliver(receiver, make_endpoint(handler_url=server.url), body=body)
        assert (response.status_code, server.requests[0].body) == (200, body)
    row = Delivery.objects.get()
    assert (row.event_id, row.event_type, row.resource_id, bytes(row.body)) == (
        event_id, event_type, resource_id, body,
    )  # fmt: skip


@pytest.mark.django_db
def test_delivery_that_was_requested_again_is_seen_again(receiver) -> None:
    endpoint = make_endpoint()
    make_delivery(endpoint=endpoint, opentrain_id=ID, requested_at=endpoint.created_at)
    deliver(receiver, endpoint)
    assert Delivery.objects.values_list("attempt_count", "attempts_in_round", "requested_at").get() == (2, 1, None)


@pytest.mark.django_db
def test_body_that_breaks_after_a_2xx_is_noted_and_the_status_decides(receiver) -> None:
    with misbehaving(raw(head(200, "Content-Length: 9") + b"half")) as server:
        response = deliver(receiver, make_endpoint(handler_url=server.url))
    attempt = Attempt.objects.get()
    assert (response.status_code, response.content) == (200, b"half")
    assert (attempt.ok, attempt.cause, attempt.body_fault) == (True, "", "cut_off")


@pytest.mark.django_db
def test_delivery_that_came_through_redeliver_ends_the_loop_with_its_name(receiver) -> None:
    with misbehaving(answer(200)) as server:
        response = deliver(receiver, make_endpoint(handler_url=server.url), Via="1.1 proxy, 1.1 redeliver")
        assert server.connections == 0
    assert said(response) == (502, "loop")
    assert "1.1 redeliver" in response.json()["error"]


def passing_on(receiver, key):
    """Behave as a proxy in front of the receiver: pass the request on to this key, with a Via of its own."""

    def behave(connection):
        asked = connection.read_request()
        lines = [f"{name}: {value}" for name, value in asked.headers if name.lower() != "via"]
        lines.append(f"Via: {', '.join([*asked.values('via'), '1.1 edge.example.com (proxy)'])}")
        head = "\r\n".join([f"POST /hooks/{key}/ HTTP/1.1", *lines, "Connection: close", "", ""])
        with socket.create_connection(("127.0.0.1", receiver.port)) as there:
            there.sendall(head.encode("latin-1") + asked.body)
            while piece := there.recv(65536):
                connection.sock.sendall(piece)

    return behave


@pytest.mark.django_db
@pytest.mark.parametrize("is_through_a_proxy", [False, True])
@pytest.mark.parametrize("is_its_own", [True, False])
def test_handler_that_leads_back_to_the_receiver_ends_after_one_round(receiver, is_through_a_proxy, is_its_own) -> None:
    endpoint = make_endpoint(receiver_key="k1", handler_url="")
    last = endpoint if is_its_own else make_endpoint(receiver_key="k2", handler_url="http://127.0.0.1:9/")
    with misbehaving(passing_on(receiver, last.receiver_key)) as proxy:
        direct = f"http://127.0.0.1:{receiver.port}/hooks/{last.receiver_key}/"
        endpoint.handler_url = f"{proxy.url}/" if is_through_a_proxy else direct
        endpoint.save()
        response = deliver(receiver, endpoint)
        assert said(response) == (502, "loop")
        assert "its URL leads back to Redeliver (Via: 1.1 redeliver)" in response.json()["error"]
        assert proxy.connections == int(is_through_a_proxy)
    assert sorted(Attempt.objects.values_list("cause", flat=True)) == ["loop", "status"]
    assert Attempt.objects.get(cause="loop").delivery.endpoint == last


@pytest.mark.django_db
def test_twenty_duplicates_at_once_are_numbered_one_to_twenty(receiver) -> None:
    with misbehaving(answer(503)) as handler:
        given = request(make_endpoint(handler_url=handler.url))

        async def all_at_once():
            return await asyncio.gather(*[receiver.exchange(given) for _ in range(20)])

        responses = receiver.run(all_at_once())
    assert [response.status_code for response in responses] == [503] * 20
    assert sorted(Attempt.objects.values_list("number", flat=True)) == list(range(1, 21))
    assert Delivery.objects.values_list("attempt_count", flat=True).get() == 20


def receipts_counted():
    [counter] = list(metrics._receipts.collect())
    return {sample.labels["result"]: sample.value for sample in counter.samples if sample.name.endswith("_total")}


@pytest.mark.django_db
def test_metrics_count_receipts_by_what_became_of_them(receiver) -> None:
    endpoint = make_endpoint()
    before = receipts_counted()
    deliver(receiver, endpoint)
    deliver(receiver, endpoint, secret="whsec_wrong")
    receiver.say(request("unknown"))
    changed = {name: count - before.get(name, 0) for name, count in receipts_counted().items()}
    assert {name: count for name, count in changed.items() if count} == {
        "delivered": 1, "not taken: mismatch": 1, "not taken: not_found": 1,
    }  # fmt: skip
