"""Stores a reading of an install, what it could not tell, and when the install is read again, in one transaction.

A sweep that is killed leaves nothing half-stored, and its installs are due again after their lease. A slow, older
reading never undoes a newer one.
"""

import logging
import random
from datetime import datetime

from django.conf import settings
from django.db import transaction

from dashboard.actions.installs import backoff, snapshots, sync
from dashboard.actions.operation import failed
from dashboard.actions.reconciliation import rows
from dashboard.actions.reconciliation.reads import Reading
from dashboard.models import Install, Reconciliation
from dashboard.services import opentrain

logger = logging.getLogger(__name__)

_COLUMNS = ("due_at", "failures", "error", "links_read_at", "contracts_read_at", "out_of_reach")
"""The columns of a sweep; the others are of the judge."""


def record(reading: Reading) -> str:
    """Store the reading; return why it failed, in words, or "". Then what is stored stays as it was.

    A reading that cannot be stored is logged, and recorded as a failure.
    """
    try:
        return _record(reading)
    except sync.UNSTORABLE:
        logger.exception("install %s: its contracts could not be stored", reading.install.pk)
    error = opentrain.BadResponse(sync.NOT_STORED, status=None)
    return _record(Reading(reading.install, reading.began_at, error=error))


def _record(reading: Reading) -> str:
    install, words = reading.install, "" if reading.error is None else failed(reading.error).words
    with transaction.atomic():
        snapshots.hold(install_id=install.pk)
        before, _is_new = Reconciliation.objects.select_for_update().get_or_create(install=install)
        if reading.links is not None and not _is_older(reading.links.at, before.links_read_at):
            rows.record_links(install=install, links=reading.links)
            before.links_read_at = reading.links.at
        if reading.contracts and not _is_older(reading.contracts[0].at, before.contracts_read_at):
            rows.record_contracts(install=install, reading=reading)
            if reading.reach.is_read:
                before.contracts_read_at, before.out_of_reach = reading.contracts[0].at, reading.reach.words
        rows.record_budgets(install=install, budgets=reading.budgets)
        if not _is_token_replaced(install):  # what the old token lacks says nothing about the new one
            _record_outcome(reading, before, words=words)
        before.save(update_fields=_COLUMNS)
    return words


def _record_outcome(reading: Reading, before: Reconciliation, *, words: str) -> None:
    every_s = settings.RECONCILE_EVERY_S
    if reading.current is not None:
        reading.install.refresh_from_db(fields=["status", "described_at"])
        sync.describe(install=reading.install, current=reading.current, at=reading.began_at)
    before.error = words
    if not words:
        before.failures, before.due_at = 0, backoff.after_success(at=reading.began_at, every_s=every_s)
        return
    before.failures = min(before.failures + 1, sync.MOST_FAILURES)
    before.due_at = backoff.after_failure(
        at=reading.began_at,
        failures=before.failures,
        retry_after_s=reading.retry_after_s,
        chance=random.random(),  # noqa: S311
        every_s=every_s,
    )


def _is_older(at: datetime, stored_at: datetime | None) -> bool:
    return stored_at is not None and at < stored_at


def _is_token_replaced(install: Install) -> bool:
    now: str | None = Install.objects.filter(pk=install.pk).values_list("token_id", flat=True).first()
    return now != install.token_id
