"""Connects an install by its token, and stores OpenTrain's state of the install and its endpoints."""

import logging
import random
import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DataError, IntegrityError, transaction

from dashboard.actions.installs import backoff, snapshots
from dashboard.actions.installs.fetch import FetchResult, visit
from dashboard.actions.operation import Operation, failed, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.models import Grant, Install, InstallSnapshot, Reconciliation, User
from dashboard.models.installs import MANAGE_SCOPE
from dashboard.rules.installs import Trouble, UnreadEntry, unread_words
from dashboard.services import opentrain
from dashboard.vault import Secret

logger = logging.getLogger(__name__)

CONNECT = "connect install"
"""Name of this action in the audit."""
MOST_FAILURES = 1000
"""Limit of the count of consecutive failed polls."""

NOT_STORED = (
    "OpenTrain's answer cannot be stored, so what is shown is from before. "
    "Ask your administrator: Redeliver's log has the reason."
)
UNSTORABLE = (DataError, IntegrityError, ValueError, OverflowError)
"""What a value raises that no limit in services/opentrain/types.py foresaw. It must not stop the poll of others."""

_TROUBLE = ["last_error", "last_error_at", "last_error_code", "trouble_since", "failures"]


def connect(
    *, actor: User, token: Secret, name: str, now: datetime, operation: uuid.UUID
) -> tuple[Outcome, Install | None]:
    """Check a token with OpenTrain, and store it, encrypted, with its install.

    If the install is already connected, the new token replaces the stored one. A partner admin who connects an install
    gets access to it.
    """
    connected: list[Install] = []

    def record(remote: opentrain.Install) -> Outcome:
        install, is_new = _store(remote=remote, token=token, name=name, now=now)
        if not actor.sees_every_install:
            Grant.objects.get_or_create(user=actor, install=install)
        connected.append(install)
        words = _connected_words(install) if is_new else f"{_connected_words(install)} Its token was replaced."
        return Outcome(kind=OutcomeKind.DONE, words=words, install=install)

    outcome = perform(
        operation=Operation(actor=actor, action=CONNECT, id=operation),
        call=lambda: opentrain.get_install(token=token),
        record=record,
    )
    return outcome, (connected[0] if connected else None)


def refresh(*, install: Install, now: datetime) -> Outcome | None:
    """Fetch the install's endpoints from OpenTrain and store the snapshot.

    Returns None on success; otherwise the failed outcome, and stored data stays as it was.
    """
    return record(visit(install=install, at=now, read_token=lambda: install.token))


def record(answer: FetchResult) -> Outcome | None:
    """Store OpenTrain's response and the time of the next poll in one transaction. Returns the same as `refresh`.

    A response that cannot be stored is logged, and recorded as a failure in words.
    """
    try:
        return _record(answer)
    except UNSTORABLE:
        logger.exception("install %s: OpenTrain's response could not be stored", answer.install.pk)
    answer.install.refresh_from_db(fields=_TROUBLE)
    return _record(FetchResult(answer.install, answer.at, error=opentrain.BadResponse(NOT_STORED, status=None)))


def describe(*, install: Install, current: opentrain.Install, at: datetime) -> None:
    """Store what OpenTrain said of the install itself at `at`."""
    _note_status(install, status=current.status, at=at)
    Install.objects.filter(pk=install.pk).update(**_description(current), described_at=at)


def _record(answer: FetchResult) -> Outcome | None:
    outcome = None if answer.error is None else failed(answer.error)
    install = answer.install
    with transaction.atomic():
        is_replaced, is_disconnected = _changed_since(answer)
        if is_disconnected:
            return outcome  # a read that was under way when a person disconnected it
        if is_replaced and answer.endpoints is None:
            return outcome  # what the old token lacks says nothing about the new one
        if answer.current is not None and not is_replaced:
            describe(install=install, current=answer.current, at=answer.at)
        if answer.error is None:
            _record_success(answer=answer)
        else:
            _record_failure(answer=answer, words=outcome.words if outcome else "")
        if answer.endpoints is not None:
            snapshots.record_endpoints(install=install, remote=answer.endpoints, at=answer.at)
    return outcome


