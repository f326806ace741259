"""Template tags and filters for states, times, IDs and icons, so every page shows them alike."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.contrib.messages import get_messages
from django.core.exceptions import ImproperlyConfigured
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError
from django.template import Context
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.urls import get_script_prefix, reverse
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator

from dashboard.models import Install, User
from dashboard.rules.deliveries import StateKind
from dashboard.rules.durations import ago as ago_words
from dashboard.rules.durations import clock as clock_words
from dashboard.rules.durations import exactly as exactly_words
from dashboard.rules.durations import exactly_utc, spelled
from dashboard.rules.durations import span as span_words
from dashboard.rules.endpoints import AUTO_DISABLE_AT, HealthKind, endpoint_health
from dashboard.rules.event_endpoints import Absence
from dashboard.rules.handler_names import THE_HANDLER
from dashboard.rules.handler_names import calling as with_handler
from dashboard.rules.installs import disconnected
from dashboard.rules.outside_texts import is_whole
from dashboard.rules.reconciliation import Kind
from dashboard.rules.run_endings import EndingKind
from dashboard.rules.secret_texts import STARTS
from dashboard.rules.time_zones import UTC_NAME, readers_zone_is_utc, readers_zone_name
from dashboard.rules.times_in_words import retold, times_in
from dashboard.signatures import TOLERANCE_S

register = template.Library()

SPRITE = "vendor/tabler-icons-3.51.0/sprite.svg"
THEMES = ("light", "dark")
SHORT = 10
"""Length up to which an ID is shown whole, in characters."""
LONG_LABEL = 40
"""Length from which the name of a state may break, in characters: a status from outside is one word."""
INSTALL_LENGTH = 24
"""Length up to which the name of an install is shown whole beside its endpoint, in characters."""
SECOND_MS = 1000
_AFTER_SLASH = re.compile(r"/(?=[^/])")


@dataclass(frozen=True, slots=True)
class Look:
    """The one colour (a class of app.css) and the one icon of a state."""

    tone: str
    icon: str


LOOKS = {
    HealthKind.ACTIVE: Look("ok", "circle-check"),
    HealthKind.FAILING: Look("warn", "alert-triangle"),
    HealthKind.AT_RISK: Look("risk", "alert-circle"),
    HealthKind.DISABLED: Look("bad", "ban"),
    HealthKind.PAUSED: Look("idle", "player-pause"),
    HealthKind.UNKNOWN: Look("idle", "help-circle"),
    StateKind.DELIVERED: Look("ok", "check"),
    StateKind.RETRYING: Look("warn", "refresh"),
    StateKind.REQUESTED_AGAIN: Look("info", "send"),
    StateKind.OVERDUE: Look("risk", "clock-exclamation"),
    StateKind.FAILED: Look("bad", "x"),
    "no_access": Look("bad", "key"),
    "silent": Look("warn", "clock-exclamation"),
    "refused": Look("bad", "shield-x"),
    "deleted": Look("idle", "x"),
    "done": Look("ok", "circle-check"),
    "partly_done": Look("warn", "alert-triangle"),
    "unavailable": Look("warn", "alert-triangle"),
    "requested": Look("info", "clock"),
    "running": Look("info", "refresh"),
    "stopped": Look("risk", "ban"),
    "cancelled": Look("idle", "x"),
    "failed_again": Look("bad", "x"),
    "not_seen": Look("risk", "clock-exclamation"),
    "waiting": Look("idle", "hourglass"),
    "left_out": Look("idle", "ban"),
    "unknown_outcome": Look("risk", "help-circle"),
    "canary_failed": Look("bad", "x"),
    "signatures": Look("risk", "shield-x"),
    "log_lags": Look("risk", "hourglass"),
    "url_changed": Look("risk", "plug-connected"),
    "resolved": Look("idle", "check"),
    "sent": Look("ok", "check"),
    "given_up": Look("bad", "x"),
    "sends_nothing": Look("warn", "alert-triangle"),
    # Of rules.reconciliation.Kind. Retrying, requested, failed and refused look as they do elsewhere.
    Kind.NOT_DUE: Look("idle", "clock"),
    Kind.TAKEN: Look("ok", "check"),
    Kind.TAKEN_IN_PART: Look("info", "check"),
    Kind.NOT_SEEN_YET: Look("warn", "hourglass"),
    Kind.OUT_OF_ORDER: Look("risk", "alert-triangle"),
    Kind.MISSING: Look("bad", "alert-circle"),
    Kind.NOT_KNOWN: Look("idle", "help-circle"),
    "may_be_missing": Look("idle", "help-circle"),
    "not_subscribed": Look("idle", "ban"),
    # Of rules.event_endpoints.Absence, besides those above.
    Absence.KEPT: Look("idle", "check"),
    Absence.HANDED_OVER: Look("info", "send"),
    Absence.REGISTERED_AFTER: Look("idle", "clock"),
    Absence.DIRECT: Look("idle", "plug-connected"),
    Absence.NOT_REPORTED: Look("idle", "help-circle"),
    Absence.REFUSED: Look("bad", "shield-x"),
    Absence.DISABLED: Look("bad", "ban"),
    Absence.PAUSED: Look("warn", "player-pause"),
    Absence.NOT_YET: Look("warn", "hourglass"),
    Absence.NONE: Look("bad", "alert-circle"),
    # Of rules.run_endings.EndingKind, besides those above.
    EndingKind.NOTHING_MISSING: Look("ok", "circle-check"),
    EndingKind.CHECKED_AGAIN: Look("info", "clock"),
    # Of rules.consequences.Need, besides those above.
    "access": Look("bad", "user"),
    "provision": Look("risk", "user"),
    "not_sent": Look("warn", "ban"),
}

_TONE_ICONS = {"ok": "check", "info": "send", "warn": "alert-triangle", "bad": "x"}
_OUTCOME_ICONS = {"done": "circle-check", "refused": "circle-x", "unavailable": "alert-triangle"}


# A list draws hundreds of icons and chips, so equal ones are rendered once. They are `typed` where a text may be from
# outside: a text that is safe as it is equals one that is not.
@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """Draw an icon of the sprite. Screen readers skip it, so always put a word beside it."""
    return format_html(
        '<svg class="icon" width="20" height="20" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static(SPRITE),
        name,
    )


@register.simple_tag
@lru_cache(maxsize=256, typed=True)
def chip(kind: str, label: str) -> SafeString:
    """Draw a state: its name, its colour and its icon."""
    look = LOOKS.get(kind, Look("idle", "help-circle"))
    long = " long" if len(label) > LONG_LABEL else ""
    return format_html('<span class="chip{} tone-{}">{}{}</span>', long, look.tone, icon(look.icon), label)


@register.simple_tag
def page_url(name: str, pk: int | None = None) -> str:
    """Return the address of a page, as `url` does, which resolves each anew.

    Every page links to a dozen, and a list to hundreds: the same ones at each poll. An unknown name is always an error.
    """
    return _page_url(name, pk, get_script_prefix())


@lru_cache(maxsize=4096)
def _page_url(name: str, pk: int | None, _prefix: str) -> str:
    return reverse(name, args=[] if pk is None else [pk])


@register.simple_tag
@lru_cache(maxsize=64)
def datalist(name: str, options: tuple[tuple[str, str], ...]) -> SafeString:
    """Draw what a field suggests: values, each with its words."""
    drawn = format_html_join("", '<option value="{}">{}</option>', options)
    return format_html('<datalist id="{}">{}</datalist>', name, drawn)


@register.simple_tag
def of_endpoint(endpoint: Any, with_install: bool = False) -> SafeString:  # noqa: ANN401 - templates
    """Draw what the row of a list calls its endpoint (or a presenters.rows.ListedEndpoint), as a link to its page."""
    install = endpoint.install.name if with_install else ""
    return _of_endpoint(page_url("endpoint-detail", endpoint.pk), install, endpoint.base_title, endpoint.told_apart_by)


@lru_cache(maxsize=1024, typed=True)
def _of_endpoint(url: str, install: str, title: str, told_apart_by: str | None) -> SafeString:
    customer = format_html("<bdi>{}</bdi> ", Truncator(install).chars(INSTALL_LENGTH)) if install else ""
    apart = format_html(" <span>({})</span>", told_apart_by) if told_apart_by else ""
    link = format_html('<a class="faint" href="{}"><bdi>{}</bdi>{}</a>', url, title, apart)
    return format_html('<span class="of-endpoint">{}{}</span>', customer, link)


@register.simple_tag
@lru_cache(maxsize=256, typed=True)
def not_known(why: str) -> SafeString:
    """Draw the dash of a number that is not known. Its title and its text for screen readers say why."""
    return format_html('<span class="faint" title="{0}">—<span class="visually-hidden"> {0}</span></span>', why)


@register.simple_tag
def ago(then: datetime | None, now: datetime) -> SafeString | str:
    """Return the time since `then`, or until it, in words, with the exact time as title; "—" if there is none."""
    if then is None:
        return "—"
    words = ago_words(then=then, now=now) if then <= now else f"in about {span_words(duration=then - now)}"
    utc = exactly_utc(then)
    title = utc if readers_zone_is_utc() else f"{exactly_words(then)} = {utc}"
    return format_html('<time datetime="{}" title="{}" data-ago>{}</time>', _machine(then), title, words)


def _machine(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _with_utc(words: str, moment: datetime) -> SafeString | str:
    """Return a time's words with the exact UTC as title, unless they are in UTC already."""
    if readers_zone_is_utc():
        return words
    return format_html('<time datetime="{}" title="{}">{}</time>', _machine(moment), exactly_utc(moment), words)


