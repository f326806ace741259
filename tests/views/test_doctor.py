"""The signature doctor's page: its findings, its permissions, and that it never keeps the secret."""

import base64
import hashlib
import hmac
import logging
import re
import time
from html import unescape

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.models import Attempt, AuditEntry, Delivery, Endpoint, RefusedAttempt, User
from dashboard.vault import Secret
from tests.factories import (
    BODY,
    NOON,
    SECRET,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_install,
    make_refused_attempt,
    make_user,
)
from tests.views.conftest import Browser, browser_of
from tests.views.test_endpoints import HOSTILE, words_of

PASTED = "whsec_" + "pasted0123456789" * 2
AT = int(NOON.timestamp())
ARRIVED = "2026-06-12 12:00:01"


@pytest.fixture
def one(db: None) -> Endpoint:
    return make_endpoint(install=make_install(name="Acme Labs"))


def page_of(endpoint: Endpoint, refused: RefusedAttempt | None = None) -> str:
    return reverse("endpoint-doctor", args=[endpoint.pk]) + (f"?refused={refused.pk}" if refused else "")


def header(*, body: bytes = BODY, secret: str = SECRET) -> str:
    digest = hmac.new(secret.encode(), b"%d." % AT + body, hashlib.sha256).hexdigest()
    return f"X-OpenTrain-Signature: t={AT},v1={digest}"


def pasted(**fields: str) -> dict[str, str]:
    return {
        "headers": header(), "body": BODY.decode(), "encoding": "text", "arrived_at": ARRIVED, "secret": "",
    } | fields  # fmt: skip


def test_doctor_finds_a_request_genuine_with_the_secret_that_is_kept(ana: Browser, one: Endpoint) -> None:
    text = words_of(ana.press(page_of(one), **pasted()))
    assert "Genuine. The signature is genuine and in time." in text
    assert "For the developer" in text


def test_doctor_finds_the_same_with_and_without_javascript(ana: Browser, one: Endpoint) -> None:
    form = pasted(body='{"a": 1}', headers=header(body=b'{"a":1}'))
    said = "The signature matches this body written as JSON without spaces."
    partial = ana.press(page_of(one), **form)
    response = ana.client.post(page_of(one), form)
    assert response.status_code == 200
    page = response.content.decode()
    assert (said in words_of(partial), said in words_of(page)) == (True, True)
    assert ("<html" in partial, "<html" in page) == (False, True)
    assert "express.raw" in page
    assert "paste it as base64 to be sure" in page
    assert ">\n{&quot;a&quot;: 1}</textarea>" in page


def test_doctor_takes_a_body_as_base64_byte_for_byte(ana: Browser, one: Endpoint) -> None:
    body = b"\x00\xff\r\nbytes\n"
    form = pasted(
        headers=header(body=body), body=base64.encodebytes(body).decode().replace("\n", "\r\n"), encoding="base64"
    )
    assert "The signature is genuine and in time." in ana.press(page_of(one), **form)


@pytest.mark.parametrize("signed", [b'{\n"a":1}', b'{\r\n"a":1}'], ids=["LF", "CR LF"])
def test_doctor_takes_text_with_either_end_of_line(ana: Browser, one: Endpoint, signed: bytes) -> None:
    form = pasted(headers=header(body=signed), body='{\r\n"a":1}')
    assert "The signature is genuine and in time." in ana.press(page_of(one), **form)


def test_doctor_names_the_other_endpoint_of_the_install_and_no_other(ana: Browser, one: Endpoint) -> None:
    make_endpoint(install=one.install, secret=Secret(PASTED), handler_url="https://other.example.com/hook")
    text = words_of(ana.press(page_of(one), **pasted(headers=header(secret=PASTED))))
    assert "signed with the secret of another endpoint of this install: other.example.com/hook (whe_" in text
    stranger = make_endpoint(secret=Secret(PASTED.upper()))
    text = words_of(ana.press(page_of(one), **pasted(headers=header(secret=PASTED.upper()))))
    assert "Neither this secret nor that of 1 other endpoint made this signature" in text
    assert stranger.opentrain_id not in text


def test_doctor_tells_when_the_pasted_secret_is_not_the_endpoints(ana: Browser, one: Endpoint) -> None:
    text = words_of(ana.press(page_of(one), **pasted(secret=PASTED)))
    assert "Unknown secret." in text
    assert "The signature is valid with the secret that Redeliver keeps for this endpoint" in text


def test_doctor_without_a_time_says_that_it_counts_until_now(ana: Browser, one: Endpoint) -> None:
    assert "the age is measured until now" in ana.press(page_of(one), **pasted(arrived_at=""))
    assert "the age is measured until now" not in ana.press(page_of(one), **pasted())


