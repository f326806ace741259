"""Lengths of time in words."""

from datetime import datetime, timedelta


def ago(*, then: datetime, now: datetime) -> str:
    """Return "14 min ago"; "just now" for less than a second and for a clock that is a little ahead of ours."""
    passed = now - then
    return "just now" if passed < timedelta(seconds=1) else f"{span(duration=passed)} ago"


def span(*, duration: timedelta) -> str:
    """Return a length of time in its largest fitting unit, rounded down: "45 s", "14 min", "5 h", "3 days"."""
    seconds = max(int(duration.total_seconds()), 0)
    for size, unit in ((172_800, "days"), (7200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'days': 86_400, 'h': 3600, 'min': 60}[unit]} {unit}"
    return f"{seconds} s"


def within(*, earliest: datetime, latest: datetime, now: datetime) -> str:
    """Say when something comes that is due at `earliest` and done by the delivery run until `latest`."""
    if now >= latest:
        return "any moment now"
    if now >= earliest:
        return f"within {span(duration=latest - now)}"
    first, last = span(duration=earliest - now), span(duration=latest - now)
    return f"in about {first}" if first == last else f"in {first} to {last}"
