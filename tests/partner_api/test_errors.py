"""Error answers: validation, tokens, paths, methods, crashes; always the same envelope."""

import json

import pytest
from django.test import Client

from dashboard.partner_api import auth, endpoints
from dashboard.partner_api.models import Endpoint
from tests.partner_api.conftest import THEN, ApiAnswer, Partner

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")


def problem(answer: ApiAnswer) -> tuple[int, str, str, dict]:
    """Return the envelope without its request ID, which must equal the header's."""
    assert sorted(answer.json) == ["code", "details", "error", "requestId"]
    assert answer.json["requestId"] == answer.headers["X-Request-Id"]
    return answer.status, answer.json["code"], answer.json["error"], answer.json["details"]


def refused(field: str, words: str) -> tuple[int, str, str, dict]:
    return 400, "BAD_REQUEST", f"{field} {words}.", {"fields": {field: words}}


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


def test_secrets_are_not_in_the_repr_of_what_holds_them(partner: Partner, registered: endpoints.Registered) -> None:
    issued = auth.issue(install=partner.install, name="x", scopes=[], now=THEN)
    assert repr(issued) == f"NewToken(id={issued.id!r})"
    assert repr(registered) == f"Registered(endpoint={registered.endpoint.pk!r})"


@pytest.mark.parametrize("path", ["", "/", "/nothing", "/webhook-endpoints/", "/docs", "/installs/current/x", "/%00"])
def test_an_unknown_path_answers_404(partner: Partner, path: str) -> None:
    answer = partner.call("POST", path, {})
    message = "There is no such path. GET openapi.json lists all operations."
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
    message = "Something went wrong on our side. Try again; if that does not help, quote the requestId to support."
    assert problem(answer) == (500, "INTERNAL_ERROR", message, {})
    assert answer.json["requestId"] in caplog.text
    assert "inner workings" in caplog.text
    assert "inner workings" not in json.dumps(answer.json)
    assert partner.token not in caplog.text
