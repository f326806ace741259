"""The quick search by name, URL or complete ID. Every look-up is one short index range.

`visible_to`, and the `Scope` of deliveries, decide what a user may see, as everywhere.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db.models import Case, Model, Q, QuerySet, SmallIntegerField, When

from dashboard.db.word_search import beginning_with, words_in
from dashboard.models.contracts import Contract, ProjectLink
from dashboard.models.deliveries import Delivery, RefusedAttempt
from dashboard.models.endpoints import Endpoint, without_secrets
from dashboard.models.findings import Handover
from dashboard.models.installs import Install
from dashboard.models.members import User
from dashboard.models.runs import Run
from dashboard.queries import delivery_lists
from dashboard.queries.delivery_lists import DeliveryCriteria, Scope
from dashboard.rules.pasted import spellings
from dashboard.rules.receiver_urls import whole_key
from dashboard.rules.reconstruction import is_reconstructed

Row = TypeVar("Row", bound=Model)
SHOWN = 5
"""Maximum number of results per kind."""
LOOKED_AT = 200
"""Maximum number of matches to rank: “com” matches nearly every URL."""
WORD_LEAST = 2
"""Minimum length of a search text: a single letter matches too many words."""
_RUN = re.compile(r"(?:run|recovery|redelivery)?\s*#?\s*([0-9]{1,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """Up to SHOWN matches of each kind. `exact` is the object with this OpenTrain ID, if exactly one has it."""

    installs: tuple[Install, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    runs: tuple[Run, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    of_event: tuple[Delivery, ...] = ()
    of_resource: tuple[Delivery, ...] = ()
    contracts: tuple[Contract, ...] = ()
    of_job: tuple[Contract, ...] = ()
    links: tuple[ProjectLink, ...] = ()
    handovers: tuple[Handover, ...] = ()
    refused: tuple[RefusedAttempt, ...] = ()
    exact: Install | Endpoint | Delivery | Contract | None = None


def find(*, user: User, text: str, now: datetime, words: str = "") -> Found:
    """Return the matches for the text that the user may see. `words` is what a name may be in; empty for the text.

    An ID is found in other spellings too; but if something has it exactly as it is given, only that.
    """
    if len(text) < WORD_LEAST and not text.isdecimal():
        return Found()
    ids, names = spellings(text), words or text
    installs = _installs(user, ids, names)
    endpoints = find_endpoints(user=user, ids=ids, words=names)
    deliveries = _deliveries(user, DeliveryCriteria(delivery_id=text), "opentrain_id", text, now)
    contracts = _contracts(user, "opentrain_id", ids, text)
    candidates: tuple[Install | Endpoint | Delivery | Contract, ...]
    candidates = (*installs, *endpoints, *deliveries, *contracts)
    named = as_given([one for one in candidates if one.opentrain_id in ids], "opentrain_id", text)
    return Found(
        installs=installs,
        endpoints=endpoints,
        runs=_runs(user, text),
        deliveries=deliveries,
        of_event=_deliveries(user, DeliveryCriteria(event_id=text), "event_id", text, now),
        of_resource=_deliveries(user, DeliveryCriteria(resource_id=text), "resource_id", text, now),
        contracts=contracts,
        of_job=_contracts(user, "job_id", ids, text),
        links=_links(user, ids),
        handovers=_handovers(user, text),
        refused=find_refused(user=user, delivery_id=text),
        exact=named[0] if len(named) == 1 else None,
    )


def as_given(rows: Sequence[Row], column: str, text: str) -> tuple[Row, ...]:
    """Return the rows whose ID is exactly as it was given; without any, all of them."""
    exactly = tuple(row for row in rows if getattr(row, column) == text)
    return exactly or tuple(rows)


def _newest_as_given(rows: QuerySet[Row], column: str, text: str) -> tuple[Row, ...]:
    """Return the first rows whose ID is exactly as it was given; without any, the first in any spelling."""
    return _as_given_first(tuple(rows[:SHOWN]), column, text, lambda: tuple(rows.filter(**{column: text})[:SHOWN]))


def _as_given_first(
    rows: tuple[Row, ...], column: str, text: str, exactly: Callable[[], tuple[Row, ...]]
) -> tuple[Row, ...]:
    """Return `as_given` of rows in any spelling. If there are more of them than shown, ask for `exactly` those."""
    is_whole = len(rows) < SHOWN or all(getattr(one, column) == text for one in rows)
    return as_given(rows, column, text) if is_whole else exactly() or rows


def _by_id_first(ids: Sequence[str], *columns: str) -> Case:
    """Return the order that puts what has the ID before what is named like it, and the ID as it was given first of all.

    So the limit hides none of them. `ids` are the spellings of the ID, as given first.
    """
    given, spelled = (
        Q(*((f"{column}__in", tuple(some)) for column in columns), _connector=Q.OR) for some in (ids[:1], ids)
    )
    return Case(When(given, then=0), When(spelled, then=1), default=2, output_field=SmallIntegerField())


def find_installs(*, user: User, text: str, most: int = SHOWN) -> tuple[Install, ...]:
    """Return installs that the user may see, by a complete ID or by the beginnings of words in their name."""
    return _installs(user, spellings(text), text, most=most)


def _installs(user: User, ids: Sequence[str], words: str, *, most: int = SHOWN) -> tuple[Install, ...]:
    visible = Install.objects.visible_to(user)
    own = visible.filter(Q(opentrain_id__in=ids) | Q(organization_id__in=ids))
    matches = Q(pk__in=own.values("pk")[:LOOKED_AT])
    beginnings = beginning_with(words)
    if beginnings is not None:
        named = visible.annotate(words=words_in("name")).filter(words=beginnings)
        matches |= Q(pk__in=named.values("pk")[:LOOKED_AT])
    first = _by_id_first(ids, "opentrain_id", "organization_id")
    return tuple(Install.objects.filter(matches).defer("token").order_by(first, "rank", "name", "pk")[:most])


def find_endpoints(*, user: User, ids: Sequence[str], words: str) -> tuple[Endpoint, ...]:
    """Return endpoints that the user may see, by a complete ID or by the beginnings of words in their name or URLs."""
    visible = Endpoint.objects.visible_to(user)
    matches = Q(pk__in=visible.filter(opentrain_id__in=ids).values("pk")[:LOOKED_AT])
    beginnings = beginning_with(words)
    if beginnings is not None:
        addressed = visible.annotate(words=words_in("url", "handler_url")).filter(words=beginnings)
        addressed = addressed.annotate(shown=words_in(without_secrets("url"), without_secrets("handler_url")))
        whole = Q(url=words) | Q(handler_url=words)
        if key := whole_key(words):
            whole |= Q(url__contains=key)
        addressed = addressed.filter(Q(shown=beginnings) | whole)  # the index has keys and passwords, too
        named = visible.exclude(name="").annotate(words=words_in("name")).filter(words=beginnings)
        for found in (addressed, named):
            matches |= Q(pk__in=found.values("pk")[:LOOKED_AT])
    rows = Endpoint.objects.filter(matches).select_related("install").defer("secret", "install__token")
    return tuple(rows.order_by(_by_id_first(ids, "opentrain_id"), "severity", "pk")[:SHOWN])


def find_refused(*, user: User, delivery_id: str) -> tuple[RefusedAttempt, ...]:
    """Return the newest refused requests that claimed to be of a delivery, at endpoints that the user may see."""
    if not delivery_id:
        return ()
    ids = spellings(delivery_id)
    rows = RefusedAttempt.objects.filter(~Q(claimed_delivery_id=""), claimed_delivery_id__in=ids)
    if not user.sees_every_install:
        rows = rows.filter(endpoint__in=Endpoint.objects.visible_to(user))
    rows = rows.select_related("endpoint__install").defer(
        "request_headers", "endpoint__secret", "endpoint__install__token"
    )
    return _newest_as_given(rows.order_by("-received_at", "-pk"), "claimed_delivery_id", delivery_id)


def _contracts(user: User, column: str, ids: Sequence[str], text: str) -> tuple[Contract, ...]:
    rows = Contract.objects.visible_to(user).filter(**{f"{column}__in": ids})
    rows = rows.select_related("install").defer("install__token")
    return _newest_as_given(rows.order_by("-first_seen_at", "-pk"), column, text)


def _links(user: User, ids: Sequence[str]) -> tuple[ProjectLink, ...]:
    rows = ProjectLink.objects.visible_to(user).filter(Q(opentrain_id__in=ids) | Q(external_project_id__in=ids))
    rows = rows.select_related("install").defer("install__token")
    first = _by_id_first(ids, "opentrain_id", "external_project_id")
    return tuple(rows.order_by(first, "-first_seen_at", "-pk")[:SHOWN])


def _handovers(user: User, text: str) -> tuple[Handover, ...]:
    """Return the newest hand-overs with this delivery ID, which a handler's log has. Any other text costs nothing."""
    ids = [one for one in spellings(text) if is_reconstructed(one)]
    if not ids:
        return ()
    rows = Handover.objects.visible_to(user).filter(delivery_id__in=ids).select_related("install", "endpoint")
    return tuple(rows.defer("body", "response_head", "install__token", "endpoint__secret")[:SHOWN])


def _runs(user: User, text: str) -> tuple[Run, ...]:
    number = _RUN.fullmatch(text)
    if number is None:
        return ()
    rows = Run.objects.visible_to(user).select_related("endpoint__install")
    return tuple(rows.defer("endpoint__secret", "endpoint__install__token").filter(pk=int(number[1])))


def _deliveries(user: User, criteria: DeliveryCriteria, column: str, text: str, now: datetime) -> tuple[Delivery, ...]:
    """Return the newest deliveries by an ID, as `_newest_as_given` does for other rows."""
    rows = delivery_lists.page(scope=Scope.of(user), criteria=criteria, now=now, limit=SHOWN)
    exactly = Delivery.objects.visible_to(user).filter(~Q(**{column: ""}), **{column: text}).newest_first()[:SHOWN]
    return _as_given_first(_with_owners(rows), column, text, lambda: _with_owners(exactly))


def _with_owners(rows: QuerySet[Delivery]) -> tuple[Delivery, ...]:
    rows = rows.select_related("endpoint__install")
    return tuple(rows.defer("body", "endpoint__secret", "endpoint__install__token"))
