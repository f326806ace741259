"""Times in which an endpoint was sent nothing, for as long as nothing proves that no event of them is missing.

The same box stands on the endpoint's page, on a run's, and in the inbox: of which time, what contracts tell, and what
the install's other endpoints received.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.urls import reverse

from dashboard.auth.permissions import Permission, may
from dashboard.config.schedule import reconcile_every, schedule
from dashboard.db.statement_timeout import TooSlow, at_most
from dashboard.forms import delivery_filters
from dashboard.models import Endpoint, Run, User
from dashboard.models.endpoints import DISABLED
from dashboard.presenters import controls
from dashboard.presenters.controls import Control, Link
from dashboard.presenters.lost_window import contracts_link
from dashboard.presenters.operations import operation_id
from dashboard.queries import lost_window
from dashboard.queries.lost_window import Span, Stopped
from dashboard.queries.siblings import Window, siblings_of
from dashboard.queries.window_checks import checks_of, settled_lately
from dashboard.rules.durations import clock
from dashboard.rules.lost_window import Lost, Stop, stop_words
from dashboard.rules.may_be_missing import (
    IN_INBOX_FOR,
    ON_PAGE_FOR,
    Received,
    Siblings,
    clear_words,
    is_proven,
    is_said_by_contracts,
    span_words,
    why_words,
    window_words,
)
from dashboard.rules.run_endings import Ending, EndingKind, ending
from dashboard.rules.window_checks import Check, can_be_checked, checked, counted_words, span_text

SHOWN = 10
"""Endpoints with such a time in the inbox, the newest."""
LOOKED_AT = 20
"""Endpoints that the inbox looks at, those that were seen stopped last."""
LIMIT_MS = 300
"""Time limit, in milliseconds, of each query of what other endpoints received."""
_TOO_SLOW = (
    f"What the install's other endpoints received then is not counted: that takes longer than {LIMIT_MS / 1000:g} s."
)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SiblingRow:
    """Another endpoint of the install, and what it received: numbers by event type, each with the list behind it."""

    title: str
    url: str
    counts: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class MissingWindow:
    """A time of which events may be missing at an endpoint: `words` names it, `why` says why nothing was sent.

    `contracts` say what contracts tell of it. `seen` introduces what the install's other endpoints received, and
    `absent` says how much of that the endpoint lacks; where they received nothing, `remark` says so instead. `checked`
    says who checked it, and `mark` is what a user who may can do about that.
    """

    id: str
    endpoint: Endpoint
    stop: Stop
    words: str
    why: str
    contracts: tuple[str, ...] = ()
    control: Link | None = None
    seen: str = ""
    siblings: tuple[SiblingRow, ...] = ()
    absent: str = ""
    remark: str = ""
    earlier: int = 0
    """Such times of the same endpoint before this one."""
    ending: EndingKind | None = None
    checked: str = ""
    check: Check | None = None
    mark: Control | None = None

    @property
    def name(self) -> str:
        """What it is called in forms and URLs; empty while it lasts."""
        return span_text(self.stop)

    @property
    def is_fact(self) -> bool:
        """Whether no check covers it: it lasts, or contracts show what is missing."""
        return not can_be_checked(self.stop, self.ending)

    @property
    def is_checkable(self) -> bool:
        """Whether a person may say that they checked it, and none has."""
        return self.check is None and not self.is_fact


def windows_of(endpoint: Endpoint, *, user: User | None = None, now: datetime) -> list[MissingWindow]:
    """Return the times of the last ON_PAGE_FOR, newest first, of which events may be missing at an endpoint.

    Without a user, nothing can be done about them.
    """
    if endpoint.opentrain_id is None or endpoint.deleted_at is not None:
        return []
    found = open_stops([endpoint], since=now - ON_PAGE_FOR, now=now)
    if endpoint.status == DISABLED and all(stop.until is not None for _endpoint, stop, _ended in found):
        stop = lost_window.stop_of(endpoint, now=now)  # its history may be older, or gone
        found = [(endpoint, stop, None), *found] if stop is not None else found
    return _with_checks(windows(found, now=now), user=user, now=now)


def window_at(
    endpoint: Endpoint, named: tuple[datetime, datetime], *, user: User, now: datetime
) -> MissingWindow | None:
    """Return the time with exactly these ends, without what other endpoints received; None if it is none, or proven."""
    since, until = named
    stop = lost_window.stop_at(endpoint, since=since, until=until)
    if stop is None:
        return None
    ended = _kind(_endings([(endpoint, stop)], now=now).get(0))
    if is_proven(ended, event_types=endpoint.event_types):
        return None
    words = window_words(stop, ended, event_types=endpoint.event_types, now=now)
    window = MissingWindow("", endpoint, stop, words, why_words(stop), ending=ended)
    [found] = _with_checks([window], user=user, now=now)
    return found


def window_after(
    run: Run, ended: EndingKind | None, *, user: User | None = None, now: datetime
) -> MissingWindow | None:
    """Return the time before the end of a run of which events may be missing; None if there is none, or it is proven.

    What contracts tell of it, the run says itself. Nor is anything to be added where that is all.
    """
    types = run.endpoint.event_types
    if run.ended_at is None or is_said_by_contracts(ended, event_types=types):
        return None
    _spans, stops = lost_window.spans_of([run])
    stop = stops[run.pk].stop
    if stop is None or is_proven(ended, event_types=types):
        return None
    [found] = windows([(run.endpoint, stop, None)], now=now)
    words = window_words(stop, ended, event_types=types, now=now)
    [found] = _with_checks([replace(found, ending=ended)], user=user, now=now)
    return replace(found, words=words, contracts=(), control=None)


@dataclass(frozen=True, slots=True)
class InboxWindows:
    """The times of the last IN_INBOX_FOR of which events may be missing, the newest of each endpoint.

    `reasons` are those of endpoints that the inbox shows anyway: their words, by the endpoint's primary key. `more`:
    more endpoints were stopped than were looked at. `checked` are times that people checked: they are not shown.
    """

    shown: tuple[MissingWindow, ...] = ()
    reasons: Mapping[int, str] = field(default_factory=dict)
    endpoints: int = 0
    more: bool = False
    checked: int = 0

    @property
    def left(self) -> int:
        """How many endpoints with such a time are not shown."""
        return self.endpoints - len(self.shown) - len(self.reasons)

    @property
    def words(self) -> str:
        """Say that events may be missing; empty if it is proven that none is, or people checked."""
        return clear_words(self.endpoints, more=self.more)

    @property
    def checked_words(self) -> str:
        """Say how many times people checked, which proves nothing; empty if there is none."""
        return counted_words(self.checked)


def inbox_windows(
    *, user: User, in_need: Collection[int], told_installs: Collection[int], now: datetime
) -> InboxWindows:
    """Return the times of which events may be missing at the endpoints that a user may see.

    `in_need` are the endpoints that the inbox shows anyway. `told_installs` are the installs of which it says what
    missing events of contracts mean: where no other events were lost, that says it better.
    """
    since = now - IN_INBOX_FOR
    stopped = _stopped(user, since=since)
    settled = settled_lately(user=user, since=since) if stopped else []  # they may have earlier times
    known = {one.pk for one in settled}
    if known and len(stopped) > LOOKED_AT:  # then they take the places of others
        stopped = _stopped(user, since=since, without=known)
    stopped = [one for one in stopped if one.pk not in known]
    looked_at = [*stopped[:LOOKED_AT], *settled]
    checks = checks_of([one.pk for one in looked_at]) if looked_at else {}
    of_endpoint: dict[int, list[tuple[Endpoint, Stop, Ending | None]]] = defaultdict(list)
    outdated: dict[int, str] = {}
    covered = 0
    for one in open_stops(looked_at, since=since, now=now):
        endpoint, stop, ended = one
        if _is_told(one, told_installs):
            continue
        said = checked(stop, _kind(ended), checks=checks.get(endpoint.pk, ()), now=now)
        covered += said.covers
        if not said.covers:
            outdated.setdefault(endpoint.pk, said.words)
            of_endpoint[endpoint.pk].append(one)
    others = [found[0] for pk, found in of_endpoint.items() if pk not in in_need]
    shown = [
        _once(replace(one, earlier=len(of_endpoint[one.endpoint.pk]) - 1), told_installs)
        for one in windows(others[:SHOWN], now=now)
    ]
    return InboxWindows(
        shown=tuple(_with_checks(shown, checks=checks, user=user, now=now)),
        reasons={
            pk: f"{_words(*found[0], now=now)} {outdated[pk]}".strip()
            for pk, found in of_endpoint.items()
            if pk in in_need
        },
        endpoints=len(of_endpoint),
        more=len(stopped) > LOOKED_AT,
        checked=covered,
    )


def _stopped(user: User, *, since: datetime, without: Collection[int] = ()) -> list[Endpoint]:
    """Return the endpoints that were seen stopped since then, the last first: one more than is looked at, if there are.

    Mostly there are none, and the inbox is read all the time, so whole rows are read only if there are any.
    """
    rows = Endpoint.objects.visible_to(user).registered().connected().filter(stopped_seen_at__gte=since)
    rows = rows.exclude(pk__in=without) if without else rows
    ids = list(rows.order_by("-stopped_seen_at", "pk").values_list("pk", flat=True)[: LOOKED_AT + 1])
    if not ids:
        return []
    found = Endpoint.objects.select_related("install").defer("secret", "install__token").in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]


def _once(window: MissingWindow, told_installs: Collection[int]) -> MissingWindow:
    """Return the window without what the inbox says of its install's contracts."""
    if window.endpoint.install_id not in told_installs:
        return window
    return replace(window, contracts=(), control=None)


