"""OpenTrain answers with values that no column holds: each page and each button still answers in words."""

import html
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from dashboard.actions.installs import sync
from dashboard.actions.installs.rounds import Done
from dashboard.actions.reconciliation import sweep
from dashboard.models import AuditEntry, Contract, Endpoint, Install, ProjectLink, Reconciliation, User
from dashboard.rules.endpoints import AUTO_DISABLE_AT
from tests.factories import make_endpoint, make_failed_delivery, make_install
from tests.services import misbehaving as bad
from tests.services.misbehaving import Connection
from tests.services.opentrain_samples import ENDPOINT, INSTALL

pytestmark = pytest.mark.django_db
READS = (
    "/", "/inbox/live/", "/installs/", "/installs/{install}/", "/installs/{install}/live/", "/endpoints/{endpoint}/",
    "/endpoints/{endpoint}/live/", "/endpoints/{endpoint}/edit/", "/endpoints/{endpoint}/pause/",
    "/endpoints/{endpoint}/delete/", "/endpoints/{endpoint}/rotate/", "/endpoints/{endpoint}/recover/",
    "/endpoints/{endpoint}/deliveries/", "/endpoints/{endpoint}/over-time/", "/endpoints/{endpoint}/doctor/",
    "/activity/", "/activity/export/", "/deliveries/", "/search/?q=a.example.com",
)  # fmt: skip
AFTERWARDS = ("/", "/installs/{install}/", "/endpoints/{endpoint}/", "/activity/")
WRITES: dict[str, dict[str, Any]] = {
    "/endpoints/{endpoint}/enable/": {},
    "/endpoints/{endpoint}/redeliver/": {},
    "/endpoints/{endpoint}/pause/": {},
    "/endpoints/{endpoint}/edit/": {"address": "https://b.example.com/", "event_types": ["contract.ended"]},
    "/endpoints/{endpoint}/rotate/start/": {},
    "/endpoints/{endpoint}/recover/": {"note": "\x00" + "n" * 1000},
    "/installs/{install}/endpoints/new/": {
        "path": "direct", "url": "https://c.example.com/", "event_types": ["contract.ended"],
    },
    "/endpoints/{endpoint}/delete/": {"confirmation": "a.example.com"},
}  # fmt: skip
DISABLED = {
    "status": "DISABLED", "disabledAt": "2026-06-12T10:00:00.000Z", "consecutiveFailures": AUTO_DISABLE_AT,
}  # fmt: skip
ENDPOINTS: dict[str, dict[str, Any]] = {
    "longer than every column": DISABLED | {
        "url": "https://a.example.com/" + "x" * 2078, "status": "S" * 300, "disabledReason": "r" * 100_000,
        "eventTypes": ["e" * 300] * 300, "consecutiveFailures": 2**31 - 1,
    },
    "NUL and half of a surrogate pair": DISABLED | {
        "url": "https://a.example.com/\x00\ud800", "status": "\x00\ud800", "disabledReason": "\x00\ud800",
        "eventTypes": ["\x00\ud800"],
    },
    "URL that redacting makes longer": {"url": "https://a.example.com/" + "/hooks/a" * 253},
    "first year": DISABLED | {"createdAt": "1970-01-01T00:00:00Z", "disabledAt": "1970-01-01T00:00:00Z"},
    "last year": DISABLED | {"createdAt": "3000-01-01T00:00:00Z", "disabledAt": "3000-01-01T00:00:00Z"},
}  # fmt: skip
INSTALLS: dict[str, dict[str, Any]] = {
    "longer than every column": {
        "id": "i" * 200, "organizationId": "o" * 200, "status": "S" * 300, "createdAt": "3000-01-01T00:00:00Z",
        "partnerApp": {"id": "a" * 200, "slug": "s" * 3000, "name": "n" * 300}, "scopes": ["s" * 300],
        "token": {"id": "t" * 200, "name": "n" * 300, "scopes": ["s" * 300, "webhooks:manage"]},
    },
    "NUL and half of a surrogate pair": {
        "status": "\x00\ud800", "partnerApp": {"id": "a", "slug": "\x00", "name": "\x00\ud800"},
        "token": {"id": "t", "name": "\x00\ud800", "scopes": ["\x00\ud800", "webhooks:manage"]},
    },
}  # fmt: skip
CONTRACTS: dict[str, dict[str, Any]] = {
    "longer than every column": {
        "id": "i" * 200, "status": "S" * 300, "jobId": "j" * 200, "title": "t" * 100_000,
        "createdAt": "3000-01-01T00:00:00Z", "startDate": "3000-01-01T00:00:00Z", "endDate": "3000-01-01T00:00:00Z",
        "projectLinkIds": ["l" * 300] * 300,
    },
    "NUL and half of a surrogate pair": {
        "id": "con_1", "status": "\x00\ud800", "jobId": "job_1", "title": "\x00\ud800",
        "createdAt": "1970-01-01T00:00:00Z", "projectLinkIds": ["\x00\ud800"],
    },
    "markup": {
        "id": "<script>alert(1)</script>", "status": "<b>", "jobId": "<i>job</i>", "title": "<script>alert(2)</script>",
        "createdAt": "2026-06-12T10:00:00Z", "endDate": "1970-01-01T00:00:00Z", "projectLinkIds": ["<a>"],
    },
}  # fmt: skip
ERRORS: dict[str, tuple[int, dict[str, Any]]] = {
    "code of 51 and more": (403, {"error": "No.", "code": "C" * 300, "requestId": "r"}),
    "request ID of 300": (401, {"error": "e" * 3000, "code": "UNAUTHORIZED", "requestId": "r" * 300}),
    "request ID of 101 on a failure": (500, {"error": "No.", "code": "INTERNAL_ERROR", "requestId": "r" * 101}),
    "NUL and half of a surrogate pair": (
        400,
        {"error": "\x00\ud800", "code": "\x00\ud800", "details": {"\x00" * 900: "\ud800" * 900}},
    ),
}


