"""What the inbox lists as needing attention, in which order and words, and with which buttons."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import AuditEntry, Endpoint, Install, Silence, User
from dashboard.presenters.runs import run_row
from dashboard.rules.installs import Trouble
from dashboard.templatetags.redeliver import clock
from dashboard.views import inbox
from dashboard.views.install_list import CONNECT
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    make_alert,
    make_delivery,
    make_endpoint,
    make_install,
    make_run,
)
from tests.views.conftest import A_TIME, Browser, browser_of, stop_clock
from tests.views.test_endpoints import words_of
from tests.views.test_inbox import INBOX, MINUTE, fail_one, needs


def test_inbox_shows_the_worst_first(ana: Browser) -> None:
    now = timezone.now()
    install = make_install(name="Acme Labs", checked_at=now)
    make_endpoint(install=install, handler_url="https://fine.example.com/")
    make_endpoint(install=install, handler_url="https://paused.example.com/", status="DISABLED", consecutive_failures=2)
    make_endpoint(install=install, handler_url="https://failing.example.com/", consecutive_failures=2)
    make_endpoint(install=install, handler_url="https://risk.example.com/", consecutive_failures=8)
    make_endpoint(install=install, handler_url="https://gone.example.com/", consecutive_failures=8, deleted_at=now)
    make_endpoint(
        install=install,
        handler_url="https://off.example.com/",
        status="DISABLED",
        consecutive_failures=10,
        disabled_at=now - timedelta(hours=5),
    )
    left = make_endpoint(install=install, handler_url="https://left.example.com/")
    fail_one(left, at=now - MINUTE)
    page = ana.read(INBOX)
    assert [re.search(r"(\w+)\.example\.com", item)[1] for item in needs(page)] == ["off", "risk", "failing", "left"]
    assert [item.split(" ")[0] for item in needs(page)] == ["Disabled", "At", "Failing", "Failed"]
    assert re.match(rf"Disabled since {A_TIME}, 5 h ago off\.example", needs(page)[0])
    assert "8 of 10" in needs(page)[1]
    assert "<h1>4 endpoints need attention</h1>" in page
    assert "1 endpoint healthy" in page


def test_inbox_puts_installs_into_the_same_list_at_their_place(ana: Browser) -> None:
    now, last_at = timezone.now(), timezone.now() - timedelta(days=3)
    acme = make_install(name="Acme Labs")
    columns = {
        "silent": {},
        "left": {},
        "paused": {"status": "DISABLED"},
        "quiet": {"status": "DISABLED", "consecutive_failures": 12, "disabled_at": now - timedelta(hours=9)},
        "off": {"status": "DISABLED", "consecutive_failures": 10, "disabled_at": now - timedelta(hours=5)},
        "unsure": {"status": "NEW"},
        "failing": {"consecutive_failures": 3},
        "risk": {"consecutive_failures": 8},
    }
    made = {
        name: make_endpoint(install=acme, handler_url=f"https://{name}.example.com/", **given)
        for name, given in columns.items()
    }
    for name in ("left", "paused", "off"):
        fail_one(made[name], at=now - MINUTE)
    make_delivery(endpoint=made["silent"], first_received_at=last_at, last_attempt_at=last_at)
    Silence.objects.create(endpoint=made["silent"], last_at=last_at, rhythm="days", noticed_at=now)
    make_install(name="gamma", last_error_code=Trouble.TOKEN_REFUSED, trouble_since=now - MINUTE)
    make_install(name="beta", status="SUSPENDED", trouble_since=now - timedelta(hours=1))
    page = ana.read(INBOX)
    shown = [re.search(r"\w+(?=\.example\.com)|beta|gamma", item)[0] for item in needs(page)]
    assert shown == ["off", "quiet", "risk", "failing", "unsure", "beta", "gamma", "paused", "left", "silent"]
    assert page.count('<ul class="inbox">') == 1
    assert "<h1>8 endpoints and 2 installs need attention</h1>" in page


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "23:29 UTC"),
        (datetime(2027, 1, 1, 0, 0, tzinfo=UTC), "23:30 UTC on 31 December 2026"),
    ],
)
def test_inbox_says_why_how_much_and_since_when(
    ana: Browser, monkeypatch: pytest.MonkeyPatch, now: datetime, since: str
) -> None:
    stop_clock(monkeypatch, inbox, at=now)
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=10, disabled_at=now, disabled_reason="10 in a row")
    for minutes in (30, 20, 10):
        fail_one(endpoint, at=now - minutes * MINUTE)
    fail_one(endpoint, at=now - 5 * MINUTE, last_cause="timeout", last_status=504)
    [item] = needs(ana.read(INBOX))
    assert f"4 deliveries failed: handler returned 503, since {since}, and 1 other cause." in item
    assert "OpenTrain counts 10 failures, 4 reached Redeliver: 6 missing." in item
    assert "OpenTrain: 10 in a row" in item
    assert item.endswith("Recover… Open")


@pytest.mark.parametrize(
    ("minutes_ago", "attempts", "said"),
    [(1, 2, "next attempt in about 3 min"), (6, 2, "next attempt with the next delivery run"),
     (60, 2, "next attempt overdue"), (1, 5, "")],
)  # fmt: skip
def test_inbox_says_when_the_next_attempt_is_due(ana: Browser, minutes_ago: int, attempts: int, said: str) -> None:
    endpoint = make_endpoint(consecutive_failures=8)
    fail_one(endpoint, at=timezone.now() - minutes_ago * MINUTE, attempt_count=attempts, attempts_in_round=attempts)
    [item] = needs(ana.read(INBOX))
    assert bool(re.search(said, item)) is True
    assert ("next attempt" in item) is bool(said)


def test_inbox_tells_of_no_next_attempt_where_nothing_is_attempted(ana: Browser) -> None:
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=10)
    fail_one(endpoint, at=timezone.now(), attempt_count=2, attempts_in_round=2)
    [item] = needs(ana.read(INBOX))
    assert "next attempt" not in item


def test_inbox_counts_as_reached_only_what_failed_since_the_last_success(ana: Browser) -> None:
    now = timezone.now()
    endpoint = make_endpoint(consecutive_failures=2)
    fail_one(endpoint, at=now - 30 * MINUTE)
    make_delivery(endpoint=endpoint, first_received_at=now - 20 * MINUTE, last_attempt_at=now - 20 * MINUTE)
    fail_one(endpoint, at=now - 10 * MINUTE)
    [item] = needs(ana.read(INBOX))
    assert "OpenTrain counts 2 failures, 1 reached Redeliver: 1 missing." in item


def test_inbox_claims_no_difference_for_deliveries_that_do_not_come_by(ana: Browser) -> None:
    make_endpoint(consecutive_failures=8, receiver_key=None, secret=None)
    [item] = needs(ana.read(INBOX))
    assert "missing" not in item
    assert "Its deliveries don&#x27;t pass through Redeliver" in item


def test_inbox_says_what_the_handler_of_an_observed_endpoint_did_not_report(ana: Browser) -> None:
    endpoint = make_endpoint(consecutive_failures=8, receiver_key=None, secret=None, observation_key_sha256="0" * 64)
    fail_one(endpoint, at=timezone.now() - MINUTE)
    [item] = needs(ana.read(INBOX))
    assert "OpenTrain counts 8 failures, the handler reported 1: 7 missing." in item
    assert "reached Redeliver" not in item


def test_inbox_leaves_out_failed_deliveries_of_long_ago(ana: Browser) -> None:
    endpoint = make_endpoint()
    fail_one(endpoint, at=timezone.now() - timedelta(days=8))
    assert needs(ana.read(INBOX)) == []


@pytest.mark.parametrize(
    ("now", "since"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), "23:59 UTC on 28 December"),
        (datetime(2027, 1, 1, 0, 0, tzinfo=UTC), "00:00 UTC on 29 December 2026"),
    ],
)
def test_inbox_shows_silence_until_a_delivery_comes(
    ana: Browser, monkeypatch: pytest.MonkeyPatch, now: datetime, since: str
) -> None:
    stop_clock(monkeypatch, inbox, at=now)
    endpoint, last_at = make_endpoint(), now - timedelta(days=3)
    make_delivery(endpoint=endpoint, first_received_at=last_at, last_attempt_at=last_at)
    Silence.objects.create(endpoint=endpoint, last_at=last_at, rhythm="days", noticed_at=now)
    [item] = needs(ana.read(INBOX))
    assert item.startswith(f"Silent since {since}, 3 days ago")
    assert "Deliveries came every day for 7 days, but none in the last 3 days." in item
    make_delivery(endpoint=endpoint, first_received_at=now, last_attempt_at=now)
    assert needs(ana.read(INBOX)) == []


@pytest.mark.parametrize(
    ("columns", "label", "words", "replace"),
    [
        (
            {"last_error": "OpenTrain refused: “revoked”.", "last_error_code": Trouble.TOKEN_REFUSED},
            "Token refused",
            "OpenTrain refused: “revoked”.",
            True,
        ),
        ({"token_scopes": ["contracts:read"]}, "Missing scope", "This token lacks webhooks:manage", True),
        ({"status": "SUSPENDED"}, "Not active", "is SUSPENDED: no events are sent", False),
        (
            {"last_error": "OpenTrain refused.", "last_error_code": Trouble.NOT_ACTIVE},
            "Not active",
            "is not active: no events are sent",
            False,
        ),
    ],
)
def test_inbox_shows_an_install_that_opentrain_does_not_answer_for(ana, columns, label, words, replace) -> None:
    make_install(name="Gamma", **columns)
    page = ana.read(INBOX)
    [item] = needs(page)
    assert (label in item, words in item, "Replace token…" in item) == (True, True, replace)
    assert ("Ask the customer whether this is intended" in item) is (label == "Not active")
    assert "None of its endpoints are known." in item
    assert "<h1>1 install needs attention</h1>" in page


@pytest.mark.parametrize(
    ("streaks", "said"),
    [
        ((0,), "Affects 1 endpoint, last seen 20 min ago : it was not disabled or failing then."),
        ((8,), "Affects 1 endpoint, last seen 20 min ago : it needed attention then."),
        ((0, 0), "Affects 2 endpoints, last seen 20 min ago : none of them was disabled or failing then."),
        ((0, 8), "Affects 2 endpoints, last seen 20 min ago : 1 of them needed attention then."),
    ],
)
def test_inbox_says_what_a_refused_token_concerns(ana: Browser, streaks: tuple[int, ...], said: str) -> None:
    now = timezone.now()
    seen = {"checked_at": now - 20 * MINUTE, "trouble_since": now - 19 * MINUTE}
    install = make_install(last_error="Refused.", last_error_code=Trouble.TOKEN_REFUSED, **seen)
    for failures in streaks:
        make_endpoint(install=install, consecutive_failures=failures, snapshot_at=now - 20 * MINUTE)
    items = needs(ana.read(INBOX))
    assert said in items[-1]
    assert re.search(rf"^Token refused since {A_TIME}, 19 min ago", items[-1])


def test_inbox_offers_a_new_token_first_where_nothing_else_can_help(ana: Browser) -> None:
    now = timezone.now()
    install = make_install(last_error="Refused.", last_error_code=Trouble.TOKEN_REFUSED)
    columns = {"status": "DISABLED", "consecutive_failures": 10, "snapshot_at": now - 20 * MINUTE}
    fail_one(make_endpoint(install=install, **columns), at=now)
    endpoint, of_install = needs(ana.read(INBOX))
    assert (
        "OpenTrain does not answer for its install (token refused), so you can't act on this endpoint until it does. "
        "The data is from 20 min ago ." in endpoint
    )
    assert endpoint.endswith("Replace token… Open")
    assert of_install.endswith("Replace token… Open")


def test_inbox_button_answers_and_the_item_goes(
    ana: Browser, disabled: Endpoint, fake_opentrain: FakeOpenTrain
) -> None:
    disabled.deliveries.all().delete()
    operation = re.search(r'name="operation" value="([^"]+)"', ana.read(INBOX))[1]
    answer = ana.press(reverse("endpoint-enable", args=[disabled.pk]), operation=operation)
    assert "Re-enabled. OpenTrain sends to this endpoint again" in answer
    assert needs(ana.read(reverse("inbox-live"))) == []


def test_inbox_offers_to_redeliver_what_failed_on_an_endpoint_that_is_well(ana: Browser) -> None:
    fail_one(make_endpoint(), at=timezone.now())
    [item] = needs(ana.read(INBOX))
    assert item.startswith("Failed deliveries")
    assert item.endswith("Redeliver all failed Open")


@pytest.mark.parametrize(("state", "label"), [("running", "Running"), ("paused", "Paused")])
def test_inbox_goes_on_showing_the_run_that_is_under_way(ana: Browser, state: str, label: str) -> None:
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=10)
    fail_one(endpoint, at=timezone.now())
    make_run(endpoint=endpoint)
    run = make_run(endpoint=endpoint, state=state, ended_at=None, counts={"delivered": 3, "waiting": 1})
    page = ana.read(INBOX)
    [item] = needs(page)
    assert f"{label} Recovery by ana : {run_row(run).tally.words}." in item
    assert item.endswith("Follow it Open")
    assert page.count(reverse("run-detail", args=[run.pk])) == 2


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"why": "The handler returned 503 to HEAD. Nothing changed. Repair the handler, then start again."},
            "ana tried 3 min ago : the handler returned 503 to HEAD.",
        ),
        ({"why": "Stopped by zoe.", "by_person": True}, "ana's recovery ended 3 min ago : stopped by zoe."),
        (
            {"why": "OpenTrain refused it.", "kind": "bulk"},
            "ana's redelivery stopped 3 min ago : OpenTrain refused it.",
        ),
    ],
)
def test_inbox_says_that_the_last_run_stopped_and_why(ana: Browser, columns: dict[str, Any], said: str) -> None:
    now = timezone.now()
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=10)
    make_run(endpoint=endpoint, why="Done: 3 of 3.", created_at=now - 9 * MINUTE, ended_at=now - 8 * MINUTE)
    columns = {"state": "stopped", "step": "probe", "created_at": now - 4 * MINUTE} | columns
    run = make_run(endpoint=endpoint, ended_at=now - 3 * MINUTE, **columns)
    page = ana.read(INBOX)
    [item] = needs(page)
    assert said in unescape(item)
    assert page.count(f'href="{reverse("run-detail", args=[run.pk])}"') == 1
    make_run(endpoint=endpoint, created_at=now - MINUTE, ended_at=now)
    assert "3 min ago" not in needs(ana.read(INBOX))[0]


def test_partner_reads_of_their_own_handler_wherever_support_reads_of_the_handler(
    ana: Browser, partner_admin: User, acme: Install
) -> None:
    now, why = (
        timezone.now(),
        "The handler returned 503 to HEAD. Nothing changed. Repair the handler, then start again.",
    )
    columns = {"receiver_key": None, "observation_key_sha256": "0" * 64, "observation_key_at": now}
    endpoint = make_endpoint(install=acme, status="ACTIVE", consecutive_failures=3, **columns)
    run = make_run(endpoint=endpoint, state="stopped", step="probe", why=why, ended_at=now - 3 * MINUTE)
    run.steps.create(name="probe", began_at=now - 4 * MINUTE, ended_at=now - 3 * MINUTE, words=why)
    make_alert(endpoint=endpoint, kind="canary_failed", words=f"Failed again. {why}", opened_at=now)
    make_alert(endpoint=endpoint, words=why, cleared_at=now, cleared_words="1 missing: the handler never took it.")
    fail_one(endpoint, at=now, last_cause="timeout", last_status=504)
    paul, page = browser_of(partner_admin), reverse("endpoint-detail", args=[endpoint.pk])
    for path in (INBOX, page, reverse("run-detail", args=[run.pk]), reverse("run-list"), reverse("alert-list")):
        said = [words_of(one.read(path)).partition("Sign out")[2] for one in (ana, paul)]
        assert re.search("the handler", said[0], re.IGNORECASE), path
        assert re.search("your handler", said[1], re.IGNORECASE), path
        assert re.findall(".{30}the handler.{30}", said[1], re.IGNORECASE) == [], path


def test_inbox_says_once_that_a_recovery_failed_at_its_first_delivery(ana: Browser) -> None:
    now, why = timezone.now(), "The first delivery failed again: the handler returned 503. The endpoint is active."
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=10)
    make_alert(endpoint=endpoint, install=endpoint.install, kind="canary_failed", words=why)
    make_run(endpoint=endpoint, state="stopped", step="canary", why=why, created_at=now, ended_at=now - 3 * MINUTE)
    [item] = needs(ana.read(INBOX))
    assert "ana tried 3 min ago : the first delivery failed again: the handler returned 503." in item
    assert item.count("failed again") == 1


@pytest.mark.usefixtures("_worker")
def test_inbox_goes_on_showing_a_run_whose_endpoint_is_well_by_now(ana: Browser, outsider: User) -> None:
    run = make_run(state="running", ended_at=None, counts={"delivered": 3, "requested": 2}, created_at=timezone.now())
    make_run(endpoint=make_endpoint())
    page = ana.read(INBOX)
    assert "<h1>All clear, as far as is known</h1>" in page
    assert re.findall(r'<li id="under-way-(\d+)"', page) == [str(run.pk)]
    assert f'href="{reverse("run-detail", args=[run.pk])}"' in page
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "Running started just now" in text
    assert f"Recovery by ana: {run_row(run).tally.words}. Follow it" in text
    assert "under-way-" not in browser_of(outsider).read(INBOX)


def test_inbox_says_when_the_token_came_that_lacks_the_scope(
    ana: Browser, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = fake_opentrain.add_install(scopes=["contracts:read"])
    make_install(name="Never connected here", token_scopes=["contracts:read"])
    for name in ("Acme", "Acme Labs"):  # the second time replaces the token
        ana.client.post(reverse("install-connect"), {"token": token.reveal(), "name": name})
    [entry] = AuditEntry.objects.filter(phase="done").order_by("-id")[:1]
    assert entry.action == CONNECT
    now = entry.at + timedelta(hours=3)
    stop_clock(monkeypatch, inbox, at=now)
    without, with_date = sorted(needs(ana.read(INBOX)))
    assert without.startswith("Missing scope Never connected here")
    assert with_date.startswith(f"Missing scope token connected {clock(entry.at, now)}, 3 h ago")
    assert "Acme Labs" in with_date