def _is_told(found: tuple[Endpoint, Stop, Ending | None], told_installs: Collection[int]) -> bool:
    endpoint, _stop, ended = found
    return endpoint.install_id in told_installs and is_said_by_contracts(_kind(ended), event_types=endpoint.event_types)


def _words(endpoint: Endpoint, stop: Stop, ended: Ending | None, *, now: datetime) -> str:
    return window_words(stop, _kind(ended), event_types=endpoint.event_types, now=now)


def open_stops(
    endpoints: Sequence[Endpoint], *, since: datetime, now: datetime
) -> list[tuple[Endpoint, Stop, Ending | None]]:
    """Return the times in which each endpoint was sent nothing, without those of which all is proven, newest first.

    Each has what a read of contracts tells of it: None while it lasts, or where no contract event is subscribed.
    """
    looked_at = [one for one in endpoints if one.stopped_seen_at is not None and one.stopped_seen_at >= since]
    of_endpoint = lost_window.stops([Span(one.pk, one, since, now) for one in looked_at])
    found = [(one, stop) for one in looked_at for stop in of_endpoint[one.pk]]
    ended = _endings(found, now=now)
    told = [(one, stop, ended.get(key)) for key, (one, stop) in enumerate(found)]
    unproven = [row for row in told if not is_proven(_kind(row[2]), event_types=row[0].event_types)]
    return sorted(unproven, key=lambda row: row[1].since, reverse=True)