@register.simple_tag
def disconnected_words(install: Install, now: datetime) -> SafeString | str:
    """Say who disconnected an install, and what that means; empty if it is connected."""
    if install.disconnected_at is None:
        return ""
    return with_utc(disconnected(by=install.disconnected_by_name, at=install.disconnected_at, now=now))


@register.simple_tag
def since_told(then: datetime, now: datetime) -> SafeString | str:
    """Return "since 11:22 CET, 4 min ago" for a time in the past by OpenTrain's clock, which may be ahead of ours."""
    if then > now:
        return format_html("since {} by OpenTrain's clock, which is ahead of Redeliver's", clock(then, now))
    return format_html("since {}, {}", clock(then, now), ago(then, now))


@register.simple_tag
def now_utc() -> datetime:
    """Return the current time, for allauth's pages, whose views do not pass it."""
    return timezone.now()


@register.simple_tag
def now_ms() -> int:
    """Return the current Unix time in ms, for the script that counts times: the browser's clock may be wrong."""
    return int(timezone.now().timestamp() * SECOND_MS)


@register.simple_tag
def readers_zone() -> str:
    """Return the IANA name of the time zone that times are shown in."""
    return readers_zone_name()


@register.simple_tag(takes_context=True)
def follows_browser(context: Context) -> bool:
    """Return whether the page follows the browser's zone, and shows the same when it is loaded again in it."""
    request = context.get("request")
    if request is None or request.method != "GET" or len(get_messages(request)):
        return False
    is_switched = getattr(request, "other_zone", "") not in {"", UTC_NAME}
    return not is_switched and not getattr(context.get("user"), "time_zone", "")


