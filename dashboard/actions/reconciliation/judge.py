"""Judges what became of an install's contract events, and keeps the findings: what is not in order, or not yet.

Design decisions:
- It holds the install's row, as everything does that writes contracts or endpoints. So it runs once at a time per
  install, and repeating it changes nothing.
- A contract is judged again only if something has changed that its verdicts rest on: its own columns, its evidence, its
  links, the endpoints, or the time until which something may come. Most installs' contracts stay as they are.
- What retention removed before it was looked at is not known. So the time from which on the log is whole is kept.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from dashboard.actions.installs.snapshots import hold
from dashboard.actions.reconciliation.evidence import harvest
from dashboard.models import Contract, Endpoint, Finding, Install, ProjectLink, Reconciliation
from dashboard.queries.verdicts import Judged, Key, is_log_behind, judge_all
from dashboard.rules.reconciliation import Event, Kind, Reason, Verdict

RULES = 1
"""Raise it with a change of the rules: then every contract is judged again."""
PAIRS_AT_ONCE = 10_000
"""Contracts times endpoints that one transaction judges, which holds the install's row."""
UNSEEN_FOR = timedelta(days=1)
"""How long before retention removes a delivery it must have been looked at: it may have come into the log late."""

# The columns of a contract that verdicts rest on. When an active contract was last seen changes with each read.
_DUE = """
    WITH judged AS (
        SELECT id, md5(ROW(%(world)s::text, status, job_id, created_at, end_date, first_seen_at, ended_seen_at,
            CASE WHEN status <> 'active' OR ended_seen_at IS NOT NULL THEN active_seen_at END,
            link_ids, gone_at)::text) AS digest, judged_as
        FROM dashboard_contract WHERE install_id = %(install)s
    )
    SELECT id, digest FROM judged WHERE digest <> judged_as OR id = ANY(%(changed)s) OR id IN (
        SELECT finding.contract_id FROM dashboard_finding AS finding
        WHERE finding.install_id = %(install)s AND finding.closed_at IS NULL AND (
            finding.until <= %(now)s OR finding.reason = %(waits)s OR EXISTS (
                SELECT FROM dashboard_handover AS handover WHERE handover.contract_id = finding.contract_id
                    AND handover.endpoint_id = finding.endpoint_id AND handover.event_type = finding.event_type
                    AND handover.ok
            )
        )
    )
"""
_JUDGED = """
    UPDATE dashboard_contract AS contract SET judged_as = judged.digest, known_from = judged.known_from
    FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS judged (id, digest, known_from)
    WHERE contract.id = judged.id
"""
DELETED = "OpenTrain deleted the endpoint, so nothing comes to it any more."
_CLOSED_BY = {
    Kind.TAKEN: "The handler took it{at}.",
    Kind.TAKEN_IN_PART: "The handler took it for at least one project link{at}. For the others it is not known.",
    Kind.NOT_DUE: "OpenTrain does not list the contract as ended any more.",
    Kind.NOT_KNOWN: "What became of it is not known.",
}
_STATED = ("kind", "reason", "consequence", "happened_at", "until", "refused_at")
_WRITTEN = [*_STATED, "found_at", "changed_at", "closed_at", "closed_words"]


def judge(*, install_id: int, now: datetime) -> None:
    """Update the findings of an install to what is in the log and what was read of its contracts by `now`.

    Many contracts are judged in several transactions. What is left if it ends in between is due the next time.
    """
    with transaction.atomic():
        hold(install_id=install_id)
        install = Install.objects.filter(pk=install_id).only("status").first()
        if install is None:
            return
        record, _is_new = Reconciliation.objects.get_or_create(install_id=install_id)
        now = max(now, record.judged_at or now)
        kept_since = _log_kept_since(record, now=now)
        if _is_unseen_removed(record, kept_since=kept_since):
            Contract.objects.filter(install=install).update(known_from=kept_since, judged_as="")
        changed = harvest(install_id=install_id)
        due = _due(install, changed=changed, now=now)
        first, *later = _portions(install, due) or [[]]
        _judge(install_id, first, digests=due, kept_since=kept_since, now=now)
        if later:
            Contract.objects.filter(pk__in=changed.difference(first)).update(judged_as="")
        Reconciliation.objects.filter(pk=install_id).update(judged_at=now, log_kept_since=kept_since)
    for portion in later:
        with transaction.atomic():
            hold(install_id=install_id)
            _judge(install_id, portion, digests=due, kept_since=kept_since, now=now)