def _endings(found: Sequence[tuple[Endpoint, Stop]], *, now: datetime) -> dict[int, Ending]:
    """Return, by position, what a read of contracts proves about each time that is over."""
    over = {
        key: (Span(key, one, stop.since, stop.until), Stopped(stop, is_known=True))
        for key, (one, stop) in enumerate(found)
        if stop.until is not None and lost_window.subscribes(one)
    }
    if not over:
        return {}
    facts = lost_window.ending_facts(
        [span for span, _stopped in over.values()], {key: stopped for key, (_span, stopped) in over.items()}
    )
    return {key: ending(one, every=reconcile_every(), now=now) for key, one in facts.items()}


def windows(found: Sequence[tuple[Endpoint, Stop, Ending | None]], *, now: datetime) -> list[MissingWindow]:
    """Return these times with all that is said of them."""
    looked_at = [_looked_at(key, one, stop, now=now) for key, (one, stop, _ended) in enumerate(found)]
    siblings = _siblings(looked_at)
    titles, lasting = _titles(siblings.values()), _while_it_lasts(found, now=now)
    rows = []
    for key, (endpoint, stop, ended) in enumerate(found):
        contracts, control = lasting.get(key, ((), None))
        rows.append(
            _with_siblings(
                MissingWindow(
                    id=f"window-{endpoint.pk}-{int(stop.since.timestamp())}",
                    endpoint=endpoint,
                    stop=stop,
                    words=_words(endpoint, stop, ended, now=now),
                    why=why_words(stop),
                    contracts=(ended.words,) if ended is not None else contracts,
                    control=control,
                    ending=_kind(ended),
                ),
                looked_at[key],
                siblings.get(key),
                titles,
                now=now,
            )
        )
    return rows


