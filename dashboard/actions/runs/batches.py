"""Runs that one confirmation starts together: one per endpoint, because an endpoint has at most one active run."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from dashboard.actions.runs import commands as runs
from dashboard.models import Delivery, Endpoint, Run, RunItem, User


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The selection that a user confirmed: deliveries by primary key (`ids`), and their description (`words`).

    `overtaken` are those that the user was shown as overtaken by later events. They are left out unless
    `with_overtaken`.
    """

    ids: Collection[int]
    words: str
    overtaken: Collection[int] = ()
    with_overtaken: bool = False
    include_delivered: bool = False
    one_call: bool = False

    @property
    def shown(self) -> Collection[int]:
        return [*self.ids, *self.overtaken]

    @property
    def chosen(self) -> Collection[int]:
        return self.shown if self.with_overtaken else self.ids


@dataclass(frozen=True, slots=True)
class Started:
    """The runs that were started, active runs that prevented others, and the number of dropped deliveries.

    `dropped` counts confirmed deliveries that have since been delivered, requested again, overtaken, deleted, or hidden
    from the user.
    """

    runs: list[Run]
    in_the_way: list[Run]
    dropped: int


def start(*, actor: User, confirmed: Confirmed, note: str, now: datetime, operation: uuid.UUID) -> Started:
    """Start a run for each endpoint of the deliveries. A repeated operation starts nothing and returns the same."""
    deliveries = Delivery.objects.filter(pk__in=confirmed.shown)
    endpoints = list(_endpoints(actor=actor, ids=confirmed.shown))
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
                overtaken_chosen=confirmed.overtaken if confirmed.with_overtaken else (),
                batch=operation if len(endpoints) > 1 else None,
            )
        except runs.AlreadyRunning as error:
            in_the_way.append(error.run)
        except runs.NothingLeft:
            continue
        else:
            started.append(run)
    chosen = Delivery.objects.filter(pk__in=confirmed.chosen)
    held_up = chosen.filter(endpoint__in=[run.endpoint_id for run in in_the_way]).count()
    return Started(started, in_the_way, len(confirmed.chosen) - held_up - _to_be_asked(started))


def _to_be_asked(started: list[Run]) -> int:
    return RunItem.objects.filter(run__in=started).exclude(state=RunItem.State.LEFT_OUT).count()


def _endpoints(*, actor: User, ids: Collection[int]) -> list[Endpoint]:
    of_these = Delivery.objects.filter(pk__in=ids).order_by().values("endpoint")
    rows = Endpoint.objects.visible_to(actor).registered().filter(pk__in=of_these).order_by("pk")
    return list(rows.select_related("install").defer("secret", "install__token"))
