"""The pages of alerts and channels: their text, the secrets that they never show, and protection from accidents."""

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from dashboard.actions.alerts import watch
from dashboard.models import Alert, AlertChannel, AlertDelivery, Endpoint, Install, ReceiverReport, User
from dashboard.views import alerts
from tests.factories import make_alert, make_channel, make_endpoint, make_install
from tests.views.conftest import Browser, browser_of, stop_clock
from tests.views.test_endpoints import HOSTILE, words_of

pytestmark = pytest.mark.django_db
LIST, CHANNELS, NEW = "/alerts/", "/alerts/channels/", "/alerts/channels/new/"


@pytest.fixture
def paul(partner_admin: User) -> Browser:
    return browser_of(partner_admin)


def make_disabled(install: Install) -> Endpoint:
    return make_endpoint(
        install=install, status="DISABLED", consecutive_failures=10, handler_url="https://acme.example.com/hook"
    )


def page_of(channel: AlertChannel) -> str:
    return reverse("alert-channel-edit", args=[channel.pk])


# --- Alerts ----------------------------------------------------------------------------------------------------------


def test_list_without_anything_says_what_to_do_next(ana: Browser) -> None:
    text = words_of(ana.read(LIST))
    assert "No open alert" in text
    assert "Nobody is notified of alerts yet. Add a channel" in text
    assert "No past alerts yet." in text
    assert NEW in ana.read(LIST)


def test_list_without_a_worker_does_not_reassure(ana: Browser) -> None:
    text = words_of(ana.read(LIST))
    assert "Redeliver is not looking for problems, and sends no alerts: the background worker is not running." in text
    assert "No alert was open when Redeliver last looked." in text


@pytest.mark.usefixtures("_worker")
def test_list_with_a_worker_says_that_no_alert_is_open(ana: Browser) -> None:
    text = words_of(ana.read(LIST))
    assert "No alert is open." in text
    assert "not running" not in text
    assert "when an endpoint's URL is changed elsewhere; or when the delivery log lags behind." in text


def test_list_shows_what_is_wrong_and_who_was_told(ana: Browser, acme: Install) -> None:
    endpoint = make_disabled(acme)
    make_channel(name="On-call")
    watch.watch(now=timezone.now())
    page = ana.read(LIST)
    text = words_of(page)
    assert "1 open alert" in text
    assert "OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped" in text
    assert "Being sent On-call" in text
    assert reverse("endpoint-detail", args=[endpoint.pk]) in page
    AlertDelivery.objects.update(state="sent", next_attempt_at=None, ended_at=timezone.now())
    assert "Sent On-call just now" in words_of(ana.read(LIST))


def test_list_says_what_was_given_up_and_why(ana: Browser) -> None:
    channel = make_channel(name="On-call")
    AlertDelivery.objects.create(
        channel=channel, channel_name="On-call", state="given_up", attempts=6, created_at=timezone.now(),
        ended_at=timezone.now(), words="The webhook answered 503.",
    )  # fmt: skip
    text = words_of(ana.read(LIST))
    assert "A message to On-call failed just now , after 6 attempts. The webhook answered 503." in text


def test_list_says_once_per_channel_how_many_were_given_up(ana: Browser) -> None:
    now = timezone.now()
    for name, count in (("On-call", 4), ("Billing", 1)):
        channel = make_channel(name=name)
        for number in range(count):
            AlertDelivery.objects.create(
                channel=channel, channel_name=name, state="given_up", attempts=6 - number,
                created_at=now, ended_at=now - timedelta(hours=number), words=f"Answered 50{number}.",
            )  # fmt: skip
    text = words_of(ana.read(LIST))
    assert "4 messages to On-call failed, the last just now , after 6 attempts. Answered 500." in text
    assert "A message to Billing failed just now , after 6 attempts. Answered 500." in text
    assert "Answered 501." not in text


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (datetime(2026, 12, 31, 0, 10, tzinfo=UTC), "00:21 UTC"),
        (datetime(2026, 12, 30, 23, 21, tzinfo=UTC), "00:21 UTC on 31 December"),
        (datetime(2026, 12, 31, 23, 21, tzinfo=UTC), "00:21 UTC on 1 January 2027"),
    ],
)
def test_list_says_until_when_something_is_held_back(
    ana: Browser, acme: Install, monkeypatch: pytest.MonkeyPatch, now: datetime, until: str
) -> None:
    stop_clock(monkeypatch, alerts, at=now)
    make_disabled(acme)
    make_channel(name="Quiet", quiet_start=time(22), quiet_end=time(0, 21))
    watch.watch(now=now)
    assert f"Held back until {until} Quiet" in words_of(ana.read(LIST))


