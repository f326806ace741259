"""Full garbage collections at times when they cost little.

A full collection traverses every object of every delivery that waits, and all other deliveries are held up meanwhile.
CPython begins one whenever a quarter more objects have grown old, so deliveries that begin to wait cause one after the
other. Here one runs when few deliveries wait, and else after MOST_S. Until then, what refers to itself stays in memory:
asyncio's transports, for each connection that has lived for some seconds.
"""

import asyncio
import gc
from collections.abc import Callable

FEW = 100
"""Deliveries that may wait during a full collection."""
CALM_S, MOST_S = 5.0, 30.0
"""Seconds between two full collections while few deliveries wait, and while many do."""
_LOOK_EVERY_S = 1.0
_NEVER = 1_000_000_000


async def collect_when_calm(
    *, waiting: Callable[[], int], few: int = FEW, calm_s: float = CALM_S, most_s: float = MOST_S
) -> None:
    """Run the full collections of this process until cancelled. `waiting` returns how many deliveries wait now."""
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    loop = asyncio.get_running_loop()
    collected_at = loop.time()
    try:
        while True:
            await asyncio.sleep(min(_LOOK_EVERY_S, calm_s))
            if loop.time() - collected_at >= (calm_s if waiting() <= few else most_s):
                gc.collect()
                collected_at = loop.time()
    finally:
        gc.set_threshold(young, middle, old)