def _changed_since(answer: FetchResult) -> tuple[bool, bool]:
    """Lock the install's row. Return whether its token is another one than the fetch used, and whether it was left."""
    rows = Install.objects.select_for_update(no_key=True).filter(pk=answer.install.pk)
    token_id, disconnected_at = rows.values_list("token_id", "disconnected_at").first() or ("", None)
    return token_id != answer.install.token_id, disconnected_at is not None


def _record_success(*, answer: FetchResult) -> None:
    install, at, listed = answer.install, answer.at, []
    if answer.endpoints is not None:
        install.listed_at, listed = at, ["listed_at", "unread_entries"]
        install.unread_entries = unread_words([one for one in answer.endpoints if isinstance(one, UnreadEntry)])
    install.checked_at, install.last_error, install.last_error_at = at, "", None
    install.last_error_code, install.trouble_since, install.failures = Trouble.NONE, None, 0
    install.poll_after = backoff.after_success(at=at, every_s=settings.POLL_EVERY_S)
    install.refresh_requested_at = None
    install.save(update_fields=["checked_at", "poll_after", "refresh_requested_at", *listed, *_TROUBLE])


def _record_failure(*, answer: FetchResult, words: str) -> None:
    install = answer.install
    if install.last_error_code != answer.trouble or install.trouble_since is None:
        install.trouble_since = answer.at
    install.last_error, install.last_error_at, install.last_error_code = words, answer.at, answer.trouble
    install.failures = min(install.failures + 1, MOST_FAILURES)
    install.poll_after = backoff.after_failure(
        at=answer.at,
        failures=install.failures,
        retry_after_s=answer.retry_after_s,
        chance=random.random(),  # noqa: S311
        every_s=settings.POLL_EVERY_S,
    )
    install.refresh_requested_at = None
    install.save(update_fields=["poll_after", "refresh_requested_at", *_TROUBLE])


def _store(*, remote: opentrain.Install, token: Secret, name: str, now: datetime) -> tuple[Install, bool]:
    """Store the install; return its row, and whether it is new, or was disconnected until now."""
    known = {
        **_description(remote),
        "token": token,
        "checked_at": now,
        "described_at": now,
        "last_error": "",
        "last_error_code": Trouble.NONE,
        "last_error_at": None,
        "trouble_since": None,
        "failures": 0,
        "poll_after": None,
        "disconnected_at": None,
        "disconnected_by_name": "",
        **({"name": name} if name else {}),
    }
    first = {**known, "name": name or remote.organization_id}
    with transaction.atomic():
        before = Install.objects.select_for_update(no_key=True).defer("token").filter(opentrain_id=remote.id).first()
        was_disconnected = before is not None and before.is_disconnected
        again = {"connected_at": now} if was_disconnected else {}
        install, is_new = Install.objects.update_or_create(
            opentrain_id=remote.id, defaults=known | again, create_defaults=first
        )
        _note_status(before or install, status=remote.status, at=now)
        Reconciliation.objects.filter(install=install).update(due_at=now, failures=0)
    return install, is_new or was_disconnected


def _note_status(install: Install, *, status: str, at: datetime) -> None:
    """Add a row to the install's history if its status changed, or if it has none. `install` is as it was before."""
    if install.status != status or not install.history.exists():
        not_before = install.described_at if install.status != status else None
        InstallSnapshot.objects.create(install=install, at=at, not_before=not_before, status=status)


def _description(remote: opentrain.Install) -> dict[str, Any]:
    """Return the columns that `GET /installs/current` sets."""
    return {
        "organization_id": remote.organization_id,
        "app_id": remote.partner_app.id,
        "app_name": remote.partner_app.name,
        "status": remote.status,
        "scopes": list(remote.scopes),
        "pii_consent": remote.pii_consent,
        "created_at": remote.created_at,
        "token_id": remote.token.id,
        "token_name": remote.token.name,
        "token_scopes": list(remote.token.scopes),
    }


def _connected_words(install: Install) -> str:
    words = f"{install.name} is connected."
    if not install.is_active:
        words += f" But OpenTrain says that this install is {install.status}: no events are sent."
    if not install.can_manage:
        words += (
            f" But this token lacks {MANAGE_SCOPE}, so you cannot see or repair its webhook endpoints. "
            "Ask the customer to reconnect with that scope, then paste the new token."
        )
    return words
