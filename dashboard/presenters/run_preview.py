"""What the preview of a bulk run is called, and where it leads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Links:
    """The list, this preview, and the same preview of the failed ones alone, or with the delivered ones."""

    list: str
    here: str
    failed: str
    delivered: str


def links(*, listed: str, here: str, query: str, with_delivered: bool) -> Links:
    """Return where the preview of a filter leads; `query` is the filter's."""
    delivered = _address(here, query, "delivered=1")
    return Links(
        list=_address(listed, query),
        here=delivered if with_delivered else _address(here, query),
        failed=_address(here, query, "state=failed"),
        delivered=delivered,
    )


def heading(chosen: int | None) -> str:
    """Say how many would be redelivered; None where that cannot be told."""
    if chosen is None:
        return "This cannot be redelivered like this"
    return f"Redeliver {chosen} deliver{'y' if chosen == 1 else 'ies'}" if chosen else "Nothing to redeliver"


def _address(url: str, *queries: str) -> str:
    query = "&".join(one for one in queries if one)
    return f"{url}?{query}" if query else url
