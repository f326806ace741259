"""Forged, malicious and oversized requests, from strangers or from sites that a member visits."""

import gzip
import hmac
import json
import time
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.http.response import HttpResponseBase
from django.test import Client

from dashboard.actions import observation_keys
from dashboard.models import Attempt, AuditEntry, Delivery, Endpoint, Install, User
from dashboard.signatures import Verdict, sign, verify
from tests.attacks.walking import PROBES, Address, addresses
from tests.factories import BODY, NOON, SECRET, make_attempt, make_delivery, make_endpoint, make_install
from tests.receiver.delivering import delivered, receiving, request
from tests.receiver.observing import observe

MARK = "'\"><xss onclick=alert(1)>&lt;xss&gt;"
WRITES = ["post", "put", "patch", "delete"]


@pytest.fixture
def endpoint(acme: Install) -> Endpoint:
    return make_endpoint(install=acme)


def read(response: HttpResponseBase) -> str:
    content = b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined]
    return content.decode(errors="replace")


# --- CSRF ------------------------------------------------------------------------------------------------------------


def test_write_to_any_address_without_a_csrf_token_is_refused(endpoint: Endpoint, support: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(support)
    there = addresses(endpoint=endpoint)
    before = AuditEntry.objects.count()
    taken = [
        (one.name, method) for one in there for method in WRITES if getattr(client, method)(one.path).status_code != 403
    ]
    assert taken == []
    assert AuditEntry.objects.count() == before


def test_no_address_is_exempt_from_csrf(endpoint: Endpoint) -> None:
    exempt = {one.name for one in addresses(endpoint=endpoint) if getattr(one.view, "csrf_exempt", False)}
    assert exempt == set()


def test_write_with_a_token_but_from_another_site_is_refused(endpoint: Endpoint, support: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(support)
    page = read(client.get(f"/endpoints/{endpoint.pk}/"))
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    assert len(token) == 64
    form = {"csrfmiddlewaretoken": token}
    evil = client.post(f"/endpoints/{endpoint.pk}/enable/", form, headers={"Origin": "https://evil.example"})
    assert evil.status_code == 403


# --- Headers and pages -----------------------------------------------------------------------------------------------


def pages(endpoint: Endpoint, client: Client) -> list[tuple[Address, HttpResponseBase]]:
    got = [(one, client.get(one.path, secure=True)) for one in addresses(endpoint=endpoint)]
    assert sum(response.status_code == 200 for _, response in got) > 25
    return got


def test_every_answer_carries_the_headers_that_protect_it(endpoint: Endpoint, support: User, client: Client) -> None:
    client.force_login(support)
    for one, response in pages(endpoint, client):
        policy = response["Content-Security-Policy"]
        assert "unsafe" not in policy, one.name
        assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"} <= {
            part.strip() for part in policy.split(";")
        }, one.name
        assert response["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload", one.name
        assert response["X-Frame-Options"] == "DENY", one.name
        assert response["X-Content-Type-Options"] == "nosniff", one.name
        assert response["Referrer-Policy"] in {"same-origin", "no-referrer"}, one.name
        assert response["Cross-Origin-Opener-Policy"] == "same-origin", one.name
        assert response["Cross-Origin-Resource-Policy"] == "same-origin", one.name
        assert "camera=()" in response["Permissions-Policy"], one.name
        assert len(response["X-Request-ID"]) == 32, one.name


def test_every_cookie_is_same_site_and_for_https_by_default() -> None:
    from tests import lint_settings  # noqa: PLC0415 - production settings, which these tests do not use

    assert lint_settings.CSRF_COOKIE_HTTPONLY is True
    assert (lint_settings.SESSION_COOKIE_SAMESITE, lint_settings.CSRF_COOKIE_SAMESITE) == ("Lax", "Lax")
    assert (lint_settings.SESSION_COOKIE_SECURE, lint_settings.CSRF_COOKIE_SECURE) == (True, True)
    assert (settings.SESSION_COOKIE_HTTPONLY, settings.SESSION_COOKIE_DOMAIN) == (True, None)
    names = (lint_settings.SESSION_COOKIE_NAME, lint_settings.CSRF_COOKIE_NAME)
    assert names == ("__Host-sessionid", "__Host-csrftoken")


class _Tags(HTMLParser):
    """Collects what would run or load in a page if a field's text were not escaped."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "xss" or (tag == "script" and "src" not in given) or tag == "style":
            self.found.append(tag)
        for name, value in attrs:
            address = (value or "").strip().lower()
            if name.startswith("on") or name == "style":
                self.found.append(f"{tag} {name}")
            if name in {"href", "src", "action", "formaction"} and not address.startswith(
                ("/", "#", "?", "https://", "http://", "data:image/")
            ):
                self.found.append(f"{tag} {name}={address[:40]}")


def dangers(page: str) -> list[str]:
    tags = _Tags()
    tags.feed(page)
    return tags.found


def test_checker_sees_what_it_is_there_to_see() -> None:
    assert dangers("<p onclick=x><xss><script>1</script><a href='javascript:1'>") == [
        "p onclick", "xss", "script", "a href=javascript:1",
    ]  # fmt: skip
    assert dangers("<a href='/x?a=%22'>&lt;xss&gt;</a>") == []


@pytest.fixture
def marked(support: User) -> Endpoint:
    """An install, endpoint, delivery, attempt and audit row whose every field holds an outsider's malicious text."""
    install = make_install(
        name=MARK, app_name=MARK, status=MARK, organization_id=MARK, token_name=MARK, token_scopes=[MARK],
        scopes=[MARK], last_error=MARK, last_error_code="unauthorized",
    )  # fmt: skip
    endpoint = make_endpoint(
        install=install, url=f"javascript:alert(1)//{MARK}", event_types=[MARK], disabled_reason=MARK,
        status="DISABLED", consecutive_failures=10, handler_url=f"javascript:alert(2)//{MARK}", disabled_at=NOON,
    )  # fmt: skip
    body = json.dumps({"id": MARK, MARK: [MARK, {MARK: MARK}], "data": {"html": MARK}}).encode()
    delivery = make_delivery(
        endpoint=endpoint, opentrain_id=f"dlv_{MARK}", event_id=MARK, event_type=MARK, resource_id=MARK, body=body,
        last_ok=False, last_status=500, last_cause="status",
    )  # fmt: skip
    make_attempt(
        delivery=delivery, ok=False, cause="status", answered_status=500, handler_status=500, handler_url=MARK,
        request_headers=[[MARK, MARK]], response_headers=[["Content-Type", "text/html"], [MARK, MARK]],
        response_head=f"<html>{MARK}</html>".encode(), signature=MARK[:30],
    )  # fmt: skip
    for phase in ("requested", "refused"):
        AuditEntry.objects.create(
            phase=phase, action="enable", actor=support, actor_name=MARK, install=install, endpoint=endpoint,
            delivery_id=f"dlv_{MARK}", words=MARK, quoted=MARK, code=MARK[:50], request_id=MARK,
        )  # fmt: skip
    return endpoint


def test_no_field_from_outside_becomes_markup_on_any_page(marked: Endpoint, support: User, client: Client) -> None:
    client.force_login(support)
    shown = 0
    delivery = Delivery.objects.get(endpoint=marked)
    own = [f"/deliveries/{delivery.pk}/", f"/deliveries/{delivery.pk}/live/", "/deliveries/?q=" + MARK]
    for path in [one.path for one in addresses(endpoint=marked)] + own:
        response = client.get(path)
        page = read(response)
        shown += "xss" in page
        if response["Content-Type"].startswith("text/html"):
            assert dangers(page) == [], path
    assert shown > 10


def test_no_download_is_taken_for_a_page(marked: Endpoint, support: User, client: Client) -> None:
    client.force_login(support)
    for path in ("/deliveries/export/", f"/installs/{marked.install_id}/deliveries/export/"):
        response = client.get(path)
        assert response["Content-Disposition"].startswith("attachment"), path
        assert not response["Content-Type"].startswith("text/html"), path


def test_name_of_an_install_adds_no_header_to_its_download(support: User, client: Client) -> None:
    client.force_login(support)
    install = make_install(name='a"\r\nX-Evil: 1\r\n\r\n<xss>')
    response = client.get(f"/installs/{install.pk}/deliveries/export/")
    assert "X-Evil" not in response
    assert "\n" not in str(response.headers["Content-Disposition"])


@pytest.mark.parametrize("given", ["/x\r\nX-Evil: 1", "//evil.example", "https://evil.example", "/\\evil.example"])
def test_address_to_go_on_to_adds_no_header_and_leads_nowhere_else(given: str, client: Client, support: User) -> None:
    support.set_password("a-long-password")
    support.save()
    response = client.post("/accounts/login/?next=/", {"login": "ana", "password": "a-long-password", "next": given})
    assert (response.status_code, "X-Evil" in response) == (302, False)
    location = response["Location"]
    assert (location[:1], location[1:2] in {"/", "\\"}, location.isprintable()) == ("/", False, True)


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost@evil.example", "", "a" * 5000])
def test_host_that_is_not_ours_is_refused_on_pages_and_doors(host: str, client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    for path in ("/accounts/login/", "/hooks/none/"):
        response = client.get(path, headers={"Host": host})
        assert response.status_code == 400
        assert b"evil.example" not in response.content


@pytest.mark.django_db
def test_forwarded_host_is_believed_from_nobody(client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost"]
    forwarded = {"Host": "localhost", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    assert b"evil.example" not in client.get("/accounts/login/", headers=forwarded).content


# --- Keys, signatures and bombs at the public APIs -------------------------------------------------------------------


def test_receiver_key_cannot_be_approached(endpoint: Endpoint) -> None:
    key = str(endpoint.receiver_key)
    near = [key[:-1], key + "a", key[:-1] + ("a" if key[-1] != "a" else "b"), key.swapcase(), key[::-1], "a" * 43, "a"]
    with receiving() as receiver:
        answers = [receiver.say(request(one)) for one in [*near, "!" * 43]]
    said = {(answer.status_code, answer.content) for answer in answers}
    assert said == {(404, b'{"error": "Not found.", "reason": "not_found"}')}


def test_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the code compared with `==` anywhere, the result of `compare_digest` would not decide."""
    header = sign(secret=SECRET, body=BODY, timestamp=1_000)
    wrong = header[:-1] + ("0" if header[-1] != "0" else "1")
    given = {"secret": SECRET, "body": BODY, "now": 1_000, "other_secrets": []}
    compared = []

    def compare(left: str, right: str, *, says: bool) -> bool:
        compared.append((left, right))
        return says

    monkeypatch.setattr(hmac, "compare_digest", lambda left, right: compare(left, right, says=True))
    assert verify(headers=[wrong], **given).verdict is Verdict.VERIFIED
    monkeypatch.setattr(hmac, "compare_digest", lambda left, right: compare(left, right, says=False))
    assert verify(headers=[header], **given).verdict is Verdict.MISMATCH
    assert [right for _, right in compared] == [wrong.rpartition("v1=")[2], header.rpartition("v1=")[2]]
    assert {len(left) for left, _ in compared} == {64}


@pytest.mark.django_db
def test_metrics_token_is_compared_in_constant_time(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.METRICS_TOKEN = "right"
    monkeypatch.setattr(hmac, "compare_digest", lambda _left, _right: True)
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 200


BOMBS = {
    "nested arrays": b"[" * 500_000 + b"]" * 500_000,
    "nested objects": b'{"a":' * 150_000 + b"1" + b"}" * 150_000,
    "a long number": b'{"id": ' + b"9" * 1_000_000 + b"}",
    "a huge exponent": b'{"id": 1e999999999, "createdAt": -1e999999999}',
    "many keys": b"{" + b",".join(b'"k%d":0' % number for number in range(80_000)) + b"}",
    "gzip": gzip.compress(b"\x00" * 200_000_000, compresslevel=9),
}
TAKEN_WITHIN_S = 10
"""CPU seconds of this process, without the work of other processes."""


@pytest.fixture(scope="module", params=list(BOMBS))
def bomb(request: pytest.FixtureRequest) -> bytes:
    return BOMBS[request.param]


def test_bomb_at_the_receiver_is_kept_as_bytes_and_shown(
    bomb: bytes, endpoint: Endpoint, support: User, client: Client
) -> None:
    encoding = "gzip" if bomb[:2] == b"\x1f\x8b" else "identity"
    started = time.process_time()
    response = delivered(endpoint.receiver_key, body=bomb, X_OpenTrain_Delivery="dlv_bomb", Content_Encoding=encoding)
    assert (response.status_code, bytes(Delivery.objects.get().body) == bomb) == (200, True)
    client.force_login(support)
    page = read(client.get(f"/deliveries/{Delivery.objects.get().pk}/"))
    assert "dlv_bomb" in page
    assert len(page) < 5_000_000
    assert time.process_time() - started < TAKEN_WITHIN_S


def test_bomb_at_the_observations_api_is_refused(bomb: bytes, endpoint: Endpoint) -> None:
    key = observation_keys.issue(actor=None, endpoint=endpoint, now=NOON).reveal()
    started = time.process_time()
    for body in (bomb, b'{"observations": ' + bomb + b"}", b'{"observations": [' + bomb + b"]}"):
        response = observe(key=key, body=body)
        assert response.status_code == 400, response.content[:200]
        assert len(response.content) < 10_000
    response = observe(key=key, body=bomb, headers={"Content-Encoding": "gzip"})
    assert (response.status_code, Attempt.objects.count()) == (415, 0)
    assert time.process_time() - started < TAKEN_WITHIN_S


def test_probes_are_the_addresses_that_are_known(endpoint: Endpoint) -> None:
    assert {one.name for one in addresses(endpoint=endpoint)} >= PROBES
