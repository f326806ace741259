"""When a part that ended starts again, and when that is worth a line: at once, then after a wait that grows."""

import signal
from dataclasses import dataclass

LONGEST_WAIT_S = 15.0
"""A part whose cause has gone, such as a full disk, is back within this time."""
STEADY_S = 60.0
"""A part that has run for this long is up: its earlier endings no longer count."""


@dataclass(frozen=True, slots=True)
class Course:
    """The endings of a part in succession: how many, how the last one happened, and the wait after it, in seconds."""

    endings: int = 0
    how: str = ""
    wait_s: float = 0.0


def how_ended(code: int) -> str:
    """Say how a process ended. `code` is a Popen's return code: a status, or the negative number of a signal."""
    if code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:  # real-time signals have no names
        return f"was ended by signal {-code}"


def after_ending(course: Course, *, how: str, ran_s: float) -> Course:
    """Return the course after one more ending, of a run that took `ran_s` seconds."""
    endings = 1 if ran_s >= STEADY_S else course.endings + 1
    return Course(endings=endings, how=how, wait_s=wait_s(endings))


def wait_s(endings: int) -> float:
    """Return the wait after this many endings in succession, in seconds: 0, 1, 2, 4, 8, then LONGEST_WAIT_S."""
    return 0.0 if endings <= 1 else min(2.0 ** min(endings - 2, 10), LONGEST_WAIT_S)


def is_news(before: Course, after: Course) -> bool:
    """Return whether an ending is worth a line: not when it happened, and is followed, as the one before was."""
    return after.endings == 1 or (before.how, before.wait_s) != (after.how, after.wait_s)


def what_follows(course: Course) -> str:
    """Say when the part starts again."""
    if course.wait_s >= LONGEST_WAIT_S:
        return f"It starts again every {LONGEST_WAIT_S:.0f} s. The next line about it says what has changed."
    return f"It starts again in {course.wait_s:.0f} s." if course.wait_s else "It starts again now."


def is_up_again(course: Course, *, ran_s: float) -> bool:
    """Return whether a part that kept failing has now run for STEADY_S."""
    return course.endings > 1 and ran_s >= STEADY_S