@register.simple_tag(takes_context=True)
def other_zone(context: Context) -> str:
    """Return the zone that the page can be loaded again in: UTC, or back. Empty if there is none."""
    request = context.get("request")
    return getattr(request, "other_zone", "") if request is not None and request.method == "GET" else ""


@register.filter
def exactly(moment: datetime) -> SafeString | str:
    """Return a time to the second, with its time zone. It may be an element, so not for an attribute."""
    return _with_utc(exactly_words(moment), moment)


@register.filter
def with_utc(words: object) -> SafeString | str:
    """Return a sentence with the UTC of each time in another zone as its title. It may hold elements."""
    if isinstance(words, SafeString):
        return words
    text, done = str(words), 0
    parts: list[str] = []
    for start, end, utc in times_in(text):
        parts += [escape(text[done:start]), format_html('<span title="{}" data-utc>{}</span>', utc, text[start:end])]
        done = end
    if not parts:
        return escape(text)
    return format_html("{}" * (len(parts) + 1), *parts, escape(text[done:]))


@register.simple_tag
def told(words: str, written: datetime | None, now: datetime) -> SafeString | str:
    """Return a sentence that was stored when it was `written`, with its times in the reader's zone.

    Where it is not known when that was, the times stay as they are.
    """
    if written is None:
        return with_utc(words)
    parts = retold(words, written=written, now=now)
    return format_html_join("", "{}", ((_with_utc(part, at) if at is not None else part,) for part, at in parts))


