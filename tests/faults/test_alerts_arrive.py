"""Alerts from a site, worker and receiver that run as deployed, to a mailbox and to a webhook."""

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from dashboard.launch import postgres
from dashboard.models import AlertChannel, AlertDelivery, Endpoint, Install, ReceiverReport, Run, User
from dashboard.rules.alerts import OF_ALL_INSTALLS, AlertKind
from dashboard.rules.deliveries import Standing
from dashboard.rules.installs import Trouble
from dashboard.signatures import Verdict, verify
from tests.factories import (
    SECRET,
    make_channel,
    make_delivery,
    make_endpoint,
    make_install,
    make_run,
    make_user,
    make_webhook_channel,
)
from tests.faults.serving import PATIENCE_S, Site, deliver, serving
from tests.services.mailbox import Mailbox, mailbox
from tests.services.misbehaving import Server, answer, misbehaving

EVERYTHING = {kind.value for kind in AlertKind if kind not in OF_ALL_INSTALLS}
"""Kinds of problems of an install."""
BUSY_S = 2 * PATIENCE_S
"""Timeout. Redeliver checks for alerts every 10 s and sends them every 5 s; a busy machine is slower."""


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as made:
        yield made


@pytest.fixture
def webhook() -> Iterator[Server]:
    with misbehaving(answer(200)) as server:
        yield server


@pytest.fixture
def site(transactional_db: None, postgres_server: postgres.Server, tmp_path: Path, box: Mailbox) -> Iterator[Site]:
    name = str(connection.settings_dict["NAME"])
    given = {
        "EMAIL_URL": f"smtp://127.0.0.1:{box.port}", "ALERT_PRIVATE_ADDRESSES": "1",
        "PUBLIC_URL": "https://redeliver.example.com", "OPENTRAIN_BASE_URL": "http://localhost:9/api/partner/v1",
    }  # fmt: skip
    with serving(tmp_path, database_url=postgres_server.url(name), **given) as running:
        running.start()
        yield running
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )
        cursor.execute("TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_periodic_defers CASCADE")


def await_(what: str, check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BUSY_S
    while not check():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)


def break_everything(site: Site) -> Install:
    """Cause each kind of problem, in one install where it is of one, refused signatures by real requests.

    Returns that install.
    """
    now = timezone.now()
    ReceiverReport.objects.create(name="elsewhere-a", held=7, heard_at=now - timedelta(minutes=9))
    acme = make_install(name="Acme Labs", poll_after=now + timedelta(days=1))
    handler = "https://acme.example.com/{}"
    make_endpoint(install=acme, status="DISABLED", consecutive_failures=10, handler_url=handler.format("disabled"))
    make_endpoint(install=acme, consecutive_failures=8, handler_url=handler.format("at-risk"))
    stopped = make_endpoint(install=acme, consecutive_failures=1, handler_url=handler.format("canary"))
    why = "The first delivery failed again: 503."
    make_run(endpoint=stopped, state=Run.State.STOPPED, step="canary", why=why, ended_at=now)
    late = make_endpoint(install=acme, handler_url=handler.format("late"))
    overdue = make_delivery(endpoint=late, last_ok=False, last_status=503, last_cause="status", first_received_at=now)
    overdue.standing, overdue.due_by = Standing.RETRYING, now - timedelta(minutes=9)
    overdue.save()
    moved = {"url": handler.format("moved"), "url_changed_at": now, "url_before": handler.format("before")}
    make_endpoint(install=acme, receiver_key=None, **moved)
    door = make_endpoint(install=acme, handler_url=handler.format("signed"))
    for number in range(3):
        answered = deliver(port=site.port, key=str(door.receiver_key), delivery_id=f"dlv_{number}", secret="whsec_no")
        assert answered == 401
    refused = "OpenTrain refused this install's token."
    Install.objects.filter(pk=acme.pk).update(last_error_code=Trouble.TOKEN_REFUSED, last_error=refused)
    return acme


def alerts_in(webhook: Server) -> list[dict[str, Any]]:
    messages = [json.loads(request.body) for request in webhook.requests]
    return [one for message in messages for one in message["alerts"]]


