"""Runs that one confirmation starts together: one per endpoint, because an endpoint has at most one active run."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from dashboard.actions.runs import commands as runs
from dashboard.models import Delivery, Endpoint, Run, RunItem, User


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The selection that a user confirmed: deliveries by primary key (`ids`), and their description (`words`)."""

    ids: Collection[int]
    words: str
    include_delivered: bool = False
    one_call: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The runs that were started, active runs that prevented others, and the number of dropped deliveries.

    `dropped` counts confirmed deliveries that have since been delivered, requested again, deleted, or hidden from the
    user.
    """

    runs: list[Run]
    in_the_way: list[Run]
    dropped: int


def start(*, actor: User, confirmed: Confirmed, note: str, now: datetime, operation: uuid.UUID) -> Started:
    """Start a run for each endpoint of the deliveries. A repeated operation starts nothing and returns the same."""
    deliveries = Delivery.objects.filter(pk__in=confirmed.ids)
    endpoints = list(_endpoints(actor=actor, ids=confirmed.ids))
    started: list[Run] = []
    in_the_way: list[Run] = []
    for endpoint in endpoints:
        try:
            run = runs.start_bulk(
                actor=actor,
                endpoint=endpoint,
                deliveries=deliveries,
                filter_text=confirmed.words,
                note=note,
                now=now,
                operation=uuid.uuid5(operation, str(endpoint.pk)),
                include_delivered=confirmed.include_delivered,
                one_call=confirmed.one_call,
                batch=operation if len(endpoints) > 1 else None,
            )
        except runs.AlreadyRunning as error:
            in_the_way.append(error.run)
        except runs.NothingLeft:
            continue
        else:
            started.append(run)
    held_up = deliveries.filter(endpoint__in=[run.endpoint_id for run in in_the_way]).count()
    return Started(started, in_the_way, len(confirmed.ids) - held_up - _to_be_asked(started))


def _to_be_asked(started: list[Run]) -> int:
    return RunItem.objects.filter(run__in=started).exclude(state=RunItem.State.LEFT_OUT).count()


def _endpoints(*, actor: User, ids: Collection[int]) -> list[Endpoint]:
    of_these = Delivery.objects.filter(pk__in=ids).order_by().values("endpoint")
    rows = Endpoint.objects.visible_to(actor).registered().filter(pk__in=of_these).order_by("pk")
    return list(rows.select_related("install").defer("secret", "install__token"))
