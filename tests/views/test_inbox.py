"""The first page after sign-in: what needs attention, worst first."""

import re
from datetime import datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.models import AuditEntry, Endpoint, EndpointSnapshot, Install, Silence, User
from dashboard.presenters.runs import run_row
from dashboard.rules.installs import Trouble
from dashboard.templatetags.redeliver import clock
from dashboard.views.install_list import CONNECT
from tests.contract.fake import FakeOpenTrain
from tests.factories import (
    make_alert,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_install,
    make_run,
)
from tests.views.conftest import Browser, browser_of

INBOX = reverse("home")
LIST = reverse("install-list")
HOSTILE = "<img src=x onerror=alert(1)>\"'"
MINUTE = timedelta(minutes=1)


def needs(page: str) -> list[str]:
    """Return the page's items in order: the text of each, with single spaces."""
    items = re.findall(r'<li id="(?:install-)?need-.*?</li>', page.replace("<wbr>", ""), re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", item).split()) for item in items]


def fail_one(endpoint: Endpoint, *, at: datetime, **columns) -> None:
    delivery = make_failed_delivery(endpoint=endpoint, first_received_at=at, last_attempt_at=at, **columns)
    make_attempt(delivery=delivery, ok=False, cause="status", answered_status=503, received_at=at)


def test_inbox_without_installs_asks_for_a_token(ana: Browser) -> None:
    assert "No installs yet" in ana.read(INBOX)


@pytest.mark.usefixtures("_worker")
def test_inbox_where_nothing_is_wrong_says_so_with_the_numbers(ana: Browser) -> None:
    install = make_install(checked_at=timezone.now())
    for _ in range(3):
        make_endpoint(install=install)
    page = ana.read(INBOX)
    assert "<h1>All clear</h1>" in page
    assert "All 3 endpoints are healthy." in page
    assert "No problem" not in page  # its records begin somewhere, and do not hold everything
    assert needs(page) == []


@pytest.mark.usefixtures("_worker")
def test_inbox_where_nothing_is_wrong_tells_of_the_last_repair(ana: Browser) -> None:
    now = timezone.now()
    endpoint = make_endpoint(install=make_install(name="Acme Labs"))
    for days, failures in ((5, 0), (4, 8), (2, 0), (1, 0)):
        at = now - timedelta(days=days)
        EndpointSnapshot.objects.create(endpoint=endpoint, at=at, status="ACTIVE", consecutive_failures=failures)
    page = ana.read(INBOX)
    assert "The endpoint is healthy." in page
    assert re.search(r"<bdi>Acme Labs</bdi></a>, resolved <time [^>]*>2 days ago</time>", page)


@pytest.mark.usefixtures("_worker")
def test_inbox_lists_what_only_an_alert_knows_and_is_not_all_clear(ana: Browser) -> None:
    """OpenTrain counts no failure yet, and a refused request is no failed delivery."""
    endpoint = make_endpoint(install=make_install(name="Acme Labs"))
    words = "Redeliver refused 3 requests in 15 minutes, the first at 09:58 UTC: The signature does not match."
    make_alert(endpoint=endpoint, kind="signatures", words=words, opened_at=timezone.now())
    page = ana.read(INBOX)
    assert "<h1>1 endpoint needs attention</h1>" in page
    assert "healthy" not in needs(page)[0]
    (need,) = needs(page)
    assert need.startswith("Signatures refused since")
    assert words in need
    assert "0 endpoints healthy" in page


def test_inbox_shows_the_words_of_every_open_alert_of_an_endpoint(ana: Browser) -> None:
    endpoint = make_endpoint(consecutive_failures=8)
    for kind in ("signatures", "overdue", "at_risk"):
        make_alert(endpoint=endpoint, kind=kind, words=f"Words of {kind}.", opened_at=timezone.now())
    (need,) = needs(ana.read(INBOX))
    assert need.startswith("At risk")
    assert "Words of signatures. Words of overdue." in need
    assert "Words of at_risk." not in need  # the row says it itself, and sooner


@pytest.mark.usefixtures("_worker")
def test_inbox_is_not_all_clear_while_an_alert_is_open_that_it_lists_nowhere(ana: Browser, partner_admin: User) -> None:
    """The install works again, and the watch has not closed its alert yet."""
    install = make_install(name="Other Data", checked_at=timezone.now())
    make_alert(install=install, kind="no_access", opened_at=timezone.now())
    page = ana.read(INBOX)
    assert "<h1>1 open alert</h1>" in page
    assert "1 alert is still open." in page
    assert needs(page) == []
    assert "<h1>All clear</h1>" in browser_of(partner_admin).read(INBOX)


@pytest.mark.usefixtures("_worker")
def test_inbox_tells_of_the_alert_that_was_resolved_last(ana: Browser) -> None:
    endpoint = make_endpoint(install=make_install(name="Acme Labs"))
    opened, cleared = timezone.now() - timedelta(hours=3), timezone.now() - timedelta(hours=2)
    make_alert(endpoint=endpoint, kind="signatures", opened_at=opened, cleared_at=cleared)
    assert re.search(r"<bdi>Acme Labs</bdi></a>, resolved <time [^>]*>2 h ago</time>", ana.read(INBOX))


def test_inbox_without_a_worker_reassures_nobody(ana: Browser) -> None:
    make_endpoint(install=make_install(checked_at=timezone.now()))
    page = ana.read(INBOX)
    assert "<h1>All clear, as far as is known</h1>" in page
    assert "the background worker is not running" in page
    assert "The endpoint is healthy." not in page


@pytest.mark.usefixtures("_worker")
def test_inbox_where_nothing_is_known_claims_nothing(ana: Browser) -> None:
    install = make_install(last_error="No answer.", last_error_code=Trouble.UNREACHABLE, failures=1)
    make_endpoint(install=install)
    page = ana.read(INBOX)
    assert "— endpoints healthy" in page
    assert "The status of 1 endpoint is unknown." in page
    assert "OpenTrain didn't respond for 1 install" in page
    assert "are healthy" not in page


def test_inbox_shows_the_worst_first(ana: Browser) -> None:
    now = timezone.now()
    install = make_install(name="Acme Labs")
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
    assert [re.search(r"https://(\w+)", item)[1] for item in needs(page)] == ["off", "risk", "failing", "left"]
    assert [item.split(" ")[0] for item in needs(page)] == ["Disabled", "At", "Failing", "Failed"]
    assert re.match(r"Disabled since \d\d:\d\d UTC( on \d+ \w+)?, 5 h ago https://off", needs(page)[0])
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
    shown = [re.search(r"https://(\w+)|(beta|gamma)", item)[0].removeprefix("https://") for item in needs(page)]
    assert shown == ["off", "quiet", "risk", "failing", "unsure", "beta", "gamma", "paused", "left", "silent"]
    assert page.count('<ul class="inbox">') == 1
    assert "<h1>8 endpoints and 2 installs need attention</h1>" in page


def test_inbox_says_why_how_much_and_since_when(ana: Browser) -> None:
    now = timezone.now()
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=10, disabled_at=now, disabled_reason="10 in a row")
    for minutes in (30, 20, 10):
        fail_one(endpoint, at=now - minutes * MINUTE)
    fail_one(endpoint, at=now - 5 * MINUTE, last_cause="timeout", last_status=504)
    [item] = needs(ana.read(INBOX))
    since = clock(now - 30 * MINUTE, now)
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


