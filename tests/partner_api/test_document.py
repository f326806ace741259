"""Answers match `openapi.json`, field by field."""

from typing import Any

import jsonschema
import pytest

from dashboard.partner_api.models import Endpoint
from tests.partner_api.conftest import BOTH, ApiAnswer, Partner, hire, make_deliveries, make_job, make_link

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")

ENDPOINT = "/webhook-endpoints/{endpointId}"
LINK = "/project-links/{linkId}"
CONTRACT = "/contracts/{contractId}"
DAY = {"workDate": "2026-06-12"}
CALLS = [
    ("get", "/installs/current", None),
    ("post", "/webhook-endpoints", {"url": "https://a.example.com/h", "eventTypes": BOTH}),
    ("get", "/webhook-endpoints", None),
    ("get", ENDPOINT, None),
    ("patch", ENDPOINT, {"status": "DISABLED"}),
    ("patch", ENDPOINT, {"status": "ACTIVE", "eventTypes": ["install.revoked"]}),
    ("post", f"{ENDPOINT}/redeliver", {}),
    ("delete", ENDPOINT, None),
    ("post", "/project-links", {"externalProjectId": "7"}),
    ("get", "/project-links", None),
    ("get", LINK, None),
    ("delete", LINK, None),
    ("get", "/contracts", None),
    ("get", f"{CONTRACT}/participants", None),
    ("get", f"{CONTRACT}/budget", None),
    ("post", f"{CONTRACT}/usage", {"entries": [DAY]}),
    ("post", "/project-links", {"externalProjectId": "42"}),
    ("post", f"{CONTRACT}/usage", {"entries": []}),
    ("post", "/webhook-endpoints", {"url": "nonsense", "eventTypes": []}),
    ("patch", ENDPOINT, {}),
    ("post", f"{ENDPOINT}/redeliver", {"deliveryId": "unknown"}),
]