@register.filter
def calling(words: object, user: object) -> SafeString | str:
    """Return a sentence with what its reader calls the handler: "your handler" to the partner's people."""
    if isinstance(words, SafeString):
        return words
    return with_handler(str(words), getattr(user, "handler_is", THE_HANDLER))


@register.filter
def clock(moment: datetime, now: datetime) -> SafeString | str:
    """Return a time of day with its time zone, and the date if it is another day. It may be an element, as above."""
    return _with_utc(clock_words(then=moment, now=now), moment)


@register.filter
def tone(kind: str | None) -> str:
    """Return the colour of a state; empty if the state is unknown."""
    return LOOKS[kind].tone if kind in LOOKS else ""


@register.filter
def state_icon(kind: str) -> str:
    """Return the name of the icon of a state."""
    return LOOKS[kind].icon if kind in LOOKS else "help-circle"


@register.filter
def breakable(url: str) -> SafeString:
    """Return a URL that breaks lines after a slash rather than inside a word."""
    return mark_safe(_AFTER_SLASH.sub("/<wbr>", escape(url)))  # noqa: S308 - escaped, plus our own tag


@register.filter
def short(text: str) -> str:
    """Return the end of an ID, where IDs differ."""
    return text if len(text) <= SHORT else f"…{text[-8:]}"


@register.filter
def size(number: int) -> str:
    """Format a size given in bytes: "29 bytes", "1.2 MB". Django's filter has a space that pages show as its code."""
    return filesizeformat(number).replace("\xa0", " ")


@register.filter
def milliseconds(value: int) -> str:
    """Format a duration given in ms: "42 ms", "9.5 s"."""
    return f"{value} ms" if value < SECOND_MS else f"{value / SECOND_MS:.1f} s"


_LASTS_S: dict[str, Callable[[], int]] = {
    "signature": lambda: TOLERANCE_S,
    "reauthentication": lambda: settings.ACCOUNT_REAUTHENTICATION_TIMEOUT,
    "lockout": lambda: settings.LOCKOUT_S,
    "totp": lambda: settings.MFA_TOTP_PERIOD,
    "poll": lambda: settings.POLL_EVERY_S,
}


@register.simple_tag
def lasts(what: str) -> str:
    """Return a configured duration in words ("five minutes"), for texts that mention a setting."""
    return spelled(duration=timedelta(seconds=_LASTS_S[what]()))


@register.simple_tag
def secret_starts() -> str:
    """Return the prefixes of secrets, separated by spaces, for the script that keeps secrets out of URLs."""
    return " ".join(STARTS)


