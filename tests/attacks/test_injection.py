"""Injection through fields that outsiders write: into pages, spreadsheets and the log.

tests/attacks/test_requests.py covers the pages of installs, endpoints and deliveries. This module covers the other
pages that show outsiders' text, every download, and the log lines that an anonymous client can cause.
"""

import asyncio
import contextlib
import csv
import io
import json
import logging
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.models import AlertDelivery, ContractChange, Endpoint, Reconciliation, RunItem, RunStep, User
from dashboard.vault import Secret
from tests.attacks.test_requests import MARK, dangers, read
from tests.attacks.walking import addresses
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    NOON,
    make_alert,
    make_channel,
    make_contract,
    make_delivery,
    make_endpoint,
    make_entry,
    make_evidence,
    make_failed_delivery,
    make_install,
    make_link,
    make_refused_attempt,
    make_run,
    make_user,
)
from tests.receiver.delivering import delivered
from tests.receiver.observing import observe
from tests.services.misbehaving import answer, misbehaving
from tests.test_logs import logged

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - full-width, too


@pytest.fixture
def endpoint(support: User) -> Endpoint:
    return make_endpoint(install=make_install(name=MARK), handler_url=f"https://acme.example.com/{MARK}")


# --- Pages -----------------------------------------------------------------------------------------------------------


def test_no_word_of_others_becomes_markup_on_pages_of_runs_alerts_and_activity(
    endpoint: Endpoint, support: User, client: Client
) -> None:
    told = {"why": MARK, "note": MARK, "chosen": MARK, "waiting_for": MARK, "quoted": MARK, "request_id": MARK}
    run = make_run(endpoint=endpoint, actor_name=MARK, **told)
    RunStep.objects.create(run=run, name="probe", began_at=NOON, ended_at=NOON, ok=False, words=MARK)
    failed = make_failed_delivery(endpoint=endpoint, opentrain_id=f"dlv_{MARK}", event_type=MARK, resource_id=MARK)
    RunItem.objects.create(
        run=run, position=0, delivery=failed, opentrain_id=MARK, event_type=MARK, state="refused", words=MARK
    )
    make_refused_attempt(
        endpoint=endpoint, reason=MARK[:30], explanation=MARK, claimed_delivery_id=MARK, claimed_event_type=MARK,
        request_headers=[[MARK, MARK]],
    )  # fmt: skip
    channel = make_channel(install=endpoint.install, name=MARK, shown_as=MARK, made_by_name=MARK, email="a@b.example")
    said = {"install_name": MARK, "endpoint_name": MARK, "words": MARK, "cleared_words": MARK}
    make_alert(endpoint=endpoint, **said)
    make_alert(endpoint=endpoint, kind="overdue", cleared_at=NOON, **said)
    for state in ("waiting", "given_up", "sent"):
        AlertDelivery.objects.create(
            channel=channel, channel_name=MARK, state=state, attempts=6, created_at=NOON, ended_at=NOON, words=MARK
        )
    entry = make_entry(
        endpoint=endpoint, actor_name=MARK, action=MARK[:50], agent=MARK, words=MARK, quoted=MARK, code=MARK[:50],
        request_id=MARK, delivery_id=MARK, endpoint_url=f"javascript:alert(1)//{MARK}",
    )  # fmt: skip
    make_user(username="v", first_name=MARK, last_name=MARK, email="v@example.com")
    own = [
        reverse("run-detail", args=[run.pk]), reverse("run-live", args=[run.pk]),
        reverse("alert-channel-edit", args=[channel.pk]), reverse("alert-channel-delete", args=[channel.pk]),
        reverse("activity-detail", args=[entry.pk]), f"{reverse('endpoint-doctor', args=[endpoint.pk])}?refused=1",
    ]  # fmt: skip
    every = {"who", "what", "outcome", "install", "endpoint", "delivery", "request", "from", "to", "older", "q"}
    asking = [f"{reverse(name)}" for name in ("activity", "delivery-list", "install-list", "search")]
    client.force_login(support)
    shown = []
    for path in own + [one.path for one in addresses(endpoint=endpoint)]:
        response = client.get(path)
        page = read(response)
        if response["Content-Type"].startswith("text/html"):
            assert dangers(page) == [], path
            shown.append("xss" in page)
    for path in asking:
        page = read(client.get(path, dict.fromkeys(sorted(every), MARK)))
        assert (dangers(page), "xss" in page) == ([], True), path
    assert sum(shown) > 20
    assert all(shown[: len(own) - 1])


def test_no_word_of_others_becomes_markup_on_pages_of_contracts(
    endpoint: Endpoint, support: User, client: Client
) -> None:
    install = endpoint.install
    link = make_link(
        install=install, opentrain_id=f"lnk_{MARK}", job_id=MARK, external_project_id=MARK, external_project_name=MARK
    )
    contract = make_contract(
        install=install, opentrain_id=f"con_{MARK}", job_id=MARK, title=MARK, status=MARK[:50],
        link_ids=[link.opentrain_id], budget_state=MARK[:50], budget_read_at=NOON,
    )  # fmt: skip
    ContractChange.objects.create(
        install=install, contract=contract, what=MARK[:30], before=MARK, after=MARK, not_before=NOON, seen_at=NOON
    )
    make_evidence(
        contract=contract, endpoint=endpoint, event_type="contract.started", opentrain_id=f"dlv_{MARK}", event_id=MARK,
        taken_at=None, standing=3, last_cause=MARK[:30],
    )  # fmt: skip
    make_failed_delivery(endpoint=endpoint, opentrain_id=MARK, event_type=MARK, resource_id=contract.opentrain_id)
    make_refused_attempt(endpoint=endpoint, explanation=MARK, claimed_event_type="contract.started")
    Reconciliation.objects.create(install=install, contracts_read_at=NOON, error=MARK, out_of_reach=MARK)
    client.force_login(support)
    asked = (contract.opentrain_id, MARK, link.opentrain_id, f"dlv_{MARK}", f"nobody_{MARK}")
    paths = [f"/contracts/{contract.pk}/", *(f"/why/?q={quote(text)}" for text in asked)]
    paths += [f"/search/results/?q={quote(text)}" for text in asked]
    for path in paths:
        page = read(client.get(path))
        assert dangers(page) == [], path
        assert "xss" in page, path