def _portions(install: Install, due: Mapping[int, str]) -> list[list[int]]:
    """Return the contracts in portions whose judging takes no more than about a second and some megabytes."""
    endpoints = Endpoint.objects.filter(install=install, opentrain_id__isnull=False).count() if due else 0
    most, ids = max(PAIRS_AT_ONCE // max(endpoints, 1), 1), sorted(due)
    return [ids[place : place + most] for place in range(0, len(ids), most)]


def _log_kept_since(record: Reconciliation, *, now: datetime) -> datetime | None:
    """Return from when on retention has removed nothing by any setting so far; None if it never removes anything."""
    if not settings.RETENTION_DAYS:
        return record.log_kept_since
    since = now - timedelta(days=settings.RETENTION_DAYS)
    return max(since, record.log_kept_since or since)


def _is_unseen_removed(record: Reconciliation, *, kept_since: datetime | None) -> bool:
    """Return whether retention may have removed deliveries that came after the log was looked at last."""
    if record.judged_at is None or kept_since is None:
        return False
    margin = min(UNSEEN_FOR, timedelta(days=settings.RETENTION_DAYS) / 4)
    return record.judged_at < kept_since + margin


def _due(install: Install, *, changed: Collection[int], now: datetime) -> dict[int, str]:
    """Return the contracts to judge, with the digests of what their verdicts rest on."""
    values: dict[str, Any] = {
        "install": install.pk,
        "world": _world(install),
        "changed": list(changed),
        "now": now,
        "waits": Reason.NOT_IN_LOG_YET.value,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DUE, values)
        return dict(cursor.fetchall())


def _world(install: Install) -> str:
    """Return a digest of what the verdicts on all contracts of an install rest on."""
    endpoints = Endpoint.objects.filter(install=install, opentrain_id__isnull=False).order_by("pk")
    links = ProjectLink.objects.filter(install=install).order_by("pk")
    rest = (
        RULES,
        install.status,
        list(
            endpoints.values_list("pk", "url", "event_types", "status", "created_at", "deleted_at", "auto_disabled_at")
        ),
        list(links.values_list("opentrain_id", "job_id", "created_at", "first_seen_at", "gone_at")),
    )
    return hashlib.sha256(repr(rest).encode()).hexdigest()


def _judge(
    install_id: int, ids: Sequence[int], *, digests: Mapping[int, str], kept_since: datetime | None, now: datetime
) -> None:
    """Judge contracts of an install, and keep their findings."""
    contracts = list(Contract.objects.filter(pk__in=ids)) if ids else []
    if not contracts:
        return
    for contract in contracts:
        contract.known_from = contract.known_from or kept_since
    rows = {_key(row): row for row in Finding.objects.filter(contract__in=[one.pk for one in contracts])}
    judged = judge_all(
        contracts=contracts, as_of={install_id: now}, is_log_behind=is_log_behind(now=now), is_log_read=True
    )
    written = []
    for one in judged:
        row = rows.pop(one.key, None)
        if one.verdict.kind.is_finding and not one.is_deleted:
            written += _opened(row, one, install_id=install_id, now=now)
        elif row is not None:
            written += _closed(row, words=DELETED if one.is_deleted else closing_words(one.verdict), now=now)
    for row in rows.values():  # of deleted endpoints that there is no evidence of
        written += _closed(row, words=DELETED, now=now)
    Finding.objects.bulk_create(
        written,
        update_conflicts=True,
        unique_fields=["contract", "endpoint", "event_type"],
        update_fields=_WRITTEN,
    )
    _note_judged(contracts, digests)


def _key(row: Finding) -> Key:
    return row.contract_id, row.endpoint_id, Event(row.event_type)


def _opened(row: Finding | None, judged: Judged, *, install_id: int, now: datetime) -> list[Finding]:
    """Return the finding as it is now, if that has to be written."""
    contract_id, endpoint_id, event = judged.key
    if row is None:
        row = Finding(install_id=install_id, contract_id=contract_id, endpoint_id=endpoint_id, event_type=event.value)
    is_open = row.pk is not None and row.closed_at is None
    before = [getattr(row, name) for name in _STATED]
    for name, value in _stated(judged).items():
        setattr(row, name, value)
    if is_open and before == [getattr(row, name) for name in _STATED]:
        return []
    if not is_open:
        row.found_at = now
    if not is_open or before[:2] != [row.kind, row.reason]:
        row.changed_at = now
    row.closed_at, row.closed_words = None, ""
    return [row]


def _stated(judged: Judged) -> dict[str, Any]:
    one = judged.verdict
    return {
        "kind": one.kind.value,
        "reason": one.reason.value,
        "consequence": judged.consequence.value,
        "happened_at": one.happened_at,
        "until": one.until,
        "refused_at": one.at if one.kind is Kind.REFUSED else None,
    }


def _closed(row: Finding, *, words: str, now: datetime) -> list[Finding]:
    if row.closed_at is not None:
        return []
    row.closed_at, row.closed_words = now, words
    return [row]


def closing_words(verdict: Verdict) -> str:
    """Say why a finding is closed: what is so in its place."""
    at = f" at {verdict.at:%Y-%m-%d %H:%M:%S} UTC" if verdict.at is not None else ""
    if verdict.handed_over:
        return f"Handed over: the handler took it from Redeliver{at}."
    return _CLOSED_BY[verdict.kind].format(at=at)


def _note_judged(contracts: Sequence[Contract], digests: Mapping[int, str]) -> None:
    values: list[Any] = [
        [one.pk for one in contracts],
        [digests[one.pk] for one in contracts],
        [one.known_from for one in contracts],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_JUDGED, values)