def operation(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    return document["paths"][f"/api/partner/v1{path}"][method]


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_an_answer_is_as_the_document_says(
    *, partner: Partner, endpoint: Endpoint, method: str, path: str, body: object
) -> None:
    document = partner.call("GET", "/openapi.json").json
    make_deliveries(partner, endpoint, count=1, status="FAILED")
    job = make_job(partner)
    link, contract = make_link(partner, job=job, project="42"), hire(job)
    named = path.format(endpointId=endpoint.pk, linkId=link.pk, contractId=contract.pk)
    answer = partner.call(method.upper(), named, body)
    promised = operation(document, method, path)["responses"][str(answer.status)]["content"]["application/json"]
    schema = document["components"]["schemas"][promised["schema"]["$ref"].rsplit("/", 1)[1]]
    assert list(validator(document, promised["schema"]).iter_errors(answer.json)) == []
    assert sorted(answer.json) == sorted(schema["required"]) == sorted(schema["properties"])


@pytest.mark.parametrize(
    ("method", "path", "good", "bad"),
    [
        ("post", "/webhook-endpoints", {"url": "https://a.example/", "eventTypes": BOTH}, {"url": 1}),
        ("patch", ENDPOINT, {"status": "ACTIVE"}, {"status": None}),
        ("patch", ENDPOINT, {"url": "https://a.example/"}, {}),
        ("patch", ENDPOINT, {"eventTypes": BOTH}, {"eventTypes": []}),
        ("post", f"{ENDPOINT}/redeliver", {}, {"deliveryId": None}),
        ("post", "/project-links", {"externalProjectId": "1"}, {"externalProjectId": ""}),
        (
            "post",
            "/project-links",
            {"externalProjectId": "1", "jobId": "job_1"},
            {"externalProjectId": "1", "jobId": None},
        ),
        ("post", f"{CONTRACT}/usage", {"entries": [DAY]}, {"entries": []}),
        ("post", f"{CONTRACT}/usage", {"entries": [DAY]}, {"entries": [{"totalSeconds": 1}]}),
        ("post", f"{CONTRACT}/usage", {"entries": [DAY]}, {"entries": [{**DAY, "totalSeconds": 86_401}]}),
        ("post", f"{ENDPOINT}/redeliver", {"deliveryId": "dlv_1"}, {"delivery": "dlv_1"}),
        ("post", f"{ENDPOINT}/redeliver", {"deliveryId": "dlv_é"}, {"deliveryId": "dlv_\0"}),
    ],
)
def test_a_request_is_described_as_it_is_checked(
    *, partner: Partner, method: str, path: str, good: object, bad: object
) -> None:
    document = partner.call("GET", "/openapi.json").json
    schema = operation(document, method, path)["requestBody"]["content"]["application/json"]["schema"]
    checker = validator(document, schema)
    assert (checker.is_valid(good), checker.is_valid(bad)) == (True, False)


def described(document: dict[str, Any], answer: ApiAnswer, *, method: str, path: str) -> dict[str, Any]:
    return operation(document, method, path)["responses"][str(answer.status)]["headers"]


@pytest.mark.parametrize(
    ("headers", "limit", "status", "name", "value"),
    [({}, 600, 401, "WWW-Authenticate", "Bearer"), (None, 1, 429, "Retry-After", "60")],
)
def test_a_header_of_an_error_is_in_the_document_and_in_the_answer(
    *, partner: Partner, settings, headers: dict[str, str] | None, limit: int, status: int, name: str, value: str
) -> None:
    document = partner.call("GET", "/openapi.json").json
    settings.PARTNER_API_CALLS_PER_MINUTE = limit
    answers = [partner.call("GET", "/webhook-endpoints", headers=headers) for _ in range(2)]
    promised = described(document, answers[1], method="get", path="/webhook-endpoints")
    assert (answers[1].status, answers[1].headers[name]) == (status, value)
    assert sorted(promised) == sorted(["X-Request-Id", name])


def test_links_lead_from_an_endpoint_to_every_operation_on_it(partner: Partner) -> None:
    document = partner.call("GET", "/openapi.json").json
    made = partner.call("POST", "/webhook-endpoints", {"url": "https://a.example/", "eventTypes": BOTH})
    links = operation(document, "post", "/webhook-endpoints")["responses"]["200"]["links"]
    known = {each["operationId"] for item in document["paths"].values() for each in item.values()}
    assert sorted(links) == [
        "deleteWebhookEndpoint",
        "getWebhookEndpoint",
        "redeliverWebhookDeliveries",
        "updateWebhookEndpoint",
    ]
    assert set(links) <= known
    assert {link["parameters"]["endpointId"] for link in links.values()} == {"$response.body#/webhookEndpoint/id"}
    assert partner.call("GET", f"/webhook-endpoints/{made.json['webhookEndpoint']['id']}").status == 200


@pytest.mark.parametrize(
    ("source", "targets", "pointer"),
    [
        (("post", "/project-links"), ["deleteProjectLink", "getProjectLink", "listContracts"], "/projectLink/id"),
        (("get", "/project-links"), ["deleteProjectLink", "getProjectLink", "listContracts"], "/projectLinks/0/id"),
    ],
)
def test_links_lead_from_an_id_to_every_operation_that_takes_it(
    partner: Partner, source: tuple[str, str], targets: list[str], pointer: str
) -> None:
    document = partner.call("GET", "/openapi.json").json
    links = operation(document, *source)["responses"]["200"]["links"]
    assert sorted(links) == targets
    assert {value for link in links.values() for value in link["parameters"].values()} == {f"$response.body#{pointer}"}


def test_every_operation_but_the_document_asks_for_a_bearer_token(partner: Partner) -> None:
    document = partner.call("GET", "/openapi.json").json
    schemes = document["components"]["securitySchemes"]
    asked = {
        name
        for item in document["paths"].values()
        for described in item.values()
        for requirement in described["security"]
        for name in requirement
    }
    assert asked == set(schemes)
    assert {scheme["scheme"] for scheme in schemes.values()} == {"bearer"}
