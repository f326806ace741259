"""Requests that are odd, cut off, chunked, or of any bytes."""

import asyncio
import json
import time

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dashboard.models import Attempt, Delivery, RefusedAttempt
from dashboard.rules.attempts import BODY_LIMIT
from dashboard.signatures import sign
from tests.factories import BODY, SECRET, make_endpoint
from tests.receiver.delivering import deliver, request, said, until
from tests.services.misbehaving import answer, misbehaving

# The server refuses control characters itself (test_server.py).
header_text = st.text(st.sampled_from([chr(code) for code in range(32, 256) if code != 127]), max_size=300)


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
    body, signed, signature, delivery_id, event, content_type, receiver
) -> None:
    own = {} if signed else {"X_OpenTrain_Signature": signature}
    headers = {"X_OpenTrain_Delivery": delivery_id, "X_OpenTrain_Event": event, "X_Odd": event} | own
    endpoint = make_endpoint()
    response = deliver(receiver, endpoint, body=body, content_type=content_type, **headers)
    assert response.status_code in {200, 400, 401, 415}
    recorded = Attempt.objects.filter(delivery__endpoint=endpoint).count()
    refused = RefusedAttempt.objects.filter(endpoint=endpoint).count()
    assert (recorded, refused) == ((1, 0) if response.status_code == 200 else (0, 1))


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
    text, codec, charset, encoding, length, receiver
) -> None:
    body = json.dumps({"id": text, "createdAt": text, "resourceId": text}, ensure_ascii=False).encode(codec, "replace")
    own = {} if length is None else {"Content_Length": length}
    given = {"content_type": f"application/json; charset={charset}", "Content_Encoding": encoding} | own
    endpoint = make_endpoint()
    response = deliver(receiver, endpoint, body=body, **given)
    assert response.status_code in {200, 400, 401, 415}
    if response.status_code == 200:
        assert bytes(Delivery.objects.get(endpoint=endpoint).body) == body


def chunks(*pieces):
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def chunked(endpoint, *, body=BODY, **changed):
    """Return the head of a chunked delivery."""
    whole = request(endpoint, body=body, Content_Length=None, Transfer_Encoding="chunked", **changed)
    return whole.removesuffix(body)


def refusals():
    return list(RefusedAttempt.objects.order_by("id").values_list("answered_status", "reason", "body_size"))


@pytest.mark.django_db
def test_odd_request_gets_its_own_answer(receiver) -> None:
    endpoint = make_endpoint()
    signature = sign(secret=SECRET, body=BODY, timestamp=int(time.time()))
    doubled = request(endpoint).replace(b"\r\n\r\n", f"\r\nX-OpenTrain-Signature: {signature}\r\n\r\n".encode())
    assert said(receiver.say(doubled)) == (401, "doubled")

    large = b"x" * (BODY_LIMIT + 100_000)
    assert said(receiver.say(request(endpoint, body=large))) == (413, "too_large")
    assert said(receiver.say(chunked(endpoint, body=large), chunks(large, large))) == (413, "too_large")
    assert receiver.say(chunked(endpoint), b"5\r\nabcde\r\nzz\r\n").status_code == 400
    assert refusals()[:3] == [
        (401, "doubled", len(BODY)),
        (413, "too_large", BODY_LIMIT + 1),
        (413, "too_large", BODY_LIMIT + 1),
    ]
    assert Delivery.objects.count() == 0


@pytest.mark.django_db
def test_body_that_is_cut_off_is_recorded_as_refused(receiver) -> None:
    endpoint = make_endpoint()

    async def cut_off() -> None:
        _reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(request(endpoint)[:-5])
        await writer.drain()
        writer.close()
        await until(lambda: receiver.journal.refused)

    receiver.run(cut_off())
    assert refusals() == [(400, "cut_off", len(BODY) - 5)]


@pytest.mark.django_db
def test_chunked_delivery_is_taken_whole_and_passed_on(receiver) -> None:
    with misbehaving(answer(202, b"thanks", content_type="text/plain")) as handler:
        endpoint = make_endpoint(handler_url=handler.url)
        given = chunked(endpoint, X_Hop="1", Connection="X-Hop", User_Agent=None)
        response = receiver.say(given, chunks(BODY[:7], BODY[7:]))
        assert (response.status_code, response.content, handler.requests[0].body) == (202, b"thanks", BODY)
    names = {name.lower() for name, _ in handler.requests[0].headers}
    assert names == {
        "host", "content-length", "content-type", "via",
        "x-opentrain-delivery", "x-opentrain-event", "x-opentrain-signature",
    }  # fmt: skip
    assert bytes(Delivery.objects.get().body) == BODY


@pytest.mark.django_db
def test_headers_reach_the_handler_as_they_were_written_and_in_order(receiver) -> None:
    with misbehaving(answer(200)) as handler:
        deliver(receiver, make_endpoint(handler_url=handler.url), x_Odd_CASE="1", X_Twice="a")
    names = [name for name, _ in handler.requests[0].headers]
    assert [name for name in names if name.lower().startswith("x-")] == [
        "X-OpenTrain-Event", "X-OpenTrain-Delivery", "X-OpenTrain-Signature", "x-Odd-CASE", "X-Twice",
    ]  # fmt: skip
