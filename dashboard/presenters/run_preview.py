"""Heading and links of the preview of a bulk run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Links:
    """URLs of the list, of this preview, and of the preview with only failed or with delivered ones too."""

    list: str
    here: str
    failed: str
    delivered: str


def links(*, listed: str, here: str, query: str, with_delivered: bool) -> Links:
    """Return the links of a filter's preview; `query` is the filter's query string."""
    delivered = _address(here, query, "delivered=1")
    return Links(
        list=_address(listed, query),
        here=delivered if with_delivered else _address(here, query),
        failed=_address(here, query, "state=failed"),
        delivered=delivered,
    )


def heading(chosen: int | None, *, overtaken: int = 0) -> str:
    """Return the heading. `chosen` is the number of deliveries to redeliver, None if the filter is not possible.

    `overtaken` is the number of those that are redelivered only if that is chosen.
    """
    if chosen is None:
        return "This cannot be redelivered like this"
    if chosen:
        return f"Redeliver {chosen} deliver{'y' if chosen == 1 else 'ies'}"
    if overtaken:
        return f"Redeliver {overtaken} overtaken deliver{'y' if overtaken == 1 else 'ies'}?"
    return "Nothing to redeliver"


def _address(url: str, *queries: str) -> str:
    query = "&".join(one for one in queries if one)
    return f"{url}?{query}" if query else url
