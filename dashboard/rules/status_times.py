"""From when until when an endpoint had each status, exactly as stored, and for how long in all. Pure.

A status is known from when it was first seen until the next one was. Between two looks that are far apart, nothing is
known. All times are on Redeliver's own clock.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dashboard.rules.durations import clock, span
from dashboard.rules.endpoints import HealthKind, Severity

_VAGUE = 10
"""Only one is shown if the longest and shortest value of a duration differ by less than the longest / this."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A change of status, or a look after a gap: seen `at`. Before that, the endpoint was last looked at `not_before`.

    `not_before` is None for the first row, and for those of earlier releases. `failures` is the maximum until the next.
    """

    at: datetime
    not_before: datetime | None
    severity: Severity
    failures: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """The severity of an endpoint from `at` until `until`, and its maximum of consecutive failures.

    Both are None for a time of which nothing is known. It may have begun as early as `earliest`, when the endpoint was
    last seen otherwise.
    """

    at: datetime
    until: datetime
    severity: Severity | None
    failures: int | None
    earliest: datetime


def stretches(
    seen: Iterable[Seen], *, since: datetime, until: datetime, seen_at: datetime | None, gap: timedelta
) -> tuple[Stretch, ...]:
    """Return the status without interruption from `since` to `until`, oldest first. Equal neighbours are merged.

    `seen` are oldest first, with the one in force at `since`. `seen_at` is when the endpoint was last looked at. Looks
    further apart than `gap` leave the time between them unknown.
    """
    found: list[Stretch] = []
    for one in seen:
        begins = max(one.at, since)
        if begins >= until:
            break
        last_look = _last_look(one, found, begins=begins)
        is_gap = begins - last_look > gap
        _end(found, at=last_look if is_gap else begins)
        if is_gap:
            _add(found, Stretch(last_look, begins, None, None, last_look))
        _add(found, Stretch(begins, until, one.severity, one.failures, begins if is_gap else last_look))
    if since < until and (not found or found[0].at > since):
        found.insert(0, Stretch(since, found[0].at if found else until, None, None, since))
    if seen_at is not None and found and found[-1].at < seen_at < until - gap:
        _end(found, at=seen_at)
        _add(found, Stretch(seen_at, until, None, None, seen_at))
    return tuple(found)


def _last_look(one: Seen, found: Sequence[Stretch], *, begins: datetime) -> datetime:
    """Return when the endpoint was last seen as before, within the stretch before; `begins` if there is none."""
    if one.not_before is None or not found:
        return begins
    return min(max(one.not_before, found[-1].at), begins)


def _end(found: list[Stretch], *, at: datetime) -> None:
    """End the last stretch; one that lasts no time is none."""
    if found:
        last = found.pop()
        found += [replace(last, until=at)] if last.at < at else []


def _add(found: list[Stretch], one: Stretch) -> None:
    if found and found[-1].severity == one.severity and found[-1].until == one.at:
        last = found[-1]
        most = None if last.failures is None or one.failures is None else max(last.failures, one.failures)
        found[-1] = replace(last, until=one.until, failures=most)
    else:
        found.append(one)


@dataclass(frozen=True, slots=True)
class Lasted:
    """For how long an endpoint had a status: at least as seen, and at most since it was last seen otherwise."""

    seen: timedelta
    most: timedelta

    @property
    def words(self) -> str:
        """Return "110 s", or "110 s to 2 min" where the looks were too far apart to tell."""
        least, most = span(duration=self.seen), span(duration=self.most)
        return least if least == most or self.most - self.seen < self.most / _VAGUE else f"{least} to {most}"


def lasted(of: Iterable[Stretch]) -> Lasted:
    """Return how long these stretches lasted together."""
    known = list(of)
    seen = sum((one.until - one.at for one in known), timedelta())
    return Lasted(seen, seen + sum((one.at - one.earliest for one in known), timedelta()))


def summary(found: Sequence[Stretch], *, now: datetime) -> str:
    """Say for how long the endpoint was not active, worst first, and of what time nothing is known."""
    kinds = sorted({one.severity for one in found if one.severity not in {None, Severity.ACTIVE}})
    ill = [_lasted_words(kind, found) for kind in kinds]
    most = max((one.failures or 0 for one in found), default=0)
    gaps = [one for one in found[1:] if one.severity is None]
    leading = found[0] if found and found[0].severity is None else None
    said = [f"{', '.join(ill)}; at most {most} consecutive failures." if ill else _active(found)]
    if gaps:
        said.append(f"Not known for {lasted(gaps).words}, while Redeliver could not read it.")
    if leading is not None and len(found) > 1:
        said.append(f"Not known before {clock(then=leading.until, now=now)}.")
    words = " ".join(said)
    return f"{words[:1].upper()}{words[1:]}"


def _active(found: Sequence[Stretch]) -> str:
    return "Active throughout." if all(one.severity is not None for one in found) else "Active as far as is known."


def _lasted_words(kind: Severity | None, found: Sequence[Stretch]) -> str:
    label = HealthKind.UNKNOWN.label if kind is None else HealthKind[kind.name].label
    return f"{label.lower()} for {lasted(one for one in found if one.severity == kind).words}"
