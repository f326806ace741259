"""The figures of the last 24 hours as pages show them: never a number that the log does not know."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.models import Endpoint, Install, User
from dashboard.queries import figures as found
from dashboard.queries.install_endpoints import FEW, InstallEndpoint, are_few
from dashboard.rules.durations import clock
from dashboard.rules.figures import MEANING, Figures, Tried, success

NOT_LOGGED = "Not known: its deliveries don't pass through Redeliver, and its handler doesn't report them."
NONE_LOGGED = "Not known: no deliveries of this install pass through Redeliver."
NO_ENDPOINTS = "It has no endpoints."
NOT_SUMMED = f"Not summed up for more than {FEW} endpoints. The install's page has the figures of each."
NOT_TRIED = "No delivery was attempted in the last 24 hours."
NOT_TIMED = "No attempt in the last 24 hours was answered by the handler."

HIGH = 20
"""Height of a spark line, in px."""
LEAST = 3
"""Least height of a part with attempts."""
WIDE, STEP = 2, 3
"""Width of a bar, and from one to the next."""


@dataclass(frozen=True, slots=True)
class Spark:
    """A spark line: the paths of its bars, and what it shows in words."""

    taken: str
    failed: str
    none: str
    words: str
    width: int
    height: int = HIGH


@dataclass(frozen=True, slots=True)
class Shown:
    """The figures of an endpoint or an install. `why` says why there are none, or what they count.

    `since` is from when on attempts are counted, if that is less than 24 hours ago. `timed` says why no time is known
    although attempts are.
    """

    success: str
    why: str
    is_known: bool
    p50_ms: int | None = None
    p95_ms: int | None = None
    timed: str = ""
    since: str = ""
    last_at: datetime | None = None
    last_ok: bool = False
    failed: int = 0
    spark: Spark | None = None


@dataclass(frozen=True, slots=True)
class EndpointFigures:
    """An endpoint with its figures."""

    endpoint: Endpoint
    figures: Shown


@dataclass(frozen=True, slots=True)
class Lately:
    """Endpoints with their figures, last active first, and whether there are more."""

    rows: Sequence[EndpointFigures]
    more: bool
    meaning: str = MEANING


def lately_active(*, user: User, count: int, most: int, now: datetime) -> Lately:
    """Return the figures of up to `most` of the user's `count` endpoints."""
    visible = Endpoint.objects.visible_to(user).registered().connected().select_related("install")
    endpoints = found.lately_active(visible.defer("secret", "install__token"), count=count, most=most)
    shown = of_endpoints(endpoints, now=now)
    return Lately([EndpointFigures(one, shown[one.pk]) for one in endpoints], more=count > len(endpoints))


def of_endpoints(endpoints: Sequence[Endpoint], *, now: datetime) -> dict[int, Shown]:
    """Return the figures of endpoints by primary key."""
    figures = found.of_endpoints(endpoints, now=now)
    return {one.pk: shown(figures[one.pk], now=now) if one.pk in figures else unknown(NOT_LOGGED) for one in endpoints}


def of_installs(
    installs: Iterable[Install], *, endpoints: Iterable[InstallEndpoint], now: datetime
) -> dict[int, Shown]:
    """Return the figures of installs, summed up over their endpoints, by primary key."""
    figures = found.of_installs(endpoints, now=now)
    return {one.pk: _of_install(one, figures, now=now) for one in installs}


def unknown(why: str) -> Shown:
    return Shown("—", why, is_known=False)


def shown(figures: Figures, *, now: datetime) -> Shown:
    """Return what is known of an endpoint with a log."""
    if not figures.attempts:
        why = f"{NOT_TRIED} {_since_words(figures, now=now)}".strip()
        return Shown("—", why, is_known=False, last_at=figures.last_at, last_ok=figures.last_ok)
    counted = f"{figures.taken:,} of {figures.attempts:,} attempts in the last 24 hours were taken by the handler."
    return Shown(
        success=success(taken=figures.taken, failed=figures.failed),
        why=f"{counted} {_since_words(figures, now=now)}".strip(),
        is_known=True,
        p50_ms=figures.p50_ms,
        p95_ms=figures.p95_ms,
        timed="" if figures.p50_ms is not None else NOT_TIMED,
        since="" if figures.since is None else f"since {clock(then=figures.since, now=now)}",
        last_at=figures.last_at,
        last_ok=figures.last_ok,
        failed=figures.failed,
        spark=spark(figures.parts),
    )


def spark(parts: Sequence[Tried | None]) -> Spark:
    """Return the spark line of each hour's attempts. An hour that is not known has no bar, one without any a dash."""
    most = max((one.taken + one.failed for one in parts if one is not None), default=0)
    taken, failed, none = [], [], []
    for number, one in enumerate(parts):
        if one is None:
            continue
        x, up = number * STEP, _height(one.taken, most)
        if not one.taken + one.failed:
            none.append(_bar(x, 0, 1))
        if one.taken:
            taken.append(_bar(x, 0, up))
        if one.failed:
            failed.append(_bar(x, min(up, HIGH - LEAST), _height(one.failed, most)))
    return Spark("".join(taken), "".join(failed), "".join(none), _spark_words(parts, most), len(parts) * STEP)


def _of_install(install: Install, figures: Mapping[int, Figures], *, now: datetime) -> Shown:
    if not install.endpoint_count:
        return unknown(NO_ENDPOINTS)
    if not are_few(install):
        return unknown(NOT_SUMMED)
    return shown(figures[install.pk], now=now) if install.pk in figures else unknown(NONE_LOGGED)


def _since_words(figures: Figures, *, now: datetime) -> str:
    """Say from when on attempts are counted, if that is not the whole day."""
    if figures.since is None:
        return ""
    at = clock(then=figures.since, now=now)
    return f"Counted are the newest deliveries, since {at}." if figures.is_cut else f"The log begins {at}."


def _height(count: int, most: int) -> float:
    return max(round(count * HIGH / most, 1), LEAST) if count else 0


def _bar(x: int, bottom: float, height: float) -> str:
    """Return the path of a bar that stands `bottom` above the line, and is cut at the top."""
    high = min(height, HIGH - bottom)
    return f"M{x} {HIGH - bottom:g}v-{high:g}h{WIDE}v{high:g}z"


def _spark_words(parts: Sequence[Tried | None], most: int) -> str:
    ill = sum(1 for one in parts if one is not None and one.failed)
    if not most:
        return "No attempts in the last 24 hours"
    words = f"Attempts per hour, last 24 hours: at most {most:,}"
    return f"{words}; failures in {ill} hour{'' if ill == 1 else 's'}" if ill else f"{words}; no failures"
