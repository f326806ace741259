"""Pure rules: what is said of an ID that nothing has: what was looked through, what that can mean, and what to do.

An ID that belongs to what a person may not see is unknown to them in the same words as one that does not exist.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dashboard.rules.durations import ago, spelled


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked through; the fields are those of queries.why.LookedThrough.

    `names` are the first installs. `reads_every` is the pause between two reads of contracts, `kept_days` how long the
    log keeps deliveries: 0 means for good.
    """

    installs: int
    names: tuple[str, ...]
    reads_every: timedelta
    kept_days: int
    sees_all: bool = False
    oldest_read_at: datetime | None = None
    newest_read_at: datetime | None = None
    unread: int = 0
    failing: int = 0
    cut: int = 0
    lacking: int = 0
    log_since: datetime | None = None


def looked_words(looked: Looked, *, now: datetime) -> tuple[str, ...]:
    """Say what was looked through, and what of it was out of reach."""
    if not looked.installs:
        return ("You can see no install, so nothing was looked through.",)
    words = [_installs(looked), _contracts(looked, now=now)]
    words += [_gap(count, looked.installs, what) for count, what in _gaps(looked) if count]
    words.append(_log(looked, now=now))
    return tuple(filter(None, words))


def meanings(looked: Looked) -> tuple[str, ...]:
    """Say what it can mean that nothing has the ID, the most frequent first."""
    where = "connected to Redeliver" if looked.sees_all else "among the installs that you can see"
    found = [
        "The ID is incomplete or mistyped. Only complete IDs are found.",
        f"It is of an install that is not {where}, or of another partner's app.",
        "No project is linked to its job: OpenTrain then lists none of its contracts, and sends none of their events.",
        f"It was created a moment ago: contracts and links are read every {spelled(duration=looked.reads_every)}.",
    ]
    if looked.kept_days:
        days = "a day" if looked.kept_days == 1 else f"{looked.kept_days} days"
        found.append(f"It is of a delivery that is no longer in the log: deliveries are deleted after {days}.")
    found.append(
        "OpenTrain never delivered it to Redeliver: the log has only what reached the receiver or was reported."
    )
    return tuple(found)


def next_steps(looked: Looked) -> tuple[str, ...]:
    """Say what to do next."""
    steps = ["Copy the complete ID again, from OpenTrain or from the logs of your handler."]
    if looked.lacking or looked.unread or looked.failing:
        steps.append("Open the install and fix why its contracts could not be read.")
    steps.append("In OpenTrain, check which job and customer it is of, and that this job is linked to a project.")
    steps.append(f"If it is new, look it up again in {spelled(duration=looked.reads_every)}.")
    return tuple(steps)


def _installs(looked: Looked) -> str:
    names = ", ".join(looked.names)
    if looked.installs == 1:
        return f"Looked through 1 install: {names}."
    more = looked.installs - len(looked.names)
    others = f" and {more:,} more" if more > 0 else ""
    return f"Looked through {looked.installs:,} installs: {names}{others}."


def _contracts(looked: Looked, *, now: datetime) -> str:
    if looked.oldest_read_at is None or looked.newest_read_at is None:
        return "Their contracts and links were never read from OpenTrain, so nothing is known of them."
    oldest, newest = ago(then=looked.oldest_read_at, now=now), ago(then=looked.newest_read_at, now=now)
    if oldest == newest:
        return f"Contracts and links were last read {oldest}."
    return f"Contracts and links were last read {newest}, those of one install {oldest}."


def _gaps(looked: Looked) -> tuple[tuple[int, str], ...]:
    return (
        (looked.unread if looked.oldest_read_at is not None else 0, "contracts were never read"),
        (looked.lacking, "the token may not read contracts or project links"),
        (looked.failing, "the last read failed"),
        (looked.cut, "some contracts were out of reach: OpenTrain lists only the newest"),
    )


def _gap(count: int, installs: int, what: str) -> str:
    if installs == 1:
        return f"{what[0].upper()}{what[1:]}."
    return f"Of {count:,} of these installs, {what}."


def _log(looked: Looked, *, now: datetime) -> str:
    if looked.log_since is None:
        return "The delivery log is empty."
    return f"The delivery log was looked through since its first delivery, {ago(then=looked.log_since, now=now)}."
