"""Pure rules of snapshots: whether what OpenTrain says of an endpoint is older than a change that it has confirmed.

OpenTrain's list may lag behind a change for some seconds: it still shows the endpoint as it was before. Such a snapshot
is stale. It is waited for and not believed, for at most LAG after the change. What a snapshot shows that was neither so
before the change nor after it is newer, and believed at once: a later `disabledAt` is another disable.

Every time that is compared here with another comes from the same clock: each `disabled_at` from OpenTrain's.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

LAG = timedelta(minutes=1)
"""How long after a change that OpenTrain confirmed its list may still show the state from before.

By our own clock, from the answer to the change until the list is requested. After that, the list is believed.
"""


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint as OpenTrain describes it. Without an endpoint there is no state: None stands for it.

    `url_digest` is the URL's (`url_digest`): states are kept and only compared, and a URL can hold a key.
    """

    url_digest: str
    event_types: frozenset[str]
    status: str
    consecutive_failures: int
    disabled_at: datetime | None


def url_digest(url: str) -> str:
    """Return the hexadecimal SHA-256 of a URL."""
    return hashlib.sha256(url.encode()).hexdigest()


def is_stale(
    *, seen: EndpointState | None, stored: EndpointState | None, before: Sequence[EndpointState | None]
) -> bool:
    """Return whether `seen` is older than our changes within LAG.

    `stored` is what OpenTrain confirmed last, `before` what was known before each of the changes.
    """
    if seen is None or stored is None:
        return (seen is None) != (stored is None) and any((one is None) == (seen is None) for one in before)
    earlier = [one for one in before if one is not None]
    return not _is_news(seen, [stored, *earlier]) and any(_is_undone(seen, stored, one) for one in earlier)


def _is_news(seen: EndpointState, known: Sequence[EndpointState]) -> bool:
    """Return whether a value was neither so before our changes nor after them, so that it has come since."""
    if seen.disabled_at is not None:
        told = [one.disabled_at for one in known if one.disabled_at is not None]
        if not told or seen.disabled_at > max(told):
            return True
    return (
        all(seen.url_digest != one.url_digest for one in known)
        or all(seen.event_types != one.event_types for one in known)
        or all(seen.status != one.status for one in known)
    )


def _is_undone(seen: EndpointState, stored: EndpointState, before: EndpointState) -> bool:
    """Return whether a value is as before the change, and the change had replaced it.

    Consecutive failures also grow without a change of ours. So only a count that the change had reset counts.
    """
    return (
        stored.url_digest != seen.url_digest == before.url_digest
        or stored.event_types != seen.event_types == before.event_types
        or stored.status != seen.status == before.status
        or (stored.disabled_at != seen.disabled_at == before.disabled_at and before.disabled_at is not None)
        or stored.consecutive_failures < before.consecutive_failures <= seen.consecutive_failures
    )
