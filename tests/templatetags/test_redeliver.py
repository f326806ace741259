"""Template filters and tags that format values."""

import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from allauth.account import app_settings as account
from allauth.mfa import app_settings as mfa
from allauth.socialaccount.internal import statekit
from django.conf import settings as project
from django.template.loader import render_to_string
from django.test import override_settings
from django.urls import get_script_prefix, set_script_prefix
from django.utils.safestring import SafeString

from dashboard.rules.durations import spelled
from dashboard.rules.time_zones import read_in, zone_named
from dashboard.signatures import TOLERANCE_S
from dashboard.templatetags.redeliver import (
    LONG_LABEL,
    ago,
    breakable,
    chip,
    clock,
    copy,
    datalist,
    exactly,
    lasts,
    marks,
    not_known,
    of_endpoint,
    page_url,
    since_told,
    told,
    with_utc,
)
from tests.factories import make_endpoint, make_install


@pytest.mark.parametrize(
    ("address", "drawn"),
    [
        ("https://acme.example.com/hooks/", "https://<wbr>acme.example.com/<wbr>hooks/"),
        ("America/Argentina/Buenos_Aires", "America/<wbr>Argentina/<wbr>Buenos_Aires"),
        ("oncall@example.com", "oncall@example.com"),
        ("https://x/<b>&", "https://<wbr>x/<wbr>&lt;b&gt;&amp;"),
        ("", ""),
    ],
)
def test_address_breaks_where_its_parts_meet_and_nowhere_else(address: str, drawn: str) -> None:
    assert breakable(address) == drawn


@pytest.mark.parametrize("prefix", ["/", "/console/"])
def test_address_of_a_row_is_the_one_that_its_page_has(prefix: str) -> None:
    before = get_script_prefix()
    set_script_prefix(prefix)
    try:
        found = [page_url(name, pk) for name in ("delivery-detail", "endpoint-detail") for pk in (7, 8, 7)]
    finally:
        set_script_prefix(before)
    assert found == [f"{prefix}{place}/{pk}/" for place in ("deliveries", "endpoints") for pk in (7, 8, 7)]


def test_address_of_a_page_without_a_number_is_its_own() -> None:
    assert [page_url(name) for name in ("home", "delivery-list", "home")] == ["/", "/deliveries/", "/"]


@pytest.mark.django_db
def test_row_names_its_endpoint_escaped_and_its_install_where_rows_are_of_several() -> None:
    install = make_install(name="<b>Acme & Sons, Annotation Works")
    endpoint = make_endpoint(install=install, name="<i>Billing")
    endpoint.told_apart_by = "ep_1"
    drawn = of_endpoint(endpoint, True)
    assert "<bdi>&lt;b&gt;Acme &amp; Sons, Annotat…</bdi> <a" in drawn
    assert f'href="/endpoints/{endpoint.pk}/"><bdi>&lt;i&gt;Billing</bdi> <span>(ep_1)</span></a>' in drawn
    assert "Acme" not in of_endpoint(endpoint, False)
    endpoint.name, endpoint.told_apart_by = "Invoices", None
    assert "<bdi>Invoices</bdi></a>" in of_endpoint(endpoint, False)


def test_what_was_drawn_of_a_safe_text_is_not_drawn_of_one_from_outside() -> None:
    for draw in (lambda text: chip("unknown", text), not_known):
        assert "<b>" in draw(SafeString("<b>Acme</b>"))
        assert "<b>" not in draw("<b>Acme</b>")


def test_copied_text_is_not_kept() -> None:
    class Text(str):
        __slots__ = ("__weakref__",)

    secret = Text("whsec_" + "z" * 20)
    held = weakref.ref(secret)
    assert secret in copy(secret, "signing secret")
    del secret
    assert held() is None


def test_suggestions_are_escaped() -> None:
    options = (("a", 'A "&" B'), ("b", ""))
    expected = '<option value="a">A &quot;&amp;&quot; B</option><option value="b"></option>'
    assert datalist("these", options) == f'<datalist id="these">{expected}</datalist>'


def test_marks_say_how_many_attempts_there_were_and_what_came_of_the_newest() -> None:
    assert 'aria-label="3 attempts, oldest first: failed, delivered">…<span class="mark-bad">' in marks(
        3, [False, True]
    )
    assert 'aria-label="1 attempt, oldest first: failed"><span class="mark-bad">' in marks(1, [False])


def test_copy_button_keeps_line_ends_that_a_browser_would_change() -> None:
    assert 'data-copy="a&#13;\nb&#13;&quot;&lt;"' in copy('a\r\nb\r"<', "body")


def test_text_that_was_cut_has_no_button_that_copies_it() -> None:
    assert 'data-copy="https://a.example.com/"' in copy("https://a.example.com/", "URL")
    assert copy("https://a.example.com/xxx…", "URL") == ""


