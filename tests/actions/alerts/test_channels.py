"""Alert channels: creating, changing, deleting and testing them, with audit entries and protected secrets."""

import uuid
from dataclasses import replace
from datetime import time
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.utils import timezone

from dashboard.actions.alerts import channels, watch
from dashboard.actions.alerts.channels import ChannelDetails
from dashboard.actions.outcome import OutcomeKind
from dashboard.models import AlertChannel, AlertDelivery, AlertNews, AuditEntry, Install, User
from dashboard.vault import Secret
from tests.factories import NOON, make_channel, make_endpoint, make_webhook_channel
from tests.services.misbehaving import answer, misbehaving

pytestmark = pytest.mark.django_db
SLACK_URL = "https://hooks.slack.example.com/services/T0AAA/B0BBB/hushhushhush1234"
WEBHOOK = ChannelDetails(
    name="Room", way=AlertChannel.Way.WEBHOOK, install=None, kinds=("disabled",), url=Secret(SLACK_URL)
)
MAIL = ChannelDetails(
    name="On-call", way=AlertChannel.Way.EMAIL, install=None, kinds=("disabled",), email="a@example.com"
)


def create(actor: User, details: ChannelDetails, **given: Any) -> AlertChannel:
    outcome, channel = channels.create(actor=actor, details=details, now=NOON, **{"operation": uuid.uuid4()} | given)
    assert outcome.kind is OutcomeKind.DONE
    assert channel is not None
    return AlertChannel.objects.get(pk=channel.pk)


def test_webhook_is_made_with_a_signing_secret_of_its_own(support: User) -> None:
    first, second = create(support, WEBHOOK), create(support, WEBHOOK)
    assert first.secret is not None
    assert second.secret is not None
    assert first.secret.reveal().startswith("whsec_")
    assert len(first.secret.reveal()) == 49
    assert first.secret != second.secret
    assert (first.url, first.shown_as) == (Secret(SLACK_URL), "https://hooks.slack.example.com/…1234")


def test_address_and_secret_are_nowhere_in_the_clear(support: User) -> None:
    channel = create(support, replace(WEBHOOK, slack=True))
    assert channel.secret is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT dashboard_alertchannel::text FROM dashboard_alertchannel")
        stored = cursor.fetchone()[0]
    for secret in (SLACK_URL, "hushhush", channel.secret.reveal()):
        assert secret not in stored
        assert secret not in "".join(AuditEntry.objects.values_list("words", flat=True))
        assert secret not in repr(channel.__dict__)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (SLACK_URL, "https://hooks.slack.example.com/…1234"),
        ("https://a.example.com/short", "https://a.example.com/…"),
        ("https://a.example.com", "https://a.example.com/…"),
        ("https://a.example.com:8443/hook?token=hushhushhush99", "https://a.example.com:8443/…sh99"),
    ],
)
def test_shown_is_the_host_and_an_end_that_tells_nothing(url: str, shown: str) -> None:
    assert channels.shown(Secret(url)) == shown


def test_create_is_in_the_audit_with_what_the_channel_is(support: User, acme: Install) -> None:
    create(support, replace(MAIL, install=acme, quiet_start=time(22), quiet_end=time(7), time_zone="Europe/Berlin"))
    entries = AuditEntry.objects.order_by("id").values_list("action", "phase", "actor_name", "install")
    assert list(entries) == [("create alert channel", phase, "ana", acme.pk) for phase in ("requested", "done")]
    assert AuditEntry.objects.get(phase="done").words == (
        "“On-call” was created: Email to a@example.com for Acme Labs (Disabled by OpenTrain), "
        "quiet hours 22:00 to 07:00 Europe/Berlin."
    )


def test_form_that_is_sent_twice_makes_one_channel(support: User) -> None:
    operation = uuid.uuid4()
    create(support, MAIL, operation=operation)
    outcome, channel = channels.create(actor=support, details=MAIL, now=NOON, operation=operation)
    assert (outcome.ok, channel) == (True, None)
    assert AlertChannel.objects.count() == 1


def test_change_without_an_address_keeps_the_one_there_is(support: User) -> None:
    channel = create(support, WEBHOOK)
    changed = replace(WEBHOOK, name="Other room", url=None, slack=True)
    channels.change(actor=support, channel=channel, details=changed, operation=uuid.uuid4())
    again = AlertChannel.objects.get()
    assert (again.name, again.slack, again.url, again.secret) == ("Other room", True, channel.url, channel.secret)
    channels.change(
        actor=support,
        channel=again,
        details=replace(WEBHOOK, url=Secret("https://b.example.com/")),
        operation=uuid.uuid4(),
    )
    again = AlertChannel.objects.get()
    assert (again.url, again.shown_as, again.secret) == (
        Secret("https://b.example.com/"), "https://b.example.com/…", channel.secret,
    )  # fmt: skip


def test_delete_forgets_the_channel_and_keeps_what_it_was_told(support: User) -> None:
    make_endpoint(status="DISABLED", consecutive_failures=10)
    channel = make_channel(name="On-call")
    quiet = make_channel(quiet_start=time(11), quiet_end=time(13))
    watch.watch(now=NOON)
    for one in (channel, quiet):
        channels.delete(actor=support, channel=one, now=NOON, operation=uuid.uuid4())
    delivery = AlertDelivery.objects.get()
    assert (delivery.channel, delivery.channel_name, delivery.state, delivery.words) == (
        None, "On-call", "given_up", "The channel was deleted.",
    )  # fmt: skip
    assert AlertNews.objects.filter(delivery__isnull=True).count() == 0
    assert AlertChannel.objects.count() == 0
    assert AuditEntry.objects.filter(action="delete alert channel", phase="done").count() == 2


def test_test_is_sent_at_once_in_quiet_hours_too_and_kept(support: User, settings: Any) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = True
    with misbehaving(answer(200), answer(500)) as server:
        channel = make_webhook_channel(url=server.url, quiet_start=time(0), quiet_end=time(23, 59))
        outcomes = [
            channels.test(actor=support, channel=channel, clock=timezone.now, operation=uuid.uuid4()) for _ in range(2)
        ]
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.DONE, OutcomeKind.UNAVAILABLE]
    assert outcomes[1].words == "The test failed. The webhook answered 500."
    kept = AlertDelivery.objects.order_by("created_at").values_list("test", "state", "attempts", "next_attempt_at")
    assert list(kept) == [(True, "sent", 1, None), (True, "given_up", 1, None)]
    phases = AuditEntry.objects.filter(action="test alert channel").order_by("id").values_list("phase", flat=True)
    assert list(phases) == ["requested", "done", "requested", "unavailable"]


def test_test_that_is_asked_for_twice_by_one_form_is_sent_once(support: User, settings: Any) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = True
    operation = uuid.uuid4()
    with misbehaving(answer(200)) as server:
        channel = make_webhook_channel(url=server.url)
        for _ in range(2):
            assert channels.test(actor=support, channel=channel, clock=timezone.now, operation=operation).ok
        assert len(server.requests) == 1


def test_test_of_an_address_whose_key_is_missing_says_so(support: User, settings: Any) -> None:
    pk = make_webhook_channel(url=SLACK_URL).pk
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    channel = AlertChannel.objects.defer("url", "secret").get(pk=pk)
    outcome = channels.test(actor=support, channel=channel, clock=timezone.now, operation=uuid.uuid4())
    assert outcome.kind is OutcomeKind.UNAVAILABLE
    assert "cannot be read with the keys in FIELD_KEYS" in outcome.words