@pytest.mark.parametrize("answer_of", ["error", "html"])
def test_answer_of_opentrain_is_text_where_the_button_was_pressed(
    answer_of: str, support: User, client: Client, settings: object
) -> None:
    said = json.dumps({"error": MARK, "code": MARK, "requestId": MARK, "details": {MARK: MARK}}).encode()
    body, kind = (said, "application/json") if answer_of == "error" else (f"<html>{MARK}</html>".encode(), "text/html")
    endpoint = make_endpoint(install=make_install(token=Secret("ot_ptk_" + "k" * 30)))
    client.force_login(support)
    with misbehaving(answer(403, body, content_type=kind)) as server:
        settings.OPENTRAIN_BASE_URL = server.url  # type: ignore[attr-defined]
        pressed = read(client.post(f"/endpoints/{endpoint.pk}/enable/", headers={"HX-Request": "true"}))
        page = read(client.get(f"/endpoints/{endpoint.pk}/"))
    assert (dangers(pressed), dangers(page)) == ([], [])
    assert ("&lt;xss onclick" in pressed, "&lt;xss onclick" in page) == (answer_of == "error", answer_of == "error")


# --- Spreadsheets ----------------------------------------------------------------------------------------------------


def test_no_cell_of_any_download_is_a_formula(support: User, client: Client) -> None:
    """Downloads every URL of the URL map that returns CSV, so new ones are tested automatically."""
    endpoint = make_endpoint(install=make_install(name="=1"), opentrain_id="=1", handler_url="=1")
    for start in FORMULAS:
        evil = f"{start}cmd|' /C calc'!A0"
        make_delivery(
            endpoint=endpoint, opentrain_id=evil, event_id=evil, event_type=evil, resource_id=evil, last_cause=evil[:30]
        )
        make_refused_attempt(
            endpoint=endpoint, reason=evil[:30], explanation=evil, claimed_delivery_id=evil, claimed_event_type=evil
        )
        make_entry(
            endpoint=endpoint, actor_name=evil, action=evil, agent=evil, delivery_id=evil, words=evil, quoted=evil,
            code=evil, request_id=evil, endpoint_url=evil, install_name=evil,
        )  # fmt: skip
    client.force_login(support)
    files, text = 0, ""
    for one in addresses(endpoint=endpoint):
        for query in ("?format=csv", "?format=csv&signature=refused"):
            response = client.get(one.path + query)
            if not response["Content-Type"].startswith("text/csv"):
                break
            body = read(response)
            files, text = files + 1, text + body
            cells = [cell for row in csv.reader(io.StringIO(body.removeprefix("\ufeff"), newline="")) for cell in row]
            assert [cell for cell in cells if cell.startswith(FORMULAS)] == [], one.name
            assert response["Content-Disposition"].startswith("attachment"), one.name
            assert response["X-Content-Type-Options"] == "nosniff", one.name
    assert files >= 8
    assert {start: text.count(f"'{start}cmd|") >= 20 for start in FORMULAS} == dict.fromkeys(FORMULAS, True)


# --- The log ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    with logged(request.param) as stream:
        logging.getLogger().setLevel(logging.DEBUG)
        yield stream


ENDS = ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x1b[2K\x1b[1G"]
FORGED = "2026-06-12T10:00:00.000Z WARNING dashboard [-] ana signed in"
BEGINS = re.compile(r'\d{4}-\d\d-\d\dT[0-9:.]+Z [A-Z]+ \S+ \[\S+\] |    \| |\{"')


def test_no_line_of_the_log_is_forged_by_whatever_a_stranger_sends(
    log: io.StringIO, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    endpoint, client = make_endpoint(), Client(raise_request_exception=False)
    for end in ENDS:
        evil = f"x{end}{FORGED}"
        escaped = "".join(f"%{byte:02X}" for byte in evil.encode())
        # All that a header can hold: a line break ends it, and gunicorn refuses the rest (test_slow_and_large.py).
        header = evil.encode().decode("latin-1")
        client.get(f"/{escaped}/")
        client.post(f"/hooks/{escaped}/", b"{}", content_type="application/json")
        client.get("/", headers={"Host": header, "User-Agent": header, "X-Request-ID": header, "Referer": header})
        client.post("/accounts/login/", {"login": evil, "password": evil})
        observe(body=evil.encode(), content_type=header, headers={"Authorization": f"Bearer {header}"})
        delivered(endpoint.receiver_key, secret=evil)
        for name in ("X-OpenTrain-Delivery", "X-OpenTrain-Event", "X-OpenTrain-Signature"):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                delivered(endpoint.receiver_key, content_type=header, **{name: header})
        logging.getLogger("dashboard.test").warning("install %s was not refreshed: %s", evil, evil)
    written = log.getvalue()
    lines = written.split("\n")[:-1]
    assert len(lines) > 3 * len(ENDS)
    assert written.splitlines() == lines
    assert [line for line in lines if not BEGINS.match(line) or not line.isprintable()] == []
    assert [line for line in lines if line.startswith(FORGED)] == []
    if lines[0].startswith("{"):
        assert {json.loads(line)["logger"] for line in lines} & {"ana", "dashboard"} == set()
