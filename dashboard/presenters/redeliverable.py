"""Which deliveries of a selection can be redelivered: for the preview of a run, and for the link that leads to it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.actions.runs import commands
from dashboard.actions.runs.commands import Split
from dashboard.models import Delivery, Endpoint
from dashboard.models.endpoints import DISABLED
from dashboard.presenters.runs import RunRow, annotated_run, run_row
from dashboard.queries import delivery_lists
from dashboard.queries.delivery_criteria import DeliveryCriteria, Scope
from dashboard.queries.inbox import with_newest_run
from dashboard.rules.answers import is_unknown, unknown_status
from dashboard.rules.installs import NEEDS_PERSON

MOST_ENDPOINTS = 50
"""Runs that can start at once."""
JUDGED = (
    *("endpoint_id", "standing", "last_ok", "requested_at", "last_cause", "last_status", "first_received_at"),
    *("resource_id", "event_type", "event_id", "event_created_at"),
)
"""Columns of deliveries that decide, and that the preview shows."""


class TooManyEndpoints(Exception):
    """The deliveries belong to more endpoints than runs can start at once. The message says so."""


@dataclass(frozen=True, slots=True)
class Part:
    """The deliveries to redeliver on one endpoint, and those of it that are overtaken.

    `obstacle` says why none can be redelivered; `helps` names the remedy.
    """

    endpoint: Endpoint
    chosen: Sequence[Delivery]
    overtaken: Sequence[Delivery]
    obstacle: str = ""
    helps: str = ""
    active: RunRow | None = None

    @property
    def can_start(self) -> bool:
        return not self.obstacle and self.active is None

    @property
    def count(self) -> int:
        """The number of deliveries that a run would request, or that none can request."""
        return len(self.chosen if self.can_start else self.all)

    @property
    def all(self) -> Sequence[Delivery]:
        return [*self.chosen, *self.overtaken]


@dataclass(frozen=True, slots=True)
class Redeliverable:
    """How many deliveries of a list can be redelivered, and how many more that later events have overtaken.

    None: some, but not counted, because there are too many. `blocked` are those that cannot be redelivered now, by
    endpoint. `delivered`: some of them were delivered, and can be sent again.
    """

    count: int | None = 0
    overtaken: int = 0
    blocked: tuple[Part, ...] = ()
    delivered: bool = False


NOT_COUNTED = Redeliverable(None)


def redeliverable(*, scope: Scope, criteria: DeliveryCriteria, most: int, now: datetime) -> Redeliverable:
    """Count what a run with these criteria would request, as its preview does, if that is at most `most`.

    Raises: django.db.OperationalError if a statement_timeout is set and reached.
    """
    rows = delivery_lists.undelivered(scope=scope, criteria=criteria, now=now, limit=most + 1)
    # Pages ask at each poll, for hundreds of rows: whole deliveries take five times as long to make.
    found = list(rows.values_list("pk", *JUDGED, named=True)[: most + 1])
    if not found:
        return Redeliverable()
    if len(found) > most:
        return NOT_COUNTED
    try:
        parts = parts_of(commands.split(deliveries=found))
    except TooManyEndpoints:
        return NOT_COUNTED
    return Redeliverable(
        sum(len(one.chosen) for one in parts if one.can_start),
        sum(len(one.overtaken) for one in parts if one.can_start),
        blocked=tuple(one for one in parts if not one.can_start),
    )


def not_counted(endpoint: Endpoint | None) -> Redeliverable:
    """Return what to say of more deliveries than are counted: all the same why one endpoint can redeliver none."""
    if endpoint is None:
        return NOT_COUNTED
    words, helps = obstacle(endpoint)
    return Redeliverable(blocked=(Part(endpoint, (), (), words, helps),)) if words else NOT_COUNTED


def can_send_again(deliveries: Iterable[Delivery]) -> bool:
    """Return whether a run could send any of these again that were delivered. At most MOST_ENDPOINTS are looked at."""
    found = [one for one in deliveries if one.last_ok and one.requested_at is None]
    return any(one.can_start for one in parts_of(Split(found, [], {}))) if found else False


def parts_of(split: Split) -> list[Part]:
    """Group the chosen and the overtaken deliveries by endpoint, largest group first. Raises: TooManyEndpoints."""
    number = Counter(one.endpoint_id for one in (*split.chosen, *split.overtaken))
    if len(number) > MOST_ENDPOINTS:
        raise TooManyEndpoints(
            f"These deliveries belong to {len(number)} endpoints; at most {MOST_ENDPOINTS} runs can start at once."
        )
    rows = Endpoint.objects.filter(pk__in=number).select_related("install").defer("secret", "install__token")
    endpoints = with_newest_run(rows).in_bulk()
    mine, overtaken = _by_endpoint(split.chosen), _by_endpoint(split.overtaken)
    return [
        Part(endpoints[pk], mine[pk], overtaken[pk], *obstacle(endpoints[pk]), _run_of(endpoints[pk]))
        for pk, _ in number.most_common()
    ]


def _run_of(endpoint: Endpoint) -> RunRow | None:
    newest = annotated_run(endpoint)
    return None if newest is None or not newest.is_active else run_row(newest)


def _by_endpoint(deliveries: Sequence[Delivery]) -> defaultdict[int, list[Delivery]]:
    found = defaultdict[int, list[Delivery]](list)
    for one in deliveries:
        found[one.endpoint_id].append(one)
    return found


def obstacle(endpoint: Endpoint) -> tuple[str, str]:
    """Return why nothing can be redelivered on the endpoint, and the remedy's name; both empty if it can."""
    if endpoint.deleted_at is not None:
        return "OpenTrain no longer has this endpoint, so these deliveries can never be redelivered.", ""
    if endpoint.opentrain_id is None:
        return "OpenTrain does not list this endpoint yet.", ""
    if endpoint.install.is_disconnected:
        return "This install is disconnected from Redeliver. Connect it again first.", "install"
    if not endpoint.install.can_manage:
        return "This install's token lacks webhooks:manage.", "install"
    if endpoint.install.last_error_code in NEEDS_PERSON:
        return endpoint.install.last_error, "install"
    stopped = "The endpoint is disabled or paused, so deliveries are stopped." if endpoint.status == DISABLED else ""
    stopped = unknown_status(endpoint.status) if is_unknown(endpoint.status) else stopped
    return stopped, "recover" if stopped else ""
