"""The pages of alert channels: add, change, delete and test them."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.models import AlertChannel, AlertDelivery, AuditEntry, Install, User
from tests.factories import make_channel, make_install, make_user, make_webhook_channel
from tests.services.misbehaving import answer, misbehaving
from tests.views.conftest import Browser, browser_of
from tests.views.test_alerts import page_of
from tests.views.test_endpoints import HOSTILE, words_of

pytestmark = pytest.mark.django_db

LIST, CHANNELS, NEW = "/alerts/", "/alerts/channels/", "/alerts/channels/new/"

SLACK_URL = "https://hooks.slack.example.com/services/T0AAA/B0BBB/hushhushhush1234"

MAIL = {
    "name": "On-call",
    "way": "email",
    "email": "oncall@example.com",
    "kinds": ["disabled", "overdue"],
    "time_zone": "UTC",
}


@pytest.fixture
def paul(partner_admin: User) -> Browser:
    return browser_of(partner_admin)


def button_of(channel: AlertChannel) -> str:
    return reverse("alert-channel-test", args=[channel.pk])


def refused(browser: Browser, path: str, **form: object) -> str:
    response = browser.client.post(path, form)
    assert response.status_code == 422
    return words_of(response.content.decode())


def test_channels_show_their_newest_messages_by_as_many_queries_whatever_their_number(ana: Browser) -> None:
    def made(name: str, *states: str) -> None:
        channel = make_channel(name=name)
        for minute, state in enumerate(states):
            at = timezone.now() - timedelta(minutes=10 - minute)
            AlertDelivery.objects.create(channel=channel, channel_name=name, state=state, created_at=at)

    def read() -> tuple[list[str], int]:
        with CaptureQueriesContext(connection) as captured:
            page = ana.read(reverse("alert-channel-list"))
        return re.findall(r'data-label="Last message">(?:<span class="[^"]*">.*?</svg>)?([^<]*)', page), len(captured)

    made("one", "given_up", "sent")
    first = read()
    made("other", "sent", "given_up")
    made("silent")
    assert first[0] == ["Sent"]
    assert read() == (["Sent", "Given up", ""], first[1])


def test_channel_by_email_is_added_and_listed(ana: Browser) -> None:
    assert "Nobody is notified of alerts yet." in ana.read(CHANNELS)
    text = words_of(ana.submit(NEW, **MAIL, quiet_start="22:00", quiet_end="07:00"))
    assert "“On-call” was created: Email to oncall@example.com for all installs" in text
    assert "No messages yet. Send a test to check that it arrives." in text
    listed = words_of(ana.read(CHANNELS))
    assert "Email: oncall@example.com" in listed
    assert "Disabled by OpenTrain, Deliveries overdue" in listed
    assert "22:00 to 07:00" in listed


def test_list_calls_all_kinds_everything(ana: Browser) -> None:
    make_channel(name="All")
    assert '<td data-label="Notify about">all alerts</td>' in ana.read(CHANNELS)


def test_list_has_a_column_of_quiet_hours_only_if_a_channel_has_some(ana: Browser) -> None:
    make_channel()
    assert "Quiet hours" not in ana.read(CHANNELS)
    make_channel(quiet_start="22:00", quiet_end="06:30", time_zone="Europe/Berlin")
    text = words_of(ana.read(CHANNELS))
    assert "Quiet hours" in text
    assert "22:00 to 06:30 Europe/Berlin" in text


def test_list_says_of_whom_it_cannot_be_expected_that_they_change_it(
    ana: Browser, support: User, acme: Install, partner_admin: User, viewer: User, outsider: User
) -> None:
    gone = make_user(username="dora", role="support", is_active=False)
    makers = {"A": support, "B": partner_admin, "C": viewer, "D": outsider, "E": gone, "F": None}
    for name, maker in makers.items():
        make_channel(install=acme, name=name, made_by=maker, made_by_name=maker.username if maker else "eve")
    make_channel(name="G", made_by=partner_admin, made_by_name="paul")
    text = words_of(ana.read(CHANNELS))
    assert re.findall(r"set up by (\w+(?: \([\w ]+\))?)", text) == [
        "ana", "paul", "vera (can no longer change it)", "olga (can no longer change it)", "dora (deactivated)",
        "eve (account deleted)", "paul (can no longer change it)",
    ]  # fmt: skip


def test_pages_say_that_no_mail_server_is_set_up_and_how(ana: Browser, settings: Any) -> None:
    for path in (CHANNELS, NEW):
        assert "EMAIL_URL=smtp+tls://user:password@mail.example.com:587" in ana.read(path)
    settings.EMAIL_HOST = "mail.example.com"
    for path in (CHANNELS, NEW):
        assert "EMAIL_URL" not in ana.read(path)


def test_email_that_nobody_can_be_told_by_is_saved_with_a_warning(ana: Browser, settings: Any) -> None:
    saved = ana.client.post(NEW, MAIL, follow=True).content.decode()
    warning = "Saved. Nobody is told by it until a mail server is set (EMAIL_URL). “On-call” was created:"
    assert warning in words_of(saved)
    assert "outcome-unavailable" in saved
    assert "outcome-done" not in saved
    page = page_of(AlertChannel.objects.get())
    changed = ana.client.post(page, MAIL | {"name": "Other"}, follow=True).content.decode()
    assert "Saved. Nobody is told by it until a mail server is set (EMAIL_URL). “Other” was changed:" in words_of(
        changed
    )
    assert "Sends nothing" in ana.read(page)
    listed = words_of(ana.read(CHANNELS))
    assert "Sends nothing" in listed
    assert "none: no mail server" in listed
    assert "Nobody is notified of alerts until a mail server is set (EMAIL_URL)" in words_of(ana.read(LIST))
    settings.EMAIL_HOST = "mail.example.com"
    for path in (page, CHANNELS):
        assert "Sends nothing" not in ana.read(path)
    assert "outcome-done" in ana.client.post(NEW, MAIL, follow=True).content.decode()


def test_form_begins_with_the_zone_of_whoever_reads_it(ana: Browser, support: User) -> None:
    assert 'value="UTC"' in ana.read(NEW)
    ana.client.cookies["time_zone"] = "America/Lima"
    assert 'value="America/Lima"' in ana.read(NEW)
    support.time_zone = "Europe/Berlin"
    support.save()
    page = ana.read(NEW)
    assert 'value="Europe/Berlin"' in page.partition('list="time-zones"')[2].partition(">")[0]
    assert '<option value="Asia/Tokyo">' in page
    assert "Factory" not in page
    assert "localtime" not in page


def test_form_has_plain_sections_each_with_its_heading(ana: Browser) -> None:
    page = ana.read(NEW)
    found = re.findall(r'<fieldset class="choice plain"[^>]*>\s*<legend>(.*?)</legend>', page)
    assert [words_of(one) for one in found] == ["Where alerts go", "Notify about", "Quiet hours (optional)"]
    assert page.count("<fieldset") == 3


def test_zone_that_is_left_empty_is_that_of_whoever_saves_it(ana: Browser, support: User) -> None:
    support.time_zone = "Europe/Berlin"
    support.save()
    form = MAIL | {"time_zone": "", "quiet_start": "22:00", "quiet_end": "06:30"}
    ana.client.post(NEW, form)
    assert AlertChannel.objects.get().time_zone == "Europe/Berlin"


def test_webhook_shows_its_secret_once_and_its_address_never(ana: Browser) -> None:
    form = {**MAIL, "name": "Room", "way": "webhook", "url": SLACK_URL, "slack": "on", "operation": uuid.uuid4()}
    response = ana.client.post(NEW, form)
    page = response.content.decode()
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    channel = AlertChannel.objects.get()
    assert channel.secret is not None
    assert f'<code id="secret">{channel.secret.reveal()}</code>' in page
    pages = [
        page,
        ana.read(CHANNELS),
        ana.read(page_of(channel)),
        ana.read(f"{page_of(channel)}delete/"),
        ana.read(LIST),
    ]
    assert ["hushhush" in one for one in pages] == [False] * 5
    assert [channel.secret.reveal() in one for one in pages] == [True, False, False, False, False]
    assert "https://hooks.slack.example.com/…1234" in pages[1]
    again = ana.client.post(NEW, form, follow=True)  # the same form again: no second channel, and no secret shown
    assert AlertChannel.objects.count() == 1
    assert channel.secret.reveal() not in again.content.decode()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": ""}, "Enter a name."),
        ({"name": "\u200b"}, "Enter a name."),
        ({"email": ""}, "Enter the email address to send alerts to."),
        ({"email": "nobody"}, "Enter a valid email address."),
        ({"email": "a@example.com\nBcc: b@example.com"}, "This contains 2 lines. Paste only one address."),
        ({"kinds": []}, "Choose at least one kind of alert."),
        ({"kinds": ["nonsense"]}, "nonsense is not one of the available choices"),
        ({"install": "999999"}, "Choose an install from the list."),
        ({"quiet_start": "22:00"}, "Quiet hours need two different times"),
        ({"quiet_start": "22:00", "quiet_end": "22:00"}, "Quiet hours need two different times"),
        ({"quiet_start": "noon", "quiet_end": "13:00"}, "Enter a time such as 22:00"),
        ({"time_zone": "Mars/Olympus"}, "Choose a time zone from the list, such as Europe/Berlin."),
        ({"way": "webhook", "url": ""}, "Enter the URL to send alerts to."),
        ({"way": "webhook", "url": "ftp://a.example.com/"}, "beginning with https://"),
        (
            {"way": "webhook", "url": "http://a.example.com/"},
            "begins with https://: alerts contain your customers&#x27; names.",
        ),
        ({"way": "webhook", "url": "https://me:pw@a.example.com/"}, "Remove the user name and password from"),
        ({"way": "webhook", "url": "https://127.0.0.1/"}, "This address is not public (loopback)"),
        ({"way": "webhook", "url": "https://169.254.169.254/"}, "This address is not public (link-local)"),
        ({"way": "webhook", "url": "https://[::1]/"}, "ALERT_PRIVATE_ADDRESSES=1"),
        ({"way": "webhook", "url": HOSTILE}, "plain characters only"),
    ],
)
def test_channel_with_something_wrong_is_not_saved(ana: Browser, changes: dict, words: str) -> None:
    assert words in refused(ana, NEW, **MAIL | changes)
    assert AlertChannel.objects.count() == 0
    assert AuditEntry.objects.count() == 0


def test_address_that_was_pasted_is_not_in_the_page_that_refuses(ana: Browser) -> None:
    response = ana.client.post(NEW, {**MAIL, "way": "webhook", "url": SLACK_URL, "name": ""})
    assert response.status_code == 422
    assert "hushhush" not in response.content.decode()


def test_about_to_be_disabled_brings_disabled(ana: Browser) -> None:
    ana.submit(NEW, **MAIL | {"kinds": ["at_risk"]})
    assert AlertChannel.objects.get().kinds == ["at_risk", "disabled"]


def test_change_keeps_the_address_that_is_not_written_anew(ana: Browser) -> None:
    channel = make_webhook_channel(url=SLACK_URL, name="Room")
    text = words_of(ana.submit(page_of(channel), **MAIL | {"name": "New name", "way": "email"}))
    assert "“New name” was changed: Webhook to" in text
    channel.refresh_from_db()
    assert (channel.way, channel.email) == ("webhook", "")
    assert channel.url is not None
    assert channel.url.reveal() == SLACK_URL


def test_delete_asks_first_and_says_what_is_lost(ana: Browser) -> None:
    channel = make_channel(name="On-call")
    path = f"{page_of(channel)}delete/"
    assert "No more messages are sent there" in ana.read(path)
    assert "Its address is deleted too." in ana.read(path)
    webhook = make_webhook_channel(url="https://alerts.example.com/")
    assert "Its URL and signing secret are deleted too." in ana.read(f"{page_of(webhook)}delete/")
    webhook.delete()
    assert AlertChannel.objects.count() == 1
    assert "was deleted. No more alerts are sent there." in words_of(ana.submit(path))
    assert AlertChannel.objects.count() == 0


@pytest.mark.parametrize("by_htmx", [True, False])
def test_test_button_says_what_came_of_it(ana: Browser, settings: Any, by_htmx: bool) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = True
    with misbehaving(answer(200), answer(404)) as server:
        channel = make_webhook_channel(url=server.url, name="Room")
        press = ana.press if by_htmx else ana.submit
        texts = [words_of(press(button_of(channel), operation=str(uuid.uuid4()))) for _ in range(2)]
    assert "The test was sent to https://…. Answered 200 in" in texts[0]
    assert "The test failed. The webhook answered 404." in texts[1]
    assert "Test, just now" in texts[1]


def test_test_by_email_without_a_mail_server_says_how_to_set_one_up(ana: Browser) -> None:
    text = words_of(ana.press(button_of(make_channel())))
    assert "The test failed. No mail server is set up" in text


def test_button_can_be_pressed_again_and_is_another_test(ana: Browser, settings: Any) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = True
    with misbehaving(answer(200)) as server:
        channel = make_webhook_channel(url=server.url)
        page = ana.read(page_of(channel))
        for _ in range(2):
            names = re.search(r'test/".*?name="operation" value="([^"]+)"', page, re.DOTALL)
            assert names is not None
            page = ana.press(button_of(channel), operation=names[1])
        assert len(server.requests) == 2


def test_partner_admin_sets_up_channels_of_their_installs_only(paul: Browser, acme: Install) -> None:
    other = make_install(name="Other Data")
    page = paul.read(NEW)
    assert "All installs" not in page
    assert "Other Data" not in page
    assert "Choose an install." in refused(paul, NEW, **MAIL)
    assert "Choose an install from the list." in refused(paul, NEW, **MAIL, install=other.pk)
    paul.submit(NEW, **MAIL, install=acme.pk)
    channel = AlertChannel.objects.get()
    assert channel.install == acme
    assert "Choose an install from the list." in refused(paul, page_of(channel), **MAIL, install=other.pk)
    assert "Choose an install." in refused(paul, page_of(channel), **MAIL)


def test_page_of_an_install_leads_to_the_form_with_it_chosen(ana: Browser, acme: Install) -> None:
    for number in range(3):
        make_install(name=f"Also {number}")
    assert f"{NEW}?install={acme.pk}" in ana.read(reverse("install-detail", args=[acme.pk]))
    assert f'<option value="{acme.pk}" selected>Acme Labs</option>' in ana.read(f"{NEW}?install={acme.pk}")


def test_form_lists_so_many_installs_and_the_one_that_is_chosen(ana: Browser, monkeypatch: Any) -> None:
    monkeypatch.setattr("dashboard.views.alert_channels.CHOICES", 2)
    installs = [make_install(name=f"Customer {letter}") for letter in "ABCDE"]
    page = ana.read(f"{NEW}?install={installs[4].pk}")
    assert re.findall(r">(Customer .)</option>", page) == ["Customer A", "Customer B", "Customer E"]