def _with_checks(
    found: Sequence[MissingWindow],
    *,
    checks: Mapping[int, Sequence[Check]] | None = None,
    user: User | None,
    now: datetime,
) -> list[MissingWindow]:
    """Return these times with who checked each, and what the user can do about that."""
    of_endpoint = checks if checks is not None else checks_of({one.endpoint.pk for one in found}) if found else {}
    rows = []
    for one in found:
        said = checked(one.stop, one.ending, checks=of_endpoint.get(one.endpoint.pk, ()), now=now)
        row = replace(one, checked=said.words, check=said.check)
        rows.append(replace(row, mark=_mark(row, user=user, now=now)))
    return rows


def _mark(window: MissingWindow, *, user: User | None, now: datetime) -> Control | None:
    if user is None or not may(user, Permission.OPERATE):
        return None
    endpoint, called = window.endpoint, f"{window.endpoint.title}, {span_words(window.stop, now=now)}"
    if window.check is not None:
        subject = f"{endpoint.pk}/{window.check.id}"
        operation = operation_id(user_id=user.pk, action="show again", subject=subject, last_answer=0)
        return controls.show_again(endpoint.pk, window=window.name, operation=operation, called=called)
    if window.is_fact or endpoint.opentrain_id is None or endpoint.deleted_at is not None:
        return None
    return controls.mark_checked(endpoint.pk, window=window.name, called=called)


def _while_it_lasts(
    found: Sequence[tuple[Endpoint, Stop, Ending | None]], *, now: datetime
) -> dict[int, tuple[tuple[str, ...], Link | None]]:
    """Return, by position, what contracts did in each time that is not over."""
    spans = {
        key: Span(key, one, stop.since, now)
        for key, (one, stop, _ended) in enumerate(found)
        if stop.until is None and lost_window.subscribes(one)
    }
    changed = lost_window.found_in(list(spans.values())) if spans else {}
    reads = lost_window.reads_of({one.endpoint.install_id for one in spans.values()}) if spans else {}
    return {
        key: (
            stop_words(found[key][1], changed[key], reads=reads[one.endpoint.install_id], now=now),
            contracts_link(Lost(endpoint=one.endpoint.pk), changed[key], install_id=one.endpoint.install_id),
        )
        for key, one in spans.items()
    }


def _looked_at(key: int, endpoint: Endpoint, stop: Stop, *, now: datetime) -> Window:
    """Return the time in which others received what happened then: OpenTrain sends it with the next delivery run."""
    since, until = stop.since.replace(microsecond=0), (stop.until or now) + schedule().run_interval
    return Window(key, endpoint, since, min(until, now).replace(microsecond=0) + _SECOND)


def _siblings(looked_at: Sequence[Window]) -> dict[int, Siblings]:
    """Return what others received, by position; nothing if counting it takes too long."""
    if not looked_at:
        return {}
    try:
        with at_most(ms=LIMIT_MS):
            return siblings_of(looked_at)
    except TooSlow:
        return {}


def _titles(siblings: Iterable[Siblings]) -> dict[int, str]:
    ids = {one.endpoint for of_window in siblings for one in of_window.received}
    return {one.pk: one.title for one in Endpoint.objects.filter(pk__in=ids).defer("secret")} if ids else {}


def _with_siblings(
    window: MissingWindow, looked_at: Window, siblings: Siblings | None, titles: dict[int, str], *, now: datetime
) -> MissingWindow:
    if siblings is None:
        return replace(window, remark=_TOO_SLOW)
    if not siblings.received:
        return replace(window, remark=siblings.remark)
    first, last = clock(then=looked_at.since, now=now), clock(then=looked_at.until, now=now)
    return replace(
        window,
        seen=f"Received by the install's other endpoints from {first} to {last}:",
        siblings=tuple(_row(one, titles, looked_at) for one in siblings.received),
        absent=siblings.absent_words,
    )


def _row(received: Received, titles: dict[int, str], looked_at: Window) -> SiblingRow:
    deliveries = reverse("endpoint-deliveries", args=[received.endpoint])
    span = {"from": _second(looked_at.since), "to": _second(looked_at.until - _SECOND)}
    counts = tuple(
        Link(one.words, f"{deliveries}?{delivery_filters.link_query({'event': one.event_type, **span})}")
        for one in received.counts
    )
    url = reverse("endpoint-detail", args=[received.endpoint])
    return SiblingRow(titles.get(received.endpoint, ""), url, counts)


def _second(moment: datetime) -> str:
    """Return a time as filters read it. A range includes the second that its end names."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}Z"


def _kind(ended: Ending | None) -> EndingKind | None:
    return None if ended is None else ended.kind
