"""The rule of what is hidden of URLs and headers, with the patterns of MASKED_NAMES, which nothing else reads.

From the environment and not from Django's settings, because log lines need it before those are read.
"""

import os
from functools import lru_cache

from dashboard.config.environment import split
from dashboard.rules.masking import Masking


def masking() -> Masking:
    """Return the rule."""
    return _masking(os.environ.get("MASKED_NAMES", ""))


@lru_cache(maxsize=2)
def _masking(names: str) -> Masking:
    return Masking(names=split(names))
