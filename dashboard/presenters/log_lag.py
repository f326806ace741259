"""What pages say of attempts that are not in the log yet."""

from datetime import datetime

from dashboard.models import User
from dashboard.queries import receivers
from dashboard.rules.receivers import lag_words


def log_lag(*, user: User, now: datetime) -> tuple[str, ...]:
    """Return sentences about what the log may lack; empty if nothing.

    Support reads the names and numbers. They are of all customers, so others read only that the log may lag.
    """
    found = receivers.lagging(now=now)
    if user.sees_every_install:
        return tuple(report.words(now=now) for report in found)
    words = lag_words(found, now=now)
    return (words,) if words else ()
