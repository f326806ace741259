"""The alert channel form: complete input, only the user's installs, and public addresses."""

from datetime import time
from typing import Any

import pytest
from django.http import QueryDict

from dashboard.forms.alerts import ChannelForm
from dashboard.models import AlertChannel, Install, User
from dashboard.rules.alerts import KINDS
from dashboard.vault import Secret
from tests.factories import make_channel, make_install, make_webhook_channel

pytestmark = pytest.mark.django_db
MAIL: dict[str, Any] = {"name": "On-call", "way": "email", "kinds": ["disabled"], "email": "a@example.com"}
HOOK: dict[str, Any] = {"name": "On-call", "way": "webhook", "kinds": ["disabled"], "url": "https://a.example.com/x"}


def sent(fields: dict[str, Any], *, user: User, channel: AlertChannel | None = None) -> ChannelForm:
    query = QueryDict(mutable=True)
    for name, value in fields.items():
        query.setlist(name, value if isinstance(value, list) else [value])
    form = ChannelForm(query, user=user, channel=channel)
    form.is_valid()
    return form


def test_channel_by_email_is_what_was_written(support: User, acme: Install) -> None:
    fields = {"install": acme.pk, "quiet_start": "22:00", "quiet_end": "06:30", "time_zone": "Europe/Berlin"}
    wanted = sent(MAIL | fields | {"url": "https://ignored.example.com", "slack": "on"}, user=support).details
    assert (wanted.name, wanted.way, wanted.install, wanted.email) == ("On-call", "email", acme, "a@example.com")
    assert (wanted.quiet_start, wanted.quiet_end, wanted.time_zone) == (time(22), time(6, 30), "Europe/Berlin")
    assert (wanted.url, wanted.slack, wanted.kinds) == (None, False, ("disabled",))


def test_channel_by_webhook_keeps_its_address_secret(support: User) -> None:
    form = sent(HOOK | {"slack": "on", "email": "ignored@example.com"}, user=support)
    wanted = form.details
    assert (wanted.url, wanted.slack, wanted.email) == (Secret("https://a.example.com/x"), True, "")
    assert (wanted.install, wanted.time_zone) == (None, "UTC")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (MAIL | {"name": ""}, ["name"]),
        (MAIL | {"name": "\u200b \u0007"}, ["name"]),
        (MAIL | {"kinds": []}, ["kinds"]),
        (MAIL | {"kinds": ["invented"]}, ["kinds"]),
        (MAIL | {"email": ""}, ["email"]),
        (MAIL | {"email": "nobody"}, ["email"]),
        (MAIL | {"time_zone": "Mars/Base"}, ["time_zone"]),
        (MAIL | {"quiet_start": "22:00"}, ["quiet_end"]),
        (MAIL | {"quiet_end": "22:00"}, ["quiet_end"]),
        (MAIL | {"quiet_start": "22:00", "quiet_end": "22:00"}, ["quiet_end"]),
        (MAIL | {"quiet_start": "late"}, ["quiet_start"]),
        (MAIL | {"install": "0"}, ["install"]),
        (HOOK | {"url": ""}, ["url"]),
        (HOOK | {"url": "http://a.example.com"}, ["url"]),
        (HOOK | {"url": "https://10.0.0.1/"}, ["url"]),
        (HOOK | {"url": "https://user:pw@a.example.com"}, ["url"]),
    ],
)
def test_what_is_wrong_is_marked_where_it_is(
    support: User, settings: Any, change: dict[str, Any], wrong: list[str]
) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = False
    assert list(sent(change, user=support).errors) == wrong


def test_private_address_is_taken_where_the_setting_allows_it(support: User, settings: Any) -> None:
    settings.ALERT_PRIVATE_ADDRESSES = True
    assert not sent(HOOK | {"url": "http://10.0.0.1/"}, user=support).errors


def test_about_to_be_disabled_brings_disabled(support: User) -> None:
    assert sent(MAIL | {"kinds": ["at_risk"]}, user=support).cleaned_data["kinds"] == ["at_risk", "disabled"]


def test_partner_admin_chooses_among_their_own_installs(partner_admin: User, acme: Install) -> None:
    assert list(sent(MAIL, user=partner_admin).errors) == ["install"]
    assert list(sent(MAIL | {"install": make_install().pk}, user=partner_admin).errors) == ["install"]
    assert sent(MAIL | {"install": acme.pk}, user=partner_admin).details.install == acme


def test_only_channels_for_all_installs_get_alerts_of_redeliver_itself(
    support: User, partner_admin: User, acme: Install
) -> None:
    labels = dict(ChannelForm(None, user=support).fields["kinds"].choices)  # type: ignore[attr-defined]
    assert (labels["disabled"], labels["log_lags"]) == ("Disabled by OpenTrain", "Log lags behind (all installs only)")
    both = MAIL | {"kinds": ["disabled", "log_lags"]}
    assert sent(both, user=support).details.kinds == ("disabled", "log_lags")
    assert sent(both | {"install": acme.pk}, user=support).details.kinds == ("disabled",)
    assert list(sent(MAIL | {"kinds": ["log_lags"], "install": acme.pk}, user=support).errors) == ["kinds"]
    assert list(sent(both | {"install": acme.pk}, user=partner_admin).errors) == ["kinds"]


def test_change_keeps_the_way_and_an_address_that_is_left_empty(support: User) -> None:
    hook = make_webhook_channel(url="https://a.example.com/c4n4ry")
    form = sent(HOOK | {"way": "email", "url": ""}, user=support, channel=hook)
    assert (dict(form.errors), form.details.way, form.details.url) == ({}, "webhook", None)
    mail = sent(MAIL | {"way": "webhook", "url": "x"}, user=support, channel=make_channel())
    assert (dict(mail.errors), mail.details.way) == ({}, "email")


def test_form_begins_with_the_channel_and_never_with_its_address(support: User) -> None:
    hook = make_webhook_channel(url="https://a.example.com/c4n4ry", quiet_start=time(22), quiet_end=time(6))
    form = ChannelForm(None, user=support, channel=hook)
    assert (form["quiet_start"].value(), form["quiet_end"].value()) == ("22:00", "06:00")
    assert "c4n4ry" not in str(form)


def test_new_form_begins_with_every_kind_and_the_install_that_was_chosen(support: User, acme: Install) -> None:
    form = ChannelForm(None, user=support, install_id=acme.pk)
    assert (form["kinds"].value(), form["install"].value()) == ([kind.value for kind in KINDS], acme.pk)
    assert (form.chosen_way, form["time_zone"].value()) == ("email", "UTC")


@pytest.mark.parametrize(("characters", "is_taken"), [(254, True), (255, False), (310, False)])
def test_email_address_fits_its_column(support: User, characters: int, is_taken: bool) -> None:
    address = f"{'a' * (characters - 247)}@{'.'.join(['b' * 60] * 4)}.co"
    assert len(address) == characters
    form = sent(MAIL | {"email": address}, user=support)
    assert set(form.errors) == (set() if is_taken else {"email"})