@pytest.mark.parametrize(
    "spelled",
    [
        "{0}:\r\n{1}",
        "{0}\r\n{1}",
        '{{"{0}": "{1}"}}',
        "{0} => {1}",
        "-H '{0}: {1}' \\",
        "\u201c{0}\u201d: \u201c{1}\u201d,",
    ],
)
def test_doctor_reads_a_header_however_it_was_copied(ana: Browser, one: Endpoint, spelled: str) -> None:
    name, _colon, value = header().partition(": ")
    text = words_of(ana.press(page_of(one), **pasted(headers=spelled.format(name, value))))
    assert "Genuine. The signature is genuine and in time." in text


@pytest.mark.parametrize(
    ("signed", "body", "said"),
    [
        (
            b'{"a":{},"u":"b/c"}',
            '{"a":[],"u":"b\\/c"}',
            "PHP (json_decode($body, true), json_encode) makes exactly this of the",
        ),
        (b'{"a":250.0}', '{"a":250}', "with .0 after 1 number. JavaScript (JSON.parse, JSON.stringify), PHP"),
        (b'{"a":"b"}', '{\\"a\\":\\"b\\"}', "The body was escaped or wrapped."),
    ],
)
def test_doctor_says_what_wrote_the_body_again(ana: Browser, one: Endpoint, signed: bytes, body: str, said) -> None:
    assert said in words_of(ana.press(page_of(one), **pasted(headers=header(body=signed), body=body)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"headers": ""}, "Paste the request's headers."),
        ({"headers": "it does not work"}, "No headers found. Paste lines such as X-OpenTrain-Signature: t=…,v1=…"),
        ({"body": "no base64!", "encoding": "base64"}, "This is not valid base64."),
        ({"body": "é", "encoding": "base64"}, "This is not valid base64."),
        (
            {"body": "a" * (1024 * 1024 + 1)},
            "The body is larger than 1 MiB. Redeliver does not accept such deliveries.",
        ),
        ({"arrived_at": "lunch"}, "Enter a time such as 2026-06-12 12:00:00 (UTC), or leave it empty."),
        ({"body": "a\x00b"}, "Null characters are not allowed."),
    ],
)
def test_doctor_says_what_cannot_be_examined(ana: Browser, one: Endpoint, fields: dict, said: str) -> None:
    partial = words_of(ana.press(page_of(one), **pasted(**fields))).replace("&#x27;", "'")
    assert partial.startswith("Not examined. Fix these errors:")
    assert said in partial
    response = ana.client.post(page_of(one), pasted(**fields))
    assert (response.status_code, said in response.content.decode().replace("&#x27;", "'")) == (422, True)


def test_doctor_of_an_endpoint_whose_secret_is_not_known_asks_for_it(ana: Browser, one: Endpoint) -> None:
    Endpoint.objects.update(secret=None)
    assert "Redeliver doesn&#x27;t have this endpoint&#x27;s secret" in ana.press(page_of(one), **pasted())
    assert "The signature is genuine and in time." in ana.press(page_of(one), **pasted(secret=SECRET))


def test_doctor_of_an_endpoint_whose_secret_cannot_be_read_asks_for_it(ana: Browser, one: Endpoint) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE dashboard_endpoint SET secret = 'unreadable'")
    assert "or can&#x27;t read it. Paste it here." in ana.press(page_of(one), **pasted())


# --- A refused request of the log ------------------------------------------------------------------------------------


def refuse(endpoint: Endpoint, **columns) -> RefusedAttempt:
    name, _colon, value = header(body=b'{"a":1}').partition(": ")
    defaults = {
        "request_headers": [["Content-Type", "application/json"], [name, value], ["X-OpenTrain-Delivery", "dlv_1"]],
        "body_sha256": hashlib.sha256(b'{"a": 1}').hexdigest(),
        "body_size": 8,
    }
    return make_refused_attempt(endpoint=endpoint, **defaults | columns)