def test_alert_that_is_over_says_how_long_it_lasted(ana: Browser, acme: Install) -> None:
    now = timezone.now()
    make_alert(
        endpoint=make_disabled(acme),
        opened_at=now - timedelta(minutes=20),
        cleared_at=now - timedelta(minutes=6),
        cleared_words="It is no longer disabled by OpenTrain.",
    )
    page = ana.read(LIST)
    text = words_of(page)
    assert '<span class="chip tone-idle">' in page
    assert "chip tone-ok" not in page
    assert "Resolved 20 min ago" in text
    assert "14 min until 6 min ago" in text
    assert "No notification: no channel is set up for this." in text
    assert "It is no longer disabled by OpenTrain." in text


@pytest.mark.parametrize(
    ("stored", "label"), [("deleted", "Endpoint deleted"), ("not_known", "Not known"), ("", "Not known")]
)
def test_alert_of_which_nothing_is_known_any_more_is_not_called_resolved(
    ana: Browser, acme: Install, stored: str, label: str
) -> None:
    now = timezone.now()
    make_alert(endpoint=make_disabled(acme), opened_at=now - timedelta(minutes=3), cleared_at=now, ended_as=stored)
    text = words_of(ana.read(LIST))
    assert f"{label} 3 min ago" in text
    assert "Resolved" not in text


def test_disconnecting_an_install_leaves_no_alert_that_is_called_resolved(ana: Browser, acme: Install) -> None:
    make_disabled(acme)
    watch.watch(now=timezone.now())
    Install.objects.update(disconnected_at=timezone.now(), disconnected_by_name="ana")
    watch.watch(now=timezone.now())
    Install.objects.update(disconnected_at=None, disconnected_by_name="")
    text = words_of(ana.read(LIST))
    assert "Disabled by OpenTrain Not known" in text
    assert "Resolved" not in text


def test_list_has_the_url_below_the_name_of_an_endpoint(ana: Browser, acme: Install) -> None:
    endpoint = make_disabled(acme)
    make_alert(endpoint=endpoint)
    address = '<code class="url url-below">acme.example.com/<wbr>hook</code>'
    assert address not in ana.read(LIST)
    Endpoint.objects.update(name="Billing")
    Alert.objects.update(endpoint_name="Billing")
    assert ana.read(LIST).count(address) == 1
    Alert.objects.update(cleared_at=timezone.now())
    assert ana.read(LIST).count(address) == 1


def test_alert_that_a_worse_one_followed_on_is_not_called_well(ana: Browser, acme: Install) -> None:
    now = timezone.now()
    columns = {"kind": "at_risk", "opened_at": now - timedelta(minutes=3), "cleared_at": now, "superseded": True}
    make_alert(endpoint=make_disabled(acme), **columns)
    page = ana.read(LIST)
    assert 'class="chip tone-risk"' in page
    assert 'class="chip tone-ok"' not in page
    assert "3 min then disabled" in words_of(page)


