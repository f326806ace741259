"""Who is told of alerts, in words that are true for each reader."""

import pytest

from dashboard.models import AlertChannel, Install, User
from dashboard.presenters.alert_audience import Audience, audience
from dashboard.rules.alerts import KINDS, OF_ALL_INSTALLS
from tests.factories import make_channel, make_webhook_channel

pytestmark = pytest.mark.django_db
HOOK = "https://hooks.example.com/secret"


def said(user: User, *, can_mail: bool = True) -> Audience:
    channels = list(AlertChannel.objects.visible_to(user))
    return audience(user=user, channels=channels, can_mail=can_mail)


def test_nobody_is_notified_where_there_is_no_channel(support: User, partner_admin: User) -> None:
    assert (said(support).words, said(support).tone, said(support).needs_channel) == (
        "Nobody is notified of alerts yet.", "warn", True,
    )  # fmt: skip
    assert said(partner_admin).words == "Nobody is notified of alerts for your installs yet."


def test_partner_learns_that_support_is_notified_and_not_by_what(partner_admin: User, support: User) -> None:
    make_channel(name="Hush")
    found = said(partner_admin)
    assert found.words == "Support is notified of alerts for your installs. Nobody on your side is."
    assert (found.tone, found.needs_channel) == ("info", True)
    assert said(support) == Audience()


def test_partner_learns_that_support_is_notified_of_some_only(partner_admin: User) -> None:
    make_channel(kinds=["disabled"])
    assert said(partner_admin).words.startswith("Support is notified of some alerts for your installs.")
    rest = [kind.value for kind in KINDS if kind.value != "disabled" and kind not in OF_ALL_INSTALLS]
    make_channel(kinds=rest)
    assert said(partner_admin).words.startswith("Support is notified of alerts for your installs.")


def test_alerts_of_redeliver_itself_are_not_the_partners(partner_admin: User) -> None:
    make_channel(kinds=[kind.value for kind in OF_ALL_INSTALLS])
    assert said(partner_admin).words == "Nobody is notified of alerts for your installs yet."


def test_own_channel_that_sends_needs_no_words(partner_admin: User, acme: Install) -> None:
    make_channel(install=acme)
    assert said(partner_admin) == Audience()


def test_email_without_a_mail_server_notifies_nobody(partner_admin: User, support: User, acme: Install) -> None:
    make_channel(install=acme)
    words = "Nobody is notified of alerts until a mail server is set (EMAIL_URL): all channels are email."
    for user in (partner_admin, support):
        assert (said(user, can_mail=False).words, said(user, can_mail=False).tone) == (words, "warn")
    make_channel()
    assert said(partner_admin, can_mail=False).words == words
    make_webhook_channel(url=HOOK)
    assert said(support, can_mail=False) == Audience()
    assert said(partner_admin, can_mail=False).words == (
        "Nobody is notified by your channels until a mail server is set (EMAIL_URL): all channels are email. "
        "Support is notified of alerts for your installs."
    )