def test_doctor_of_a_refused_request_says_what_the_log_tells_and_fills_the_form(ana: Browser, one: Endpoint) -> None:
    refused = refuse(one)
    page = ana.read(page_of(one, refused))
    text = words_of(page)
    assert "The header is well formed, and its time is right, 0 s before its arrival." in text
    assert "Without the body, which is not kept, Redeliver cannot tell" in text
    signature = header(body=b'{"a":1}')
    assert f"Content-Type: application/json\n{signature}\nX-OpenTrain-Delivery: dlv_1</textarea>" in page
    assert 'value="2026-06-12 12:00:00 UTC"' in page


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"a": 1}', "This is exactly the refused body."),
        ('{"a":1}', "The refused body is this one written as JSON with a space after each comma and colon."),
        ("else", "This is not the refused body"),
    ],
)
def test_doctor_compares_the_pasted_body_with_the_refused_one(ana: Browser, one: Endpoint, body: str, said) -> None:
    form = pasted(headers=header(body=b'{"a":1}'), body=body)
    text = words_of(ana.press(page_of(one, refuse(one)), **form))
    assert said in text
    assert ("paste it as base64 to be sure" in text) is (body == "else")  # certain where the hash identifies the bytes


def test_the_endpoints_page_leads_to_each_refused_request(ana: Browser, endpoint: Endpoint) -> None:
    refused = refuse(endpoint)
    page = ana.read(reverse("endpoint-detail", args=[endpoint.pk]))
    assert f'href="{page_of(endpoint, refused)}">Find out why</a>' in page


def test_doctor_of_a_refused_request_of_another_endpoint_is_not_there(ana: Browser, one: Endpoint) -> None:
    ana.read(page_of(one, refuse(make_endpoint(install=one.install))), status=404)


@pytest.mark.parametrize("reference", ["0", "99999999999999999999", "x", "1;", "%00", ""])
def test_doctor_of_a_refused_request_that_makes_no_sense_is_a_page_or_not_there(ana, one, reference: str) -> None:
    response = ana.client.get(f"{page_of(one)}?refused={reference}")
    assert response.status_code == (404 if reference == "0" else 200)


# --- An attempt of the log --------------------------------------------------------------------------------------------


def unverified(endpoint: Endpoint, **columns: object) -> Attempt:
    delivery = make_delivery(endpoint=endpoint, last_signature="mismatch", body=BODY)
    name, value = header(secret=PASTED).split(": ")
    return make_attempt(delivery=delivery, request_headers=[[name, value]], signature="mismatch", **columns)


def fields_of(page: str) -> dict[str, str]:
    """Return what the form of a page would send."""
    form = page[page.index('id="id_headers"') :]
    texts = re.findall(r"<textarea[^>]*name=\"(\w+)\"[^>]*>\n?([^<]*)</textarea>", page, re.DOTALL)
    arrived = re.search(r'id="id_arrived_at" value="([^"]*)"', form)
    assert arrived is not None
    checked = re.search(r'name="encoding" value="(\w+)" checked', form)
    assert checked is not None
    return {name: unescape(text) for name, text in texts} | {"arrived_at": arrived[1], "encoding": checked[1]}


def test_attempt_that_did_not_verify_is_examined_with_what_the_log_has(ana: Browser, one: Endpoint) -> None:
    attempt = unverified(one)
    path = f"{page_of(one)}?delivery={attempt.delivery_id}&attempt=1"
    page = ana.read(path)
    assert "Headers, body and time are those of attempt 1 of contract.started" in words_of(page)
    form = fields_of(page)
    assert (base64.b64decode(form["body"]), form["arrived_at"]) == (BODY, "2026-06-12 12:00:00 UTC")
    wrong = words_of(ana.press(page_of(one), **form, secret=""))
    assert "Genuine" not in wrong
    assert "Genuine. The signature is genuine and in time." in words_of(ana.press(page_of(one), **form, secret=PASTED))


def test_secret_that_no_delivery_has_proven_is_doubted_first(ana: Browser, one: Endpoint) -> None:
    form = pasted(headers=header(secret=PASTED))
    doubt = "No delivery has proven the secret that Redeliver keeps for this endpoint"
    assert doubt not in words_of(ana.press(page_of(one), **form))
    Endpoint.objects.filter(pk=one.pk).update(proof="waiting")
    assert doubt in words_of(ana.press(page_of(one), **form))
    assert doubt not in words_of(ana.press(page_of(one), **form | {"secret": "whsec_" + "x" * 32}))
    assert doubt not in words_of(ana.press(page_of(one), **form | {"secret": PASTED}))


def test_newest_attempt_is_examined_where_only_the_delivery_is_named(ana: Browser, one: Endpoint) -> None:
    attempt = unverified(one)
    make_attempt(delivery=attempt.delivery, number=2, request_headers=[["X-OpenTrain-Signature", "t=1,v1=ab"]])
    page = ana.read(f"{page_of(one)}?delivery={attempt.delivery_id}")
    assert fields_of(page)["headers"] == "X-OpenTrain-Signature: t=1,v1=ab"