def test_list_of_a_partner_admin_has_their_installs_and_not_the_channels_of_all(paul: Browser, acme: Install) -> None:
    make_disabled(acme)
    make_disabled(make_install(name="Other Data"))
    make_channel(name="Support's own")
    make_channel(name="Acme's own", install=acme)
    watch.watch(now=timezone.now())
    for page in (paul.read(LIST), paul.read(CHANNELS), paul.read("/alerts/live/")):
        assert "Other Data" not in page
        assert "Support" not in words_of(page).replace("Support", "", page.count("menu-who"))
    assert "Acme&#x27;s own" in paul.read(LIST)
    assert "1 open alert" in paul.read(LIST)


def test_partner_admin_learns_that_support_is_notified_and_not_by_which_channel(
    paul: Browser, acme: Install, settings: Any
) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    make_disabled(acme)
    make_channel(name="Hush-hush")
    watch.watch(now=timezone.now())
    page = paul.read(LIST)
    assert "Support is notified of alerts for your installs. Nobody on your side is. Add a channel" in words_of(page)
    assert "No channel of this install is set up for this." in words_of(page)
    assert "Support is notified of alerts for your installs." in words_of(paul.read(CHANNELS))
    AlertDelivery.objects.update(state="sent", next_attempt_at=None, ended_at=timezone.now())
    page = paul.read(LIST)
    assert "Support was notified. No channel of this install is set up for this." in words_of(page)
    assert "Hush-hush" not in page


def test_viewer_learns_who_can_add_a_channel(viewer: User) -> None:
    text = words_of(browser_of(viewer).read(LIST))
    assert "Nobody is notified of alerts for your installs yet. A partner admin of the install or support can" in text


def test_alert_of_redeliver_itself_has_no_install_to_open(ana: Browser, paul: Browser) -> None:
    report = ReceiverReport.objects.create(name="<b>", held=7, heard_at=timezone.now())
    watch.watch(now=timezone.now())
    page = ana.read(LIST)
    assert "Receiver &lt;b&gt; holds 7 attempts that are not in the log yet." in page
    assert "<h2>Redeliver</h2>" in page
    assert "Receiver" not in words_of(paul.read(LIST))
    report.delete()
    watch.watch(now=timezone.now())
    assert "Every receiver reports, and none holds attempts that are not in the log." in words_of(ana.read(LIST))


def test_over_goes_on_with_older_ones(ana: Browser, acme: Install) -> None:
    endpoint, now = make_disabled(acme), timezone.now()
    for number in range(30):
        make_alert(endpoint=endpoint, words=f"Number {number}.", cleared_at=now)
    page = ana.read(LIST)
    assert "Number 5." in page
    assert "Number 4." not in page
    older = re.search(r'href="/alerts/(\?before=\d+)"', page)
    assert older is not None
    page = ana.read(LIST + older[1])
    assert "Number 4." in page
    assert "Number 5." not in page
    for nonsense in ("x", "9" * 30, "-1", ""):
        assert "Number 29." in ana.read(f"{LIST}?before={nonsense}")


def test_live_part_answers_304_until_something_changes(ana: Browser, acme: Install) -> None:
    first = ana.client.get("/alerts/live/")
    again = ana.client.get("/alerts/live/", headers={"If-None-Match": first["ETag"]})
    assert again.status_code == 304
    make_alert(endpoint=make_disabled(acme))
    changed = ana.client.get("/alerts/live/", headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200


def test_hostile_text_is_text(ana: Browser, acme: Install) -> None:
    Install.objects.update(name=HOSTILE)
    endpoint = make_disabled(acme)
    Endpoint.objects.update(handler_url=HOSTILE, disabled_reason=HOSTILE)
    make_channel(name=HOSTILE)
    watch.watch(now=timezone.now())
    AlertDelivery.objects.update(words=HOSTILE, attempts=1)
    Alert.objects.update(cleared_words=HOSTILE)
    for path in (LIST, CHANNELS, NEW, page_of(AlertChannel.objects.get()), f"{NEW}?install={endpoint.install_id}"):
        page = ana.read(path)
        assert HOSTILE not in page
        assert "<img" not in page


# --- Permissions -----------------------------------------------------------------------------------------------------