def kinds_in(webhook: Server, *, event: str) -> set[str]:
    return {one["kind"] for one in alerts_in(webhook) if event in one["events"]}


def text_of(box: Mailbox, *, to: str) -> str:
    return "\n".join(mail.get_content() for mail in box.mails if mail["To"] == to)


@pytest.mark.xdist_group("faults")
def test_every_kind_of_trouble_and_its_end_arrive_by_mail_and_webhook(
    site: Site, box: Mailbox, webhook: Server
) -> None:
    acme = break_everything(site)
    make_channel(email="oncall@example.com")
    quiet = make_channel(email="day@example.com", quiet_start="00:00", quiet_end="23:59:59")
    make_webhook_channel(url=f"http://127.0.0.1:{webhook.port}/hook", install=acme)
    make_webhook_channel(url=f"http://127.0.0.1:{webhook.port}/other", install=make_install(name="Beta Data"))
    box.refuse = "451 Come back later"
    site.start_worker()
    await_("everything at the webhook", lambda: kinds_in(webhook, event="opened") == EVERYTHING)
    first = webhook.requests[0]
    verified = verify(
        headers=first.values("X-Redeliver-Signature"), secret=SECRET, body=first.body, now=int(time.time()),
        other_secrets=[],
    )  # fmt: skip
    assert verified.verdict is Verdict.VERIFIED
    waiting = AlertDelivery.objects.filter(channel__email="oncall@example.com", state="waiting", attempts__gte=1)
    await_("a mail that is to be tried again", waiting.exists)
    session = signed_in(make_user(role="support"))
    assert "451 Come back later" in site.read("/alerts/", session=session)

    box.refuse = ""
    AlertDelivery.objects.filter(state="waiting").update(next_attempt_at=timezone.now())
    await_("the mails", lambda: all(kind.label in text_of(box, to="oncall@example.com") for kind in AlertKind))
    assert text_of(box, to="day@example.com") == ""

    Endpoint.objects.update(status="ACTIVE", consecutive_failures=0, deleted_at=timezone.now())
    Install.objects.update(last_error_code="", last_error="")
    ReceiverReport.objects.filter(name="elsewhere-a").delete()
    await_("the all-clear at the webhook", lambda: kinds_in(webhook, event="cleared") >= EVERYTHING - {"signatures"})
    await_("the all-clear by mail", lambda: "It lasted" in text_of(box, to="oncall@example.com"))
    AlertChannel.objects.filter(pk=quiet.pk).update(quiet_start=None, quiet_end=None)
    await_("the summary", lambda: "Held back during quiet hours." in text_of(box, to="day@example.com"))
    assert {request.target for request in webhook.requests} == {"/hook"}


@pytest.mark.xdist_group("faults")
def test_test_button_of_a_running_site_sends_a_mail_and_says_so(site: Site, box: Mailbox) -> None:
    channel = make_channel(email="oncall@example.com")
    session = signed_in(make_user(role="support"))
    path = f"/alerts/channels/{channel.pk}/"
    assert "Accepted by the mail server." in press(site, path, f"{path}test/", session=session)
    (mail,) = box.mails
    assert mail["To"] == "oncall@example.com"


def signed_in(user: User) -> str:
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


def press(site: Site, page: str, action: str, *, session: str) -> str:
    """Press a button as a browser without JavaScript does; return the resulting page."""
    given = {"Cookie": f"sessionid={session}"}
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE_S)) as console:
        console.request("GET", page, headers=given)
        shown = console.getresponse()
        cookies = [one.partition(";")[0] for one in shown.headers.get_all("Set-Cookie", [])]
        form = shown.read().decode().partition(f'action="{action}"')[2].partition("</form>")[0]
        fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))
        sent = "; ".join([f"sessionid={session}", *cookies])
        given |= {"Cookie": sent, "Content-Type": "application/x-www-form-urlencoded"}
        console.request("POST", action, urlencode(fields), given)
        answered = console.getresponse()
        answered.read()
    assert answered.status == 302
    return site.read(str(answered.getheader("Location")).partition("#")[0], session=session)
