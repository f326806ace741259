"""The observations API, and the examples of docs/observations.md against a live server."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dashboard.actions import observation_keys
from dashboard.models import Attempt, Delivery, Endpoint
from dashboard.receiver.observations import BODY_LIMIT
from dashboard.services.bulkhead import Waits
from tests.factories import NOON, make_endpoint
from tests.receiver.observing import observe
from tests.receiver.serving import Serving, receiving

ROOT = Path(__file__).resolve().parents[2]
ITEM = {
    "deliveryId": "dlv_1",
    "eventType": "contract.started",
    "receivedAt": "2026-06-12T12:00:00.000Z",
    "status": 200,
    "latencyMs": 35,
}


@pytest.fixture
def endpoint(db) -> Endpoint:
    """An endpoint that OpenTrain delivers to directly."""
    return make_endpoint(receiver_key=None, secret=None, url="https://partner.example.com/hook")


@pytest.fixture
def key(endpoint) -> str:
    return observation_keys.issue(actor=None, endpoint=endpoint, now=NOON).reveal()


@pytest.fixture
def tell(key):
    """Send observations; a header in `changed` replaces the default one."""

    def tell(*items, body=None, method="POST", content_type="application/json", **changed):
        headers = {name.replace("_", "-"): value for name, value in changed.items()}
        return observe(key=key, items=items, body=body, method=method, content_type=content_type, headers=headers)

    return tell


def at(minute: float) -> str:
    return (NOON + timedelta(minutes=minute)).isoformat()


def answered(response) -> tuple[int, dict]:
    return response.status_code, json.loads(response.content)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"deliveryId": ""}, "deliveryId"),
        ({"deliveryId": "a\x00b"}, "deliveryId"),
        ({"deliveryId": "\ud800"}, "deliveryId"),
        ({"deliveryId": "d" * 201}, "deliveryId"),
        ({"deliveryId": 7}, "deliveryId"),
        ({"eventType": "e" * 101}, "eventType"),
        ({"eventId": None}, "eventId"),
        ({"receivedAt": "2026-06-12T12:00:00"}, "receivedAt"),
        ({"receivedAt": "yesterday"}, "receivedAt"),
        ({"receivedAt": "0001-01-01T00:00:00+14:00"}, "receivedAt"),
        ({"receivedAt": "2019-12-31T00:00:00Z"}, "receivedAt"),
        ({"receivedAt": "9999-12-31T23:59:59-14:00"}, "receivedAt"),
        ({"receivedAt": 1781265600}, "receivedAt"),
        ({"status": 199}, "status"),
        ({"status": "200"}, "status"),
        ({"status": True}, "status"),
        ({"status": 2e2}, "status"),
        ({"latencyMs": -1}, "latencyMs"),
        ({"latencyMs": 10**30}, "latencyMs"),
        ({"signature": "fine"}, "signature"),
        ({"body": 1}, "body"),
        ({"body": "x", "bodyBase64": "eA=="}, "body"),
        ({"bodyBase64": "x"}, "bodyBase64"),
        ({"bodyBase64": None}, "bodyBase64"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_observation_that_is_wrong_is_named_and_nothing_is_stored(tell, change, field) -> None:
    status, said = answered(tell(ITEM, ITEM | change))
    assert (status, said["error"]) == (400, "1 of 2 observations are invalid, so none was stored.")
    assert [(error["index"], error["field"]) for error in said["errors"]] == [(1, field)]
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)


@pytest.mark.parametrize("name", ITEM)
def test_observation_without_a_field_is_told_which(tell, name) -> None:
    status, said = answered(tell({key: value for key, value in ITEM.items() if key != name}))
    assert (status, said["errors"]) == (400, [{"index": 0, "field": name, "error": "This required field is missing."}])


def test_observation_ahead_of_our_clock_is_taken_for_five_minutes_only(tell) -> None:
    now = datetime.now(UTC)
    assert tell(ITEM | {"receivedAt": (now + timedelta(minutes=4)).isoformat()}).status_code == 200
    assert tell(ITEM | {"receivedAt": (now + timedelta(minutes=6)).isoformat()}).status_code == 400


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b" ", "The body is not JSON in UTF-8."),
        (b"\xff\xfe\xfd", "The body is not JSON in UTF-8."),
        (b'{"observations": [NaN]}', "The body is not JSON in UTF-8."),
        (b"[" * 200_000, "The JSON is nested too deeply."),
        (b"[" * 201 + b"]" * 201, "The JSON is nested too deeply."),
        (b'{"observations": [' + b"9" * 641 + b"]}", "The body is not JSON in UTF-8."),
        (b"[]", 'The body must be {"observations": […]} and nothing else.'),
        (b'{"observations": {}}', 'The body must be {"observations": […]} and nothing else.'),
        (b'{"observations": [], "x": 1}', 'The body must be {"observations": […]} and nothing else.'),
        (b'{"observations": []}', "Send 1 to 1000 observations per call; this call has 0."),
        (
            json.dumps({"observations": [1] * 1001}).encode(),
            "Send 1 to 1000 observations per call; this call has 1001.",
        ),
    ],
)
def test_call_that_is_not_what_it_should_be_is_told_so(tell, body, words) -> None:
    assert answered(tell(body=body)) == (400, {"error": words, "errors": []})


def test_call_with_too_much_is_refused(tell) -> None:
    assert tell(body=b" " * (BODY_LIMIT + 1)).status_code == 413
    half = ITEM | {"body": "x" * 600_000}
    status, said = answered(tell(half, half | {"deliveryId": "dlv_2"}))
    assert (status, said["error"].startswith("The bodies exceed")) == (400, True)
    assert Delivery.objects.count() == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_call_by_another_method_is_told_which_is_allowed(tell, method) -> None:
    response = tell(ITEM, method=method)
    assert (response.status_code, response["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer rdo_wrong", "Basic abc", "Bearer \xff", "Bearer \udcff", "bearer ot_ptk_x"]
)
def test_call_without_a_known_key_is_unauthorized(tell, given) -> None:
    response = tell(ITEM, Authorization=given)
    assert (response.status_code, response["WWW-Authenticate"], Delivery.objects.count()) == (401, "Bearer", 0)


@pytest.mark.parametrize(
    ("spelled", "why"),
    [
        ("", "No key was sent."),
        ("{}", "The header does not begin with Bearer."),
        ("Bearer", "There is no key after Bearer."),
        ('Bearer "{}"', "Quotation marks, spaces, another Bearer or other characters stand around the key"),
        ("Bearer \u201c{}\u201d", "Quotation marks, spaces, another Bearer or other characters stand around the key"),
        ("Bearer \u200b{}\u00a0", "Quotation marks, spaces, another Bearer or other characters stand around the key"),
        ("Bearer Bearer {}", "Quotation marks, spaces, another Bearer or other characters stand around the key"),
        ("Bearer ot_ptk_x", "This is an install token or a signing secret, not an observation key."),
        ("Bearer {}x", "This key is unknown."),
    ],
)
def test_call_with_a_key_that_was_pasted_wrongly_says_so_and_does_not_repeat_it(tell, key, spelled, why) -> None:
    status, said = answered(tell(ITEM, Authorization=spelled.format(key)))
    assert (status, why in said["error"], key in said["error"]) == (401, True, False)


@pytest.mark.parametrize("changed", [{"content_type": "text/plain"}, {"Content_Encoding": "gzip"}])
def test_call_that_is_not_plain_json_is_an_unsupported_type(tell, changed) -> None:
    assert tell(ITEM, **changed).status_code == 415


def test_call_in_the_clear_is_forbidden_where_https_is_on(key) -> None:
    status, said = answered(observe(key=key, items=[ITEM], is_plain=True))
    assert (status, said["error"]) == (403, "Observations are accepted over https only.")


def test_call_that_was_cut_off_is_told_so(key) -> None:
    status, said = answered(observe(key=key, items=[ITEM], whole=False))
    assert (status, said["error"]) == (400, "The body was cut off on its way.")


def test_call_while_the_database_is_down_is_to_be_sent_again(tell) -> None:
    def refuse(execute, sql, params, many, context):
        raise OperationalError("gone")

    with connection.execute_wrapper(refuse):
        response = tell(ITEM)
    assert (response.status_code, response["Retry-After"]) == (503, "5")


def test_call_beyond_the_minutes_bound_is_told_when_to_come_again(tell, settings, monkeypatch) -> None:
    settings.OBSERVATION_CALLS_PER_MINUTE = 2
    clock(monkeypatch, NOON)
    assert [tell(ITEM).status_code, tell(body=b" ").status_code] == [200, 400]  # invalid calls count too
    clock(monkeypatch, NOON + timedelta(seconds=20.5))
    response = tell(ITEM | {"deliveryId": "dlv_2"})
    assert (response.status_code, response["Retry-After"], Delivery.objects.count()) == (429, "40", 1)
    assert answered(response)[1]["error"] == (
        "Limit: 2 calls a minute per endpoint. Retry in 40 s, with more observations per call."
    )
    clock(monkeypatch, NOON + timedelta(seconds=60))
    assert answered(tell(ITEM | {"deliveryId": "dlv_2"})) == (200, {"stored": 1, "known": 0})


def test_calls_of_one_endpoint_take_nothing_from_another(tell, client, settings) -> None:
    settings.OBSERVATION_CALLS_PER_MINUTE = 1
    other = observation_keys.issue(actor=None, endpoint=make_endpoint(), now=NOON).reveal()
    assert [tell(ITEM).status_code, tell(ITEM).status_code] == [200, 429]
    assert tell(ITEM, Authorization=f"Bearer {other}").status_code == 200


def test_call_while_two_of_its_endpoint_are_stored_is_to_be_sent_again(tell, endpoint, monkeypatch) -> None:
    waits = Waits()
    monkeypatch.setattr("dashboard.receiver.observations._waits", waits)
    busy = {"name": str(endpoint.pk), "most": 8, "most_of_name": 2}
    with waits.one(**busy), waits.one(**busy):
        response = tell(ITEM)
    assert (response.status_code, response["Retry-After"], Delivery.objects.count()) == (429, "1", 0)
    assert tell(ITEM).status_code == 200


def clock(monkeypatch, at: datetime) -> None:
    monkeypatch.setattr("dashboard.receiver.observations.timezone.now", lambda: at)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
NEARLY = st.fixed_dictionaries(
    {name: st.just(value) | JSON for name, value in ITEM.items()},
    optional=dict.fromkeys(("eventId", "resourceId", "signature", "body", "bodyBase64"), JSON),
)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200)
    | st.lists(NEARLY | JSON, max_size=4).map(lambda items: json.dumps({"observations": items}).encode()),
    content_type=st.just("application/json") | st.text(st.characters(max_codepoint=255), max_size=30),
)
def test_any_bytes_are_taken_or_refused_and_never_an_error_of_ours(tell, body, content_type) -> None:
    response = tell(body=body, content_type=content_type)
    assert response.status_code in {200, 400, 415}
    json.loads(response.content)


# Without control characters, because the server in front refuses them.
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)


@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    authorization=HEADER | HEADER.map("Bearer rdo_{}".format),
    own_key=st.booleans(),
    encoding=st.sampled_from(["identity", "gzip", "br"]) | HEADER,
    charset=st.sampled_from(["utf-7", "nonsense", "utf-16"]) | HEADER,
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1"]),
    text=st.text(max_size=20),
)
def test_any_headers_and_encodings_are_taken_or_refused(
    tell, authorization, own_key, encoding, charset, codec, text
) -> None:
    body = json.dumps({"observations": [ITEM | {"body": text}]}, ensure_ascii=False).encode(codec, "replace")
    own = {} if own_key else {"Authorization": authorization}
    given = {"Content_Encoding": encoding, "content_type": f"application/json; charset={charset}"}
    response = tell(body=body, **given, **own)
    assert response.status_code in {200, 400, 401, 415}
    assert (response.status_code == 401) == (not own_key)
    json.loads(response.content)


def example(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/observations.md").read_text(), re.DOTALL)[0]


@pytest.fixture
def site(transactional_db) -> Iterator[Serving]:
    """The server with the API, without a console behind it."""
    with receiving() as running:
        yield running


@pytest.mark.parametrize("path", ["/api/v1/observations", "//api//v1/observations/?x=1", "/api/v1/%6fbservations"])
def test_api_is_served_whatever_the_slashes(site, path) -> None:
    key = observation_keys.issue(actor=None, endpoint=make_endpoint(), now=NOON).reveal()
    body = json.dumps({"observations": [ITEM]}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    sent = f"{head}Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    answer = site.say(sent)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b'\r\n\r\n{"stored": 1, "known": 0}')


@pytest.mark.slow
@pytest.mark.parametrize(("language", "command"), [("python", sys.executable), ("js", "node")])
def test_example_of_the_docs_runs(site, language, command) -> None:
    if shutil.which(command) is None:
        pytest.skip(f"{command} is not installed")
    endpoint = make_endpoint()
    key = observation_keys.issue(actor=None, endpoint=endpoint, now=NOON).reveal()
    environment = os.environ | {"REDELIVER_URL": f"http://localhost:{site.port}", "OBSERVATION_KEY": key}
    code = example(language)
    assert len(code.strip().splitlines()) <= 10
    said = [
        subprocess.run(
            [command, "-"], input=code, env=environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout
        for _ in range(2)
    ]
    assert [json.loads(answer) for answer in said] == [{"stored": 1, "known": 0}, {"stored": 0, "known": 1}]
    assert Delivery.objects.values_list("endpoint", "opentrain_id").get() == (endpoint.pk, "dlv_1")