def test_inbox_shows_silence_until_a_delivery_comes(ana: Browser) -> None:
    now = timezone.now()
    endpoint, last_at = make_endpoint(), now - timedelta(days=3)
    make_delivery(endpoint=endpoint, first_received_at=last_at, last_attempt_at=last_at)
    Silence.objects.create(endpoint=endpoint, last_at=last_at, rhythm="days", noticed_at=now)
    [item] = needs(ana.read(INBOX))
    assert item.startswith(f"Silent since {last_at:%H:%M} UTC on {last_at.day} {last_at:%B}, 3 days ago")
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
    assert re.search(r"^Token refused since \d\d:\d\d UTC( on \d+ \w+)?, 19 min ago", items[-1])


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


@pytest.mark.usefixtures("_worker")
def test_inbox_goes_on_showing_a_run_whose_endpoint_is_well_by_now(ana: Browser, outsider: User) -> None:
    run = make_run(state="running", ended_at=None, counts={"delivered": 3, "requested": 2}, created_at=timezone.now())
    make_run(endpoint=make_endpoint())
    page = ana.read(INBOX)
    assert "<h1>All clear</h1>" in page
    assert re.findall(r'<li id="under-way-(\d+)"', page) == [str(run.pk)]
    assert f'href="{reverse("run-detail", args=[run.pk])}"' in page
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "Running started just now" in text
    assert f"Recovery by ana: {run_row(run).tally.words}. Follow it" in text
    assert "under-way-" not in browser_of(outsider).read(INBOX)


def test_inbox_shows_a_partner_admin_their_installs_alone(partner_admin: User, acme: Install) -> None:
    make_endpoint(install=acme, consecutive_failures=8, handler_url="https://acme.example.com/")
    other = make_install(name="Other Data", last_error="refused", last_error_code=Trouble.TOKEN_REFUSED)
    make_endpoint(install=other, consecutive_failures=8, handler_url="https://other.example.com/")
    for path in (INBOX, reverse("inbox-live"), LIST):
        page = browser_of(partner_admin).read(path)
        assert "Acme Labs" in page
        assert "other" not in page.lower().replace("others", "").replace("another", "")


