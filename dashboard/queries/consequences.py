"""What the open findings of contracts mean for people, by install, and of which installs they are not known.

The cost grows with the number of installs that have open findings, and is bounded for each: not with deliveries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Case, CharField, Count, Exists, F, JSONField, OuterRef, Q, Value, When
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat

from dashboard.models import Endpoint, Finding, Install, User
from dashboard.rules.consequences import COUNTED, NAMED, SLACK, Affected, Known, Need, Unknown
from dashboard.rules.reads import Read
from dashboard.rules.receiver_urls import HOOKS
from dashboard.rules.reconciliation import Consequence, Event, Kind, Reason
from dashboard.rules.reconciliation_facts import EXPECTED

_EXPECTED = ", ".join(f"'{reason}'" for reason in EXPECTED)
_UNEXPECTED = f"closed_at IS NULL AND reason NOT IN ({_EXPECTED})"
"""The condition of the index finding_of_inbox."""

# Steps through that index from one install to the next.
_WITH_FINDINGS = f"""
    WITH RECURSIVE step (install_id) AS (
        (SELECT install_id FROM dashboard_finding WHERE {_UNEXPECTED} ORDER BY install_id LIMIT 1)
        UNION ALL
        SELECT (SELECT install_id FROM dashboard_finding
                WHERE {_UNEXPECTED} AND install_id > step.install_id ORDER BY install_id LIMIT 1)
        FROM step WHERE step.install_id IS NOT NULL
    )
    SELECT install_id FROM step WHERE install_id IS NOT NULL
"""  # noqa: S608 - only our own terms
_NEVER_TAKEN = [kind for kind in Kind if kind.is_settled and kind is not Kind.OUT_OF_ORDER]
_OF: dict[Need, tuple[Sequence[Consequence], Sequence[Kind]]] = {
    Need.ACCESS: ([Consequence.ACCESS], _NEVER_TAKEN),
    Need.OUT_OF_ORDER: ([Consequence.ACCESS], [Kind.OUT_OF_ORDER]),
    Need.PROVISION: ([Consequence.PROVISION], _NEVER_TAKEN),
    Need.COMING: (list(Consequence), [Kind.NOT_SEEN_YET]),
    Need.RETRYING: (list(Consequence), [Kind.RETRYING]),
    Need.REQUESTED: (list(Consequence), [Kind.REQUESTED]),
}
"""The consequences and kinds of the open findings that are a need. Those that may still come are of ends only."""


def _counted(need: Need, place: int) -> str:
    """Return the query of the findings of an install that are this need. `place` orders needs, the worst first."""
    consequences, kinds = (", ".join(f"'{one}'" for one in values) for values in _OF[need])
    only = "" if need.needs_attention else f"AND event_type = '{Event.ENDED.value}'"
    return f"""
        (SELECT '{need.value}' AS need, {place} AS place, contract_id, endpoint_id, happened_at, until
         FROM dashboard_finding
         WHERE install_id = dashboard_install.id AND {_UNEXPECTED}
            AND consequence IN ({consequences}) AND kind IN ({kinds}) {only} LIMIT {COUNTED + 1})
    """  # noqa: S608 - only our own terms and numbers


_NEEDS = f"""
    WITH counted AS ({" UNION ALL ".join(_counted(need, place) for place, need in enumerate(Need))}), contract AS (
        SELECT need, contract_id, min(happened_at) AS happened_at,
            place = min(place) OVER (PARTITION BY contract_id) AS is_first
        FROM counted GROUP BY need, place, contract_id
    )
    SELECT jsonb_agg(found) FROM (
        SELECT need, count(*) AS contracts, count(*) FILTER (WHERE is_first) AS first_counted,
            bool_or(happened_at IS NULL) AS undated, min(happened_at) AS oldest,
            (array_remove(array_agg(happened_at ORDER BY happened_at DESC), NULL))[1:{NAMED}] AS times,
            (SELECT count(*) > {COUNTED} FROM counted WHERE counted.need = contract.need) AS more,
            (SELECT count(DISTINCT endpoint_id) FROM counted WHERE counted.need = contract.need) AS handlers,
            (SELECT max(until) FROM counted WHERE counted.need = contract.need) AS until
        FROM contract GROUP BY need
    ) AS found
