"""The quick search by name, URL or complete ID. Every look-up is one short index range.

`visible_to`, and the `Scope` of deliveries, decide what a user may see, as everywhere.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from dashboard.db.word_search import beginning_with, words_in
from dashboard.models.contracts import Contract, ProjectLink
from dashboard.models.deliveries import Delivery
from dashboard.models.endpoints import Endpoint
from dashboard.models.findings import Handover
from dashboard.models.installs import Install
from dashboard.models.members import User
from dashboard.models.runs import Run
from dashboard.queries import delivery_lists
from dashboard.queries.delivery_lists import DeliveryCriteria, Scope
from dashboard.rules.reconstruction import is_reconstructed

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
    exact: Install | Endpoint | Delivery | Contract | None = None


def find(*, user: User, text: str, now: datetime) -> Found:
    """Return the matches for the text that the user may see."""
    if len(text) < WORD_LEAST and not text.isdecimal():
        return Found()
    installs, endpoints = find_installs(user=user, text=text), _endpoints(user, text)
    deliveries = _deliveries(user, DeliveryCriteria(delivery_id=text), now)
    contracts = _contracts(user, Q(opentrain_id=text))
    candidates: tuple[Install | Endpoint | Delivery | Contract, ...]
    candidates = (*installs, *endpoints, *deliveries, *contracts)
    named = [one for one in candidates if one.opentrain_id == text]
    return Found(
        installs=installs,
        endpoints=endpoints,
        runs=_runs(user, text),
        deliveries=deliveries,
        of_event=_deliveries(user, DeliveryCriteria(event_id=text), now),
        of_resource=_deliveries(user, DeliveryCriteria(resource_id=text), now),
        contracts=contracts,
        of_job=_contracts(user, Q(job_id=text)),
        links=_links(user, text),
        handovers=_handovers(user, text),
        exact=named[0] if len(named) == 1 else None,
    )


def find_installs(*, user: User, text: str, most: int = SHOWN) -> tuple[Install, ...]:
    """Return installs that the user may see, by a complete ID or by the beginnings of words in their name."""
    visible = Install.objects.visible_to(user)
    matches = Q(pk__in=visible.filter(Q(opentrain_id=text) | Q(organization_id=text)).values("pk")[:LOOKED_AT])
    words = beginning_with(text)
    if words is not None:
        named = visible.annotate(words=words_in("name")).filter(words=words)
        matches |= Q(pk__in=named.values("pk")[:LOOKED_AT])
    return tuple(Install.objects.filter(matches).defer("token").order_by("rank", "name", "pk")[:most])


def _endpoints(user: User, text: str) -> tuple[Endpoint, ...]:
    visible = Endpoint.objects.visible_to(user)
    matches = Q(pk__in=visible.filter(opentrain_id=text).values("pk")[:LOOKED_AT])
    words = beginning_with(text)
    if words is not None:
        addressed = visible.annotate(words=words_in("url", "handler_url")).filter(words=words)
        named = visible.exclude(name="").annotate(words=words_in("name")).filter(words=words)
        for found in (addressed, named):
            matches |= Q(pk__in=found.values("pk")[:LOOKED_AT])
    rows = Endpoint.objects.filter(matches).select_related("install").defer("secret", "install__token")
    return tuple(rows.order_by("severity", "pk")[:SHOWN])


def _contracts(user: User, named: Q) -> tuple[Contract, ...]:
    rows = Contract.objects.visible_to(user).filter(named).select_related("install").defer("install__token")
    return tuple(rows.order_by("-first_seen_at", "-pk")[:SHOWN])


def _links(user: User, text: str) -> tuple[ProjectLink, ...]:
    rows = ProjectLink.objects.visible_to(user).filter(Q(opentrain_id=text) | Q(external_project_id=text))
    return tuple(rows.select_related("install").defer("install__token").order_by("-first_seen_at", "-pk")[:SHOWN])


def _handovers(user: User, text: str) -> tuple[Handover, ...]:
    """Return the newest hand-overs with this delivery ID, which a handler's log has. Any other text costs nothing."""
    if not is_reconstructed(text):
        return ()
    rows = Handover.objects.visible_to(user).filter(delivery_id=text).select_related("install")
    return tuple(rows.defer("body", "response_head", "install__token")[:SHOWN])


def _runs(user: User, text: str) -> tuple[Run, ...]:
    number = _RUN.fullmatch(text)
    if number is None:
        return ()
    rows = Run.objects.visible_to(user).select_related("endpoint__install")
    return tuple(rows.defer("endpoint__secret", "endpoint__install__token").filter(pk=int(number[1])))


def _deliveries(user: User, criteria: DeliveryCriteria, now: datetime) -> tuple[Delivery, ...]:
    rows = delivery_lists.page(scope=Scope.of(user), criteria=criteria, now=now, limit=SHOWN)
    rows = rows.select_related("endpoint__install")
    return tuple(rows.defer("body", "endpoint__secret", "endpoint__install__token"))
