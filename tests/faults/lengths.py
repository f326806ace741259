"""How long a fault lasts, in seconds: FAULT_SECONDS. 10 in the suite, 60 in `make test-faults`."""

import os

FAULT_SECONDS = float(os.environ.get("FAULT_SECONDS", "10"))


def fitting(per_minute: int, *, least: int) -> int:
    """Return how many repetitions fit into FAULT_SECONDS when a minute has room for `per_minute`; `least` at least."""
    return max(least, round(per_minute * FAULT_SECONDS / 60))