"""  # noqa: S608 - the same


@dataclass(frozen=True, slots=True)
class InstallNeed:
    """What the open findings of an install mean for people."""

    install_id: int
    install_name: str
    affected: Affected


def contract_needs(*, user: User) -> list[InstallNeed]:
    """Return what contracts need, the worst first; of the same, what concerns most contracts first."""
    ids = RawSQL(_WITH_FINDINGS, ())  # noqa: S611
    rows = Install.objects.visible_to(user).connected().filter(pk__in=ids)
    found = rows.annotate(needs=RawSQL(_NEEDS, (), output_field=JSONField()))  # noqa: S611
    needs = [
        InstallNeed(pk, name, _affected(one))
        for pk, name, needs in found.values_list("pk", "name", "needs")
        for one in needs or ()
    ]
    order = {need: place for place, need in enumerate(Need)}
    return sorted(needs, key=lambda one: (order[one.affected.need], -one.affected.contracts, one.install_id))


def _affected(found: dict[str, Any]) -> Affected:
    times = tuple(datetime.fromisoformat(one) for one in found["times"])
    oldest, until = (found[name] and datetime.fromisoformat(found[name]) for name in ("oldest", "until"))
    return Affected(
        need=Need(found["need"]),
        contracts=min(found["contracts"], COUNTED),
        handlers=found["handlers"],
        first_counted=min(found["first_counted"], COUNTED),
        times=times,
        oldest=oldest,
        undated=found["undated"],
        until=until,
        more=found["more"],
    )


def known(*, user: User, every: timedelta, now: datetime) -> Known:
    """Return of how many installs it is known whether events of contracts are missing, and why not of the others.

    `every` is the interval of the reads.
    """
    contract_events = [event.value for event in Event]
    subscribed = Endpoint.objects.registered().filter(event_types__overlap=contract_events, install=OuterRef("pk"))
    received = Q(receiver_key__isnull=False, url__contains=Concat(Value(HOOKS), F("receiver_key")))
    lately = now - 2 * every - SLACK
    scopes = Q(token_scopes__contains=[Read.CONTRACTS.value]) & (
        Q(token_scopes__contains=[Read.LINKS.value]) | Q(token_scopes__contains=["project-links:write"])
    )
    read_at = [f"reconciliation__{name}" for name in ("contracts_read_at", "links_read_at", "judged_at")]
    never = [Q(**{f"{name}__isnull": True}) for name in read_at]
    late = [Q(**{f"{name}__lt": lately}) for name in read_at]
    reasons = (
        (~scopes, Unknown.NO_SCOPE),
        (reduce(or_, never), Unknown.NEVER_READ),
        (~Q(reconciliation__error=""), Unknown.FAILED),
        (~Q(reconciliation__out_of_reach=""), Unknown.OUT_OF_REACH),
        (reduce(or_, late, Q(reconciliation__judged_at__lt=F(read_at[0]))), Unknown.OUTDATED),
        (Q(Exists(subscribed.exclude(received))), Unknown.DIRECT),
    )
    why = Case(
        *(When(fits, then=Value(reason.name)) for fits, reason in reasons), default=Value(""), output_field=CharField()
    )
    rows = Install.objects.visible_to(user).connected().filter(Exists(subscribed)).annotate(why=why).order_by()
    counts = dict(rows.values_list("why").annotate(Count("pk")))
    missing, coming = _open(user=user)
    return Known(
        installs=sum(counts.values()),
        unknown=tuple((reason, counts[reason.name]) for reason in Unknown if reason.name in counts),
        missing=missing,
        coming=coming,
        expected=Finding.objects.visible_to(user).open().filter(reason=Reason.REGISTERED_AFTER).exists(),
    )


def _open(*, user: User) -> tuple[int, int]:
    """Return how many unexpected events are missing, and how many may still come, each at most one above COUNTED."""
    found = Finding.objects.visible_to(user).unexpected()
    settled = [kind.value for kind in Kind if kind.is_settled]
    sliced = (found.filter(kind__in=settled), found.exclude(kind__in=settled))
    missing, coming = (rows.order_by().values("pk")[: COUNTED + 1].count() for rows in sliced)
    return missing, coming