def test_body_that_is_no_longer_kept_is_asked_for(ana: Browser, one: Endpoint) -> None:
    attempt = unverified(one)
    Delivery.objects.filter(pk=attempt.delivery_id).update(body=None)
    page = ana.read(f"{page_of(one)}?delivery={attempt.delivery_id}")
    assert "Its body is not kept: paste it." in words_of(page)
    assert (fields_of(page)["body"], fields_of(page)["encoding"]) == ("", "text")


def test_attempt_without_headers_or_without_sense_leaves_the_form_empty(ana: Browser, one: Endpoint) -> None:
    attempt = unverified(one)
    Attempt.objects.filter(pk=attempt.pk).update(request_headers=[])
    for query in (f"delivery={attempt.delivery_id}", f"delivery={attempt.delivery_id}&attempt=7", "delivery=x"):
        assert "Paste a request as it reached the handler." in words_of(ana.read(f"{page_of(one)}?{query}"))


def test_attempt_of_another_endpoint_is_not_there(ana: Browser, one: Endpoint) -> None:
    attempt = unverified(make_endpoint(install=one.install))
    ana.read(f"{page_of(one)}?delivery={attempt.delivery_id}", status=404)


# --- Permissions, and secrets that are not kept ----------------------------------------------------------------------


def test_doctor_is_there_for_members_of_the_install_only(one: Endpoint, support: User, outsider: User) -> None:
    assert browser_of(support).client.get(page_of(one)).status_code == 200
    for method in ("get", "post"):
        response = getattr(browser_of(outsider).client, method)(page_of(one), pasted())
        assert response.status_code == 404
        response = getattr(browser_of(make_user(role="")).client, method)(page_of(one), pasted())
        assert response.status_code == 403
        response = getattr(Client(), method)(page_of(one), pasted())
        assert (response.status_code, response.url.split("?")[0]) == (302, "/accounts/login/")


def test_doctor_wants_a_csrf_token_and_gives_one(one: Endpoint, support: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(support)
    assert strict.post(page_of(one), pasted()).status_code == 403
    assert 'name="csrfmiddlewaretoken"' in strict.get(page_of(one)).content.decode()


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["form", "htmx"])
def test_doctor_forgets_the_secret(ana, one, caplog, headers: dict) -> None:
    sessions = set(Session.objects.values_list("session_data", flat=True))
    with caplog.at_level(logging.DEBUG):
        for body in (BODY.decode(), "else"):
            response = ana.client.post(page_of(one), pasted(secret=PASTED, body=body), headers=headers)
            assert response.status_code == 200
            said = response.content.decode() + str(response.headers) + str(response.cookies)
            assert [PASTED in said, PASTED[6:] in said, SECRET in said] == [False, False, False]
            assert response["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    assert PASTED not in caplog.text
    assert set(Session.objects.values_list("session_data", flat=True)) == sessions
    assert AuditEntry.objects.count() == 0


def test_doctor_shows_hostile_words_and_does_not_obey_them(ana: Browser, one: Endpoint) -> None:
    make_endpoint(install=one.install, secret=Secret(PASTED), handler_url=HOSTILE, opentrain_id=HOSTILE)
    refused = refuse(
        one, request_headers=[[HOSTILE, HOSTILE]], claimed_event_type=HOSTILE, claimed_delivery_id=HOSTILE,
        reason=HOSTILE[:30], explanation=HOSTILE, body_sha256=HOSTILE,
    )  # fmt: skip
    form = pasted(headers=f"{header(secret=PASTED)}\n{HOSTILE}: {HOSTILE}", arrived_at=ARRIVED)
    posted = ana.client.post(page_of(one, refused), form).content.decode()
    invalid = ana.client.post(page_of(one, refused), pasted(body=HOSTILE, encoding=HOSTILE, arrived_at=HOSTILE))
    for page in (ana.read(page_of(one, refused)), posted, invalid.content.decode()):
        assert "<img" not in page
        assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_doctor_asks_the_database_little_however_many_endpoints_there_are(ana: Browser, one: Endpoint) -> None:
    for number in range(30):
        make_endpoint(install=one.install, secret=Secret(f"{PASTED}{number}"))
    refused = refuse(one)
    with CaptureQueriesContext(connection) as queries:
        ana.press(page_of(one, refused), **pasted(headers=header(secret="nobody's")))
    assert len(queries) <= 8


def test_doctor_is_done_soon_with_the_largest_body(ana: Browser, one: Endpoint) -> None:
    body = "[" + "[],\n" * 245_000 + "[]]"
    started = time.process_time()
    assert "Unknown secret." in ana.press(page_of(one), **pasted(body=body, secret=PASTED))
    assert time.process_time() - started < 8
