"""How long a fault is kept up: FAULT_SECONDS, about 10 in the suite; `make test-faults` asks for a minute."""

import os

FAULT_SECONDS = float(os.environ.get("FAULT_SECONDS", "10"))


def fitting(per_minute: int, *, least: int) -> int:
    """Return how often something is done that takes a minute `per_minute` times, `least` times at the least."""
    return max(least, round(per_minute * FAULT_SECONDS / 60))
