"""Progress of a redelivery in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """The outcome of a finished redelivery: how it is drawn, and its words."""

    kind: str
    label: str
    words: str


def ended(*, requeued: int, delivered: int) -> Ended:
    """Return the outcome of a redelivery whose deliveries have all arrived."""
    if failed := requeued - delivered:
        words = f"All {requeued} arrived: {delivered} delivered, {failed} failed again. The causes are below."
        return Ended("failed", "Failed again", words)
    words = "It arrived and was delivered." if requeued == 1 else f"All {requeued} arrived and were delivered."
    return Ended("delivered", "Delivered", words)


def so_far(*, delivered: int, failed: int) -> str:
    """Return ", 3 delivered, 1 failed again"; empty until a delivery arrives."""
    if not delivered + failed:
        return ""
    return f", {delivered} delivered{f', {failed} failed again' if failed else ''}"