@contextmanager
def answering(
    settings: Any,
    *,
    endpoint: dict[str, Any] | None = None,
    install: dict[str, Any] | None = None,
    entries: tuple[Any, ...] = (),
    links: tuple[Any, ...] = (),
    contracts: tuple[Any, ...] = (),
    error: tuple[int, dict[str, Any]] | None = None,
) -> Iterator[None]:
    """Serve as an OpenTrain whose endpoint and install have these fields, or that answers every call with an error.

    `entries` follow the endpoint in the list of endpoints.
    """
    one = ENDPOINT | {"url": "https://a.example.com/"} | (endpoint or {})

    def told(method: str, target: str) -> dict[str, Any]:
        if target.endswith("/installs/current"):
            return {"install": INSTALL | (install or {})}
        if "/project-links" in target:
            return {"projectLinks": list(links)}
        if "/contracts" in target:
            return {"contracts": [] if "status=ended" in target else list(contracts)}
        if method == "GET":
            return {"webhookEndpoints": [one, *entries]}
        if target.endswith("/webhook-endpoints"):
            return {"webhookEndpoint": one | {"id": str(uuid.uuid4())}, "secret": "whsec_s", "message": "m" * 3000}
        return {"webhookEndpoint": one, "deleted": True, "requeued": 2**31 - 1, "message": "m" * 3000}

    def behave(connection: Connection) -> None:
        request = connection.read_request()
        status, said = error or (200, told(request.method, request.target))
        body = json.dumps(said).encode()
        head = bad.head(status, "Content-Type: application/json", f"Content-Length: {len(body)}")
        connection.sock.sendall(head + body)

    with bad.misbehaving(behave) as server:
        settings.OPENTRAIN_BASE_URL = f"{server.url}/api/partner/v1"
        yield


def connect(client: Client) -> Any:
    return client.post("/installs/connect/", {"token": "ot_ptk_" + "t" * 30, "name": "", "operation": uuid.uuid4()})


def read(client: Client, endpoint: Endpoint, pages: tuple[str, ...] = READS) -> None:
    for page in pages:
        path = page.format(install=endpoint.install_id, endpoint=endpoint.pk)
        response = client.get(path)
        _ = b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined]
        assert response.status_code == 200, path


def press(client: Client, endpoint: Endpoint) -> None:
    for page, form in WRITES.items():
        make_failed_delivery(endpoint=endpoint)
        path = page.format(install=endpoint.install_id, endpoint=endpoint.pk)
        response = client.post(path, form | {"operation": str(uuid.uuid4())})
        assert response.status_code in {200, 302, 422}, path


@pytest.mark.parametrize("fields", ENDPOINTS.values(), ids=ENDPOINTS)
def test_endpoint_with_a_value_that_no_column_holds(
    settings: Any, client: Client, support: User, fields: dict[str, Any]
) -> None:
    client.force_login(support)
    with answering(settings, endpoint=fields):
        assert connect(client).status_code == 302
        install = Install.objects.get()
        assert sync.refresh(install=install, now=timezone.now()) is None
        endpoint = Endpoint.objects.get()
        read(client, endpoint)
        press(client, endpoint)
        read(client, endpoint, AFTERWARDS)


@pytest.mark.parametrize("fields", INSTALLS.values(), ids=INSTALLS)
def test_install_with_a_value_that_no_column_holds(
    settings: Any, client: Client, support: User, fields: dict[str, Any]
) -> None:
    client.force_login(support)
    with answering(settings, install=fields):
        assert connect(client).status_code == 302
        assert sync.refresh(install=Install.objects.get(), now=timezone.now()) is None
        read(client, Endpoint.objects.get())


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_error_with_a_value_that_no_column_holds(
    settings: Any, client: Client, support: User, acme: Install, error: tuple[int, dict[str, Any]]
) -> None:
    client.force_login(support)
    endpoint = make_endpoint(install=acme, opentrain_id="whe_1", url="https://a.example.com/", receiver_key=None)
    with answering(settings, error=error):
        assert connect(client).status_code == 200
        assert sync.refresh(install=acme, now=timezone.now()) is not None
        press(client, endpoint)
        read(client, endpoint)
    asked, answered = AuditEntry.objects.filter(phase="requested"), AuditEntry.objects.exclude(phase="requested")
    assert asked.exclude(operation__in=answered.values("operation")).count() == 0