def test_inbox_says_how_many_it_does_not_show(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.inbox.SHOWN", 2)
    for _ in range(3):
        make_endpoint(consecutive_failures=8)
    page = ana.read(INBOX)
    assert len(needs(page)) == 2
    assert "Showing the worst 2 of 3." in page


def test_inbox_counts_installs_among_what_it_does_not_show(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.views.inbox.SHOWN", 2)
    make_install(last_error_code=Trouble.TOKEN_REFUSED)
    for failures in (0, 8, 8):
        make_endpoint(consecutive_failures=failures)
    page = ana.read(INBOX)
    assert [item.split(" since")[0].split(" 8 of")[0] for item in needs(page)] == ["At risk", "At risk"]
    assert "Showing the worst 2 of 3." in page


def test_inbox_shows_hostile_words_and_does_not_obey_them(ana: Browser) -> None:
    install = make_install(name=HOSTILE, last_error=HOSTILE, last_error_code=Trouble.TOKEN_REFUSED)
    endpoint = make_endpoint(
        install=install, url=HOSTILE, handler_url=HOSTILE, status=HOSTILE[:50], disabled_reason=HOSTILE
    )
    fail_one(endpoint, at=timezone.now(), last_cause=HOSTILE[:30])
    page = ana.read(INBOX)
    assert "<img" not in page
    assert page.count("&lt;img src=x") >= 4


def test_inbox_asks_the_database_no_more_for_more(ana: Browser, django_assert_max_num_queries) -> None:
    now = timezone.now()
    for number in range(12):
        install = make_install(**({"last_error_code": Trouble.TOKEN_REFUSED} if number % 2 else {}))
        fail_one(make_endpoint(install=install, consecutive_failures=number), at=now)
    with django_assert_max_num_queries(8):  # two of them load the session and the user
        ana.read(INBOX)


def test_inbox_live_part_is_only_the_part_and_304_when_nothing_changed(ana: Browser) -> None:
    endpoint = make_endpoint(consecutive_failures=8)
    live = reverse("inbox-live")
    first = ana.client.get(live)
    assert "<html" not in first.content.decode()
    again = ana.client.get(live, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    Endpoint.objects.filter(pk=endpoint.pk).update(consecutive_failures=9)
    changed = ana.client.get(live, headers={"If-None-Match": first["ETag"]})
    assert "9 of 10" in changed.content.decode()


def test_inbox_where_everything_is_unknown_shows_no_sign_that_all_is_well(ana: Browser) -> None:
    make_endpoint(install=make_install(last_error="No answer.", last_error_code=Trouble.UNREACHABLE, failures=1))
    page = ana.read(INBOX)
    assert "<h1>All clear, as far as is known</h1>" in page
    assert "#circle-check" not in page
    assert "as of —" not in page
    assert "no response since" in page


def test_inbox_says_when_the_token_came_that_lacks_the_scope(ana: Browser, fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install(scopes=["contracts:read"])
    make_install(name="Never connected here", token_scopes=["contracts:read"])
    for name in ("Acme", "Acme Labs"):  # the second time replaces the token
        ana.client.post(reverse("install-connect"), {"token": token.reveal(), "name": name})
    [entry] = AuditEntry.objects.filter(phase="done").order_by("-id")[:1]
    assert entry.action == CONNECT
    without, with_date = sorted(needs(ana.read(INBOX)))
    assert without.startswith("Missing scope Never connected here")
    assert with_date.startswith(f"Missing scope token connected {clock(entry.at, timezone.now())}, ")
    assert "Acme Labs" in with_date


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Gamma", "Alpha"]),
        ("?sort=name", ["Alpha", "Beta"]),
        ("?sort=-name", ["Gamma", "Beta"]),
        ("?sort=checked", ["Beta", "Gamma"]),
        ("?q=BET", ["Beta"]),
        ("?q=a&sort=name&page=2&show=unheard", ["Alpha", "Beta"]),
    ],
)
def test_inbox_searches_and_sorts_the_installs_beside_it(
    query: str, names: list[str], ana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.views.inbox.FLEET", 2)
    now = timezone.now()
    for minutes, name in ((1, "Alpha"), (3, "Beta"), (2, "Gamma")):
        install = make_install(name=name, checked_at=now - minutes * MINUTE)
        make_endpoint(install=install, consecutive_failures=8 if name == "Gamma" else 0)
    for path in (INBOX, reverse("inbox-live")):
        page = ana.read(path + query)
        assert re.findall(r'<tr id="fleet-.*?<bdi>(\w+)', page, re.DOTALL) == names
        assert '<h2><a class="url"' in page  # endpoints that need attention stay, whatever the search


def test_inbox_keeps_what_its_installs_were_asked_for(ana: Browser) -> None:
    for name in ("Alpha", "Beta"):
        make_install(name=name)
    page = ana.read(f"{INBOX}?q=alp&sort=name")
    assert 'hx-get="/inbox/live/?q=alp&amp;sort=name"' in page
    assert '<a href="/?q=alp&amp;sort=-name#fleet">Install ↑</a>' in page
    assert '<a class="btn" href="/installs/?q=alp&amp;sort=name">' in page
    assert 'action="/#fleet"' in page
    page = ana.read(f"{INBOX}?q=nosuch")
    assert "No installs match “nosuch”." in page
    assert '<a href="/#fleet">Show all 2</a>' in page
