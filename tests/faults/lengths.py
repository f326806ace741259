"""FAULT_SECONDS, the duration of a fault: 10 in the suite, 60 in `make test-faults`."""

import os

FAULT_SECONDS = float(os.environ.get("FAULT_SECONDS", "10"))


def fitting(per_minute: int, *, least: int) -> int:
    """Return the number of repetitions that fit into FAULT_SECONDS at `per_minute`, but at least `least`."""
    return max(least, round(per_minute * FAULT_SECONDS / 60))
