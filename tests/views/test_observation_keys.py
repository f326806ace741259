"""Issuing, replacing and revoking an endpoint's observation key from its page."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.models import Attempt, AuditEntry, Delivery, Endpoint, User
from dashboard.views.observation_keys import examples_of
from tests.factories import NOON, make_endpoint, make_user
from tests.receiver.observing import observe
from tests.receiver.serving import receiving
from tests.views.conftest import Browser, browser_of
from tests.views.test_endpoints import HOSTILE, words_of
from tests.views.test_operations import operations_on

ITEM = {
    "deliveryId": "dlv_1",
    "eventType": "contract.started",
    "receivedAt": "2026-06-12T12:00:00.000Z",
    "status": 200,
    "latencyMs": 35,
}


@pytest.fixture
def straight(acme) -> Endpoint:
    """An endpoint that OpenTrain delivers to directly."""
    return make_endpoint(install=acme, receiver_key=None, secret=None, url="https://partner.example.com/hook")


def page_of(endpoint: Endpoint) -> str:
    return reverse("observation-key", args=[endpoint.pk])


def issue(browser: Browser, endpoint: Endpoint, **form: str):
    return browser.client.post(page_of(endpoint), {"operation": str(uuid.uuid4())} | form)


def revoke(browser: Browser, endpoint: Endpoint, **form: str):
    path = reverse("observation-key-revoke", args=[endpoint.pk])
    return browser.client.post(path, {"operation": str(uuid.uuid4())} | form)


def key_in(response) -> str:
    """Return the key that the page shows once."""
    return re.search(r'<code id="secret">(rdo_[^<]+)</code>', response.content.decode())[1]


def report(key: str) -> int:
    return observe(key=key, items=[ITEM]).status_code


def test_issue_shows_a_key_that_works_once_and_is_never_stored(ana: Browser, straight: Endpoint) -> None:
    form = ana.read(page_of(straight))
    assert "Issue key" in form
    response = issue(ana, straight, operation=operations_on(form)[0])
    key = key_in(response)
    assert (response.status_code, "no-store" in response["Cache-Control"]) == (200, True)
    assert f'data-copy="{key}"' in response.content.decode()
    straight.refresh_from_db()
    assert straight.observation_key_sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert report(key) == 200
    for page in (ana.read(page_of(straight)), ana.read(reverse("endpoint-detail", args=[straight.pk]))):
        assert key not in page


def test_issue_writes_who_did_it_and_not_the_key(ana: Browser, straight: Endpoint) -> None:
    key = key_in(issue(ana, straight))
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.phase, entry.actor_name, entry.endpoint, entry.install) == (
        "issue observation key", "done", "ana", straight, straight.install,
    )  # fmt: skip
    assert key not in str(vars(entry))


def test_form_that_is_sent_twice_issues_one_key(ana: Browser, straight: Endpoint) -> None:
    operation = str(uuid.uuid4())
    first = key_in(issue(ana, straight, operation=operation))
    again = issue(ana, straight, operation=operation, confirmed="yes")
    assert again.status_code == 422
    assert (
        "This form was already sent, here, in another tab or by someone else. Nothing changed."
        in again.content.decode()
    )
    assert (report(first), AuditEntry.objects.count()) == (200, 1)


def test_tabs_that_were_opened_together_issue_one_key(ana: Browser, straight: Endpoint) -> None:
    """The second one would replace the key that someone has just copied."""
    sam = browser_of(make_user(role="support", username="sam"))
    tabs = [(browser, operations_on(browser.read(page_of(straight)))[0]) for browser in (ana, sam, ana)]
    first, *later = [issue(browser, straight, operation=operation, confirmed="yes") for browser, operation in tabs]
    assert [response.status_code for response in later] == [422, 422]
    assert (report(key_in(first)), AuditEntry.objects.count()) == (200, 1)
    replaced = issue(sam, straight, operation=operations_on(sam.read(page_of(straight)))[0], confirmed="yes")
    assert (report(key_in(first)), report(key_in(replaced))) == (401, 200)


def test_replacing_asks_first_and_then_ends_the_old_key_at_once(ana: Browser, straight: Endpoint) -> None:
    first = key_in(issue(ana, straight))
    refused = issue(ana, straight)
    assert refused.status_code == 422
    assert (
        "A key is in use. Check this box to confirm that it stops working. Nothing changed yet."
        in refused.content.decode()
    )
    assert report(first) == 200
    second = key_in(issue(ana, straight, confirmed="yes"))
    assert (report(first), report(second)) == (401, 200)


def test_revoke_asks_first_then_ends_the_key_and_keeps_what_was_reported(ana: Browser, straight: Endpoint) -> None:
    key = key_in(issue(ana, straight))
    report(key)
    assert revoke(ana, straight).status_code == 422
    assert report(key) == 200
    response = revoke(ana, straight, confirmed="yes")
    assert "The observation key was revoked" in words_of(ana.read(response["Location"].partition("#")[0]))
    straight.refresh_from_db()
    assert (report(key), straight.observation_key_at, Delivery.objects.count()) == (401, None, 1)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", "actor_name")) == [
        ("issue observation key", "ana"), ("revoke observation key", "ana"),
    ]  # fmt: skip


def test_revoke_that_is_sent_again_leaves_the_key_that_came_after_it(ana: Browser, straight: Endpoint) -> None:
    issue(ana, straight)
    operation = str(uuid.uuid4())
    revoke(ana, straight, operation=operation, confirmed="yes")
    key = key_in(issue(ana, straight))
    again = revoke(ana, straight, operation=operation, confirmed="yes")
    assert (again.status_code, report(key)) == (422, 200)
    assert "The key below was issued after it." in again.content.decode()


def test_revoke_without_a_key_changes_and_writes_nothing(ana: Browser, straight: Endpoint) -> None:
    assert revoke(ana, straight, confirmed="yes").status_code == 302
    assert AuditEntry.objects.count() == 0


def test_deleted_endpoint_gets_no_key_and_can_have_its_own_revoked(ana: Browser, straight: Endpoint) -> None:
    key = key_in(issue(ana, straight))
    Endpoint.objects.update(deleted_at=NOON)
    page = ana.read(page_of(straight))
    assert ("Replace key…" in page, "Revoke key…" in page) == (False, True)
    assert issue(ana, straight, confirmed="yes").status_code == 404
    revoke(ana, straight, confirmed="yes")
    assert report(key) == 401


def test_partner_admin_issues_a_key_for_an_install_of_theirs(partner_admin: User, straight: Endpoint) -> None:
    client = Client()
    client.force_login(partner_admin)
    assert report(key_in(issue(Browser(client), straight))) == 200
    assert AuditEntry.objects.get().actor == partner_admin


def test_page_of_a_received_endpoint_says_that_its_log_is_complete_without(ana: Browser, acme) -> None:
    text = words_of(ana.read(page_of(make_endpoint(install=acme))))
    assert "its log is complete without reports" in text


def test_page_shows_hostile_words_and_obeys_none(ana: Browser, straight: Endpoint) -> None:
    Endpoint.objects.update(url=HOSTILE, event_types=[HOSTILE])
    for response in (ana.client.get(page_of(straight)), issue(ana, straight)):
        assert response.status_code == 200
        assert "<img" not in response.content.decode()


def examples_on(page: str, label: str) -> str:
    return unescape(re.search(rf'aria-label="{label}">(.*?)</pre>', page, re.DOTALL)[1])


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("label", "command"), [("curl command", ["bash"]), ("Python example", [sys.executable, "-"])])
def test_example_on_the_page_runs(settings, ana: Browser, straight: Endpoint, label, command) -> None:
    if shutil.which("curl") is None and label == "curl command":
        pytest.skip("curl is not installed")
    Endpoint.objects.update(event_types=['it\'s "odd" $HOME \\'])
    with receiving() as site:
        settings.PUBLIC_URL = settings.RECEIVER_URL = f"http://localhost:{site.port}"
        response = issue(ana, straight)
        code = examples_on(response.content.decode(), label)
        assert key_in(response) not in code
        subprocess.run(
            command,
            input=code,
            env=os.environ | {"OBSERVATION_KEY": key_in(response)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    row = Delivery.objects.get()
    assert (row.endpoint, row.opentrain_id, row.event_type) == (straight, "dlv_example", 'it\'s "odd" $HOME \\')
    assert Attempt.objects.get().source == "observed"


def test_examples_quote_whatever_is_in_an_event_type() -> None:
    hostile = "'; touch /tmp/x; echo '\"\n"
    examples = examples_of(url="https://redeliver.example.com/api", event_types=[hostile], at=NOON)
    body = re.search(r"--data-raw (.*)", examples.curl, re.DOTALL)[1]
    said = subprocess.run(["bash", "-c", f"printf %s {body}"], capture_output=True, text=True, check=True).stdout
    assert json.loads(said)["observations"][0]["eventType"] == hostile
    assert json.loads(re.search(r"report\((\{.*\})\)", examples.python, re.DOTALL)[1])["eventType"] == hostile


def test_revoke_on_a_stopped_endpoint_offers_nothing_beside_its_answer(ana: Browser, straight: Endpoint) -> None:
    Endpoint.objects.update(status="DISABLED")
    issue(ana, straight)
    page = ana.read(revoke(ana, straight, confirmed="yes")["Location"].partition("#")[0])
    answer = page.partition('id="answer"')[2].partition('<details class="facts-fold"')[0]
    assert "The observation key was revoked" in answer
    assert "Re-enable" not in answer
