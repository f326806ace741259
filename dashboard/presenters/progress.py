"""How far a redelivery has come, in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of all that was requested again: how it is drawn, and in words."""

    kind: str
    label: str
    words: str


def ended(*, requeued: int, delivered: int) -> Ended:
    """Say what became of the deliveries, all of which have arrived."""
    if failed := requeued - delivered:
        words = f"All {requeued} arrived: {delivered} delivered, {failed} failed again. The causes are below."
        return Ended("failed", "Failed again", words)
    words = "It arrived and was delivered." if requeued == 1 else f"All {requeued} arrived and were delivered."
    return Ended("delivered", "Delivered", words)


def so_far(*, delivered: int, failed: int) -> str:
    """Return ", 3 delivered, 1 failed again"; empty while none has arrived."""
    if not delivered + failed:
        return ""
    return f", {delivered} delivered{f', {failed} failed again' if failed else ''}"