@register.filter
def as_json(value: object) -> str:
    """Return the value as JSON, for an attribute that a script reads, because pages have no inline scripts."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.filter
def as_outcome(phase: str) -> str:
    """Return the state that draws an action's outcome, because "unknown" is the health of an endpoint."""
    return "unknown_outcome" if phase == "unknown" else phase


@register.filter
def tone_icon(tone: str) -> str:
    """Return the icon of a moment in a timeline, by its tone."""
    return _TONE_ICONS.get(tone, "clock")


@register.filter
def outcome_icon(kind: str) -> str:
    return _OUTCOME_ICONS.get(kind, "help-circle")


@register.simple_tag
def oidc_name() -> str:
    """Return the name of the OpenID Connect sign-in; empty if none is configured."""
    return settings.OIDC_NAME


@register.simple_tag
def has_accounts() -> bool:
    """Return whether there is an account: after the first start there is none. True if no database answers."""
    try:
        return User.objects.exists()
    except (OperationalError, InterfaceError, ImproperlyConfigured):
        return True


@register.simple_tag
@lru_cache(maxsize=64)
def streak(failures: int) -> SafeString:
    """Draw an endpoint's consecutive failures against the auto-disable limit."""
    bars = [{"x": index * 7, "on": index < failures} for index in range(AUTO_DISABLE_AT)]
    tone = LOOKS[endpoint_health(status="ACTIVE", consecutive_failures=failures).kind].tone
    tone = "bad" if failures >= AUTO_DISABLE_AT else tone
    values = {
        "failures": failures,
        "most": AUTO_DISABLE_AT,
        "bars": bars,
        "width": AUTO_DISABLE_AT * 7 - 2,
        "tone": tone,
    }
    return render_to_string("components/_streak.html", values)


@register.simple_tag
def copy(text: str, what: str) -> SafeString:
    """Draw a button that copies `text`; `what` names the text in the button's label and title.

    The button copies exactly these characters: a browser would read a bare carriage return as a line feed. A text that
    was cut gets no button: people would use the copy as if it were whole.
    """
    if not is_whole(text):
        return SafeString("")
    exactly_this = mark_safe(escape(text).replace("\r", "&#13;"))  # noqa: S308 - escaped
    return format_html('<button type="button" class="copy needs-js" data-copy="{}"{}', exactly_this, _copy_labels(what))


@lru_cache(maxsize=256, typed=True)
def _copy_labels(what: str) -> SafeString:
    """Return the button after its text, which is not remembered: it may be a secret."""
    return format_html(
        ' aria-label="Copy {0}" title="Copy {0}">{1}<span class="copied" aria-hidden="true">Copied</span></button>',
        what,
        icon("copy"),
    )


@register.simple_tag
def marks(attempts: int, newest: Sequence[bool]) -> SafeString:
    """Draw a delivery's attempts, oldest first: their number, and the result of each of the `newest`."""
    return _marks(attempts, tuple(newest))


@lru_cache(maxsize=1024, typed=True)
def _marks(attempts: int, newest: tuple[bool, ...]) -> SafeString:
    words = ", ".join("delivered" if ok else "failed" for ok in newest)
    drawn = "".join(_MARKS[ok] for ok in newest)
    return format_html(
        '<span class="marks" role="img" aria-label="{} attempt{}, oldest first: {}">{}{}</span>',
        attempts,
        "" if attempts == 1 else "s",
        words,
        "…" if attempts > len(newest) else "",
        mark_safe(drawn),  # noqa: S308 - only from _MARKS
    )


_MARKS = {True: '<span class="mark-ok">✓</span>', False: '<span class="mark-bad">✗</span>'}


@register.simple_tag(takes_context=True)
def theme(context: Context) -> str:
    """Return the browser's chosen colour theme, or "auto". Error pages have no request."""
    request = context.get("request")
    chosen = request.COOKIES.get("theme", "") if request else ""
    return chosen if chosen in THEMES else "auto"