@pytest.mark.parametrize("odd", CONTRACTS.values(), ids=CONTRACTS)
def test_contract_with_a_value_that_no_column_holds(
    settings: Any, client: Client, support: User, odd: dict[str, Any]
) -> None:
    client.force_login(support)
    install = make_install(token_scopes=["project-links:read", "contracts:read", "webhooks:manage"])
    endpoint = make_endpoint(install=install, event_types=["contract.started", "contract.ended"])
    link = {"id": odd["id"], "jobId": odd["jobId"], "provisioningMode": odd["status"], "createdAt": odd["createdAt"]}
    link |= {f"externalProject{name}": odd["title"] for name in ("Id", "Name")}
    link |= {"externalProjectUrl": "https://a.example.com/" + odd["title"]}
    unread = ({"id": "i" * 201}, {"id": "a\x00b"}, {"id": 7}, "con_1", None, {"id": "con_2", "endDate": "soon"})
    with answering(settings, links=(link, *unread), contracts=(odd, *unread)):
        assert sweep.sweep(clock=timezone.now, budget=timedelta(minutes=1)) == Done(installs=1)
        known = Reconciliation.objects.get()
        assert "6 entries that Redeliver cannot read" in known.out_of_reach
        assert ProjectLink.objects.filter(opentrain_id=odd["id"]).exists()
        contract = Contract.objects.get()
        read(client, endpoint, ("/", "/installs/{install}/contracts/", f"/contracts/{contract.pk}/"))


def shown(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return html.unescape(" ".join(response.content.decode().split()))


def test_odd_entry_of_the_list_is_named_and_the_others_are_shown(
    settings: Any, client: Client, support: User, acme: Install
) -> None:
    client.force_login(support)
    known = make_endpoint(install=acme, opentrain_id="whe_odd", url="https://odd.example.com/", receiver_key=None)
    entries = (
        ENDPOINT | {"id": "whe_odd", "createdAt": 7},
        ENDPOINT | {"id": "whe_2", "url": "https://b.example.com/"},
    )
    said = (
        "OpenTrain's list of endpoints has an entry that Redeliver cannot read: entry 2 (whe_odd): its field createdAt"
        " is not a time. The other endpoints are up to date. Report this to OpenTrain's support."
    )
    with answering(settings, entries=entries):
        assert sync.refresh(install=acme, now=timezone.now()) is None
        for path in ("/", "/installs/", "/installs/?show=need", f"/installs/{acme.pk}/"):
            assert said in shown(client, path), path
        page = shown(client, f"/installs/{acme.pk}/")
        assert all(f">{name}.example.com<" in page for name in ("a", "b", "odd"))
        inbox = shown(client, "/")
        assert ("Unreadable entry" in inbox, "1 install needs attention" in inbox, "All clear" in inbox) == (
            True, True, False,
        )  # fmt: skip
        assert "2 endpoints healthy" in inbox
        page = shown(client, f"/endpoints/{known.pk}/")
        assert "Redeliver cannot read its entry: its field createdAt is not a time." in page
        assert "it was deleted" not in page
        read(client, known)
    with answering(settings):
        later = timezone.now() + timedelta(minutes=1)
        assert sync.refresh(install=acme, now=later) is None
    for path in ("/", "/installs/", f"/installs/{acme.pk}/"):
        assert "cannot read" not in shown(client, path)
    assert "it was deleted" in shown(client, f"/endpoints/{known.pk}/")


def test_odd_entry_without_an_id_says_what_does_not_follow(
    settings: Any, client: Client, support: User, acme: Install
) -> None:
    client.force_login(support)
    known = make_endpoint(install=acme, opentrain_id="whe_known", receiver_key=None)
    with answering(settings, entries=(None,)):
        assert sync.refresh(install=acme, now=timezone.now()) is None
        page = shown(client, f"/installs/{acme.pk}/")
        assert "entry 2: it is not an object. Without its ID, no endpoint that is missing from the list counts" in page
        assert "it was deleted" not in shown(client, f"/endpoints/{known.pk}/")


def test_list_of_odd_entries_alone_is_no_empty_list(
    settings: Any, client: Client, support: User, acme: Install
) -> None:
    client.force_login(support)
    with answering(settings, endpoint={"id": 7}):
        assert sync.refresh(install=acme, now=timezone.now()) is None
        page = shown(client, f"/installs/{acme.pk}/")
    assert "No endpoint of this install could be read from OpenTrain's list." in page
    assert "No endpoints registered" not in page