def test_past_time_by_a_clock_that_is_ahead_is_not_announced_as_future() -> None:
    now = datetime(2026, 6, 12, 12, tzinfo=UTC)
    assert "since 11:57 UTC, <time " in since_told(now - timedelta(minutes=3), now)
    assert "3 min ago" in since_told(now - timedelta(minutes=3), now)
    ahead = since_told(now + timedelta(minutes=5), now)
    assert ahead == "since 12:05 UTC by OpenTrain's clock, which is ahead of Redeliver's"


def test_only_a_long_status_from_outside_may_break() -> None:
    assert 'class="chip long tone-idle"' in chip("unknown", "H" * (LONG_LABEL + 1))
    assert 'class="chip tone-bad"' in chip("disabled", "Disabled by OpenTrain")


def test_large_numbers_of_an_install_have_a_separator() -> None:
    install = {"endpoint_count": 4000, "needing_count": 1950, "fine_count": 2050}
    drawn = render_to_string("inbox/_fleet_state.html", {"row": {"need": None}, "install": install})
    assert "1,950 of 4,000 need attention" in drawn


def test_lasts_is_made_from_what_holds() -> None:
    assert (lasts("signature"), TOLERANCE_S) == ("five minutes", 300)
    assert (lasts("reauthentication"), account.REAUTHENTICATION_TIMEOUT) == ("five minutes", 300)
    assert (lasts("lockout"), account.RATE_LIMITS["login_failed"]) == ("five minutes", "10/m/ip,5/300s/key")
    assert (lasts("totp"), mfa.TOTP_PERIOD) == ("30 seconds", 30)
    assert lasts("poll") == "a minute"


def test_lasts_follows_the_settings() -> None:
    changed = {"POLL_EVERY_S": 30, "LOCKOUT_S": 600, "ACCOUNT_REAUTHENTICATION_TIMEOUT": 120, "MFA_TOTP_PERIOD": 60}
    with override_settings(**changed):
        found = [lasts(what) for what in ("poll", "lockout", "reauthentication", "totp")]
    assert found == ["30 seconds", "ten minutes", "two minutes", "a minute"]


def test_sign_in_by_link_lasts_as_long_as_its_page_says() -> None:
    """allauth has no setting for this duration, so the page's text repeats it."""
    page = Path(project.BASE_DIR, "templates/socialaccount/authentication_error.html").read_text(encoding="utf-8")
    assert f"took longer than {spelled(duration=timedelta(seconds=statekit.STATE_TTL))}." in page


def test_time_has_its_utc_as_title_unless_it_is_in_utc() -> None:
    then = datetime(2026, 6, 12, 22, 30, tzinfo=UTC)
    now = then + timedelta(hours=2)
    assert (exactly(then), clock(then, now)) == ("2026-06-12 22:30:00 UTC", "22:30 UTC on 12 June")
    assert 'title="2026-06-12 22:30:00 UTC"' in ago(then, now)
    with read_in(zone_named("Europe/Berlin")):
        time = '<time datetime="2026-06-12T22:30:00.000+00:00" title="2026-06-12 22:30:00 UTC">'
        assert exactly(then) == f"{time}2026-06-13 00:30:00 CEST</time>"
        assert clock(then, now) == f"{time}00:30 CEST</time>"
        assert f"since {time}00:30 CEST</time>, " in since_told(then, now)
        assert 'title="2026-06-13 00:30:00 CEST = 2026-06-12 22:30:00 UTC" data-ago>2 h ago' in ago(then, now)


def test_time_in_a_sentence_has_its_utc_as_title_and_hostile_words_stay_words() -> None:
    assert with_utc("<b> since 11:22 CET & 12:00 UTC") == (
        '&lt;b&gt; since <span title="10:22 UTC" data-utc>11:22 CET</span> &amp; 12:00 UTC'
    )
    assert with_utc("{} 11:22 CET {0}") == '{} <span title="10:22 UTC" data-utc>11:22 CET</span> {0}'
    assert with_utc(SafeString("<b>11:22 CET</b>")) == "<b>11:22 CET</b>"


def test_stored_sentence_is_told_in_the_readers_zone_and_hostile_words_stay_words() -> None:
    written, now = datetime(2026, 6, 12, 22, 40, tzinfo=UTC), datetime(2026, 6, 13, 1, tzinfo=UTC)
    words = "<b> since 22:30 UTC {} & “at 22:31 UTC”"
    assert told(words, written, now) == "&lt;b&gt; since 22:30 UTC on 12 June {} &amp; “at 22:31 UTC”"
    with read_in(zone_named("Asia/Kolkata")):
        assert told(words, written, now) == (
            '&lt;b&gt; since <time datetime="2026-06-12T22:30:00.000+00:00" title="2026-06-12 22:30:00 UTC">'
            "04:00 UTC+05:30</time> {} &amp; “at 22:31 UTC”"
        )
        assert told("since 22:30 UTC", None, now) == "since 22:30 UTC"
