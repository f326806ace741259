"""Connect an install by its token, and keep what OpenTrain says of it."""

import random
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from dashboard.actions.deliveries import record as deliveries
from dashboard.actions.installs import backoff
from dashboard.actions.installs.fetch import FetchResult, visit
from dashboard.actions.operation import Operation, failed, perform
from dashboard.actions.outcome import Outcome, OutcomeKind
from dashboard.db.prepared import prepared_cursor
from dashboard.models import Endpoint, EndpointSnapshot, Grant, Install, User
from dashboard.models.installs import MANAGE_SCOPE, NO_ENDPOINT
from dashboard.rules.endpoints import AUTO_DISABLE_AT, Severity
from dashboard.rules.installs import Trouble
from dashboard.services import opentrain
from dashboard.vault import Secret

CONNECT = "connect install"
"""The audit's name for it."""

HISTORY_EVERY = timedelta(hours=1)
"""How often an endpoint's history gets a row where nothing changes."""
MOST_FAILURES = 1000
"""Failures in a row beyond these are not counted."""

_TROUBLE = ["last_error", "last_error_at", "last_error_code", "trouble_since", "failures"]
_TALLY = """
    UPDATE dashboard_install SET endpoint_count = sums.total, needing_count = sums.needing, fine_count = sums.fine,
        worst = sums.most
    FROM (SELECT count(*) AS total, count(*) FILTER (WHERE severity < %(paused)s) AS needing,
              count(*) FILTER (WHERE severity = %(fine)s) AS fine, coalesce(min(severity), %(none)s) AS most
          FROM dashboard_endpoint
          WHERE install_id = %(install)s AND opentrain_id IS NOT NULL AND deleted_at IS NULL) AS sums
    WHERE dashboard_install.id = %(install)s
        AND (endpoint_count, needing_count, fine_count, worst)
            IS DISTINCT FROM (sums.total, sums.needing, sums.fine, sums.most)
"""

_SAID = ("url", "event_types", "status", "created_at", "consecutive_failures", "disabled_at", "disabled_reason")
_CONFIRM = f"""
    UPDATE dashboard_endpoint SET snapshot_at = %(at)s
    WHERE install_id = %(install)s AND opentrain_id = %(id)s AND deleted_at IS NULL
        AND history_at > %(history)s AND snapshot_at <= %(at)s
        AND ({", ".join(_SAID)}) IS NOT DISTINCT FROM ({", ".join(f"%({column})s" for column in _SAID)})
"""  # noqa: S608 - names of columns, no values


def connect(
    *, actor: User, token: Secret, name: str, now: datetime, operation: uuid.UUID
) -> tuple[Outcome, Install | None]:
    """Check a token against OpenTrain and keep it, encrypted, with what it opens.

    The token of an install that is already connected replaces the one we had. A partner admin who connects an
    install is granted it; one connected by somebody else stays out of their sight, but its new token is kept.
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
    """Ask OpenTrain for the install's endpoints and keep the snapshot.

    Returns None when the snapshot is fresh; otherwise why it is not, and everything recorded before stays as it was.
    """
    return record(visit(install=install, at=now, read_token=lambda: install.token))


def record(answer: FetchResult) -> Outcome | None:
    """Keep what OpenTrain answered and when to ask again, in one transaction; as `refresh`."""
    outcome = None if answer.error is None else failed(answer.error)
    install = answer.install
    with transaction.atomic():
        if answer.current is not None:
            Install.objects.filter(pk=install.pk).update(**_description(answer.current), described_at=answer.at)
        if answer.error is None:
            _record_success(answer=answer)
        else:
            _record_failure(answer=answer, words=outcome.words if outcome else "")
        if answer.endpoints is not None:
            record_endpoints(install=install, remote=answer.endpoints, at=answer.at)
    return outcome


def _record_success(*, answer: FetchResult) -> None:
    install, at, listed = answer.install, answer.at, []
    if answer.endpoints is not None:
        install.listed_at, listed = at, ["listed_at"]
    install.checked_at, install.last_error, install.last_error_at = at, "", None
    install.last_error_code, install.trouble_since, install.failures = Trouble.NONE, None, 0
    install.poll_after = backoff.after_success(at=at)
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
    )
    install.refresh_requested_at = None
    install.save(update_fields=["poll_after", "refresh_requested_at", *_TROUBLE])


def record_endpoints(*, install: Install, remote: Sequence[opentrain.WebhookEndpoint], at: datetime) -> None:
    """Keep the whole list that OpenTrain gave: what is in it is a snapshot, what is no longer in it is deleted."""
    with transaction.atomic(savepoint=False):
        rows = Endpoint.objects.select_for_update(no_key=True).filter(install=install).defer("secret")
        known = {row.opentrain_id: row for row in rows if row.opentrain_id is not None}
        same = {snapshot.id for snapshot in remote if _is_known(known.get(snapshot.id), snapshot, at=at)}
        mine = Endpoint.objects.filter(install=install)
        mine.filter(opentrain_id__in=same, snapshot_at__lt=at).update(snapshot_at=at)
        for snapshot in remote:
            if snapshot.id not in same:
                _keep(install=install, remote=snapshot, at=at)
        missing = known.keys() - {snapshot.id for snapshot in remote}
        if missing:  # but one that was registered or seen after the list was asked for is not missing from it
            mine.registered().filter(opentrain_id__in=missing, snapshot_at__lt=at).update(deleted_at=at)
        tally(install_id=install.pk)


def record_endpoint(*, install: Install, remote: opentrain.WebhookEndpoint, at: datetime) -> str:
    """Keep one snapshot, unless a newer one is there, and return the endpoint's status; an auto-disable also gives up
    what was still waiting.

    `at` is when a list was asked for, not when it came: a slow one must not undo what a call changed meanwhile. For the
    answer to such a call it is when it came.
    """
    if _confirm(install=install, remote=remote, at=at):
        return remote.status
    with transaction.atomic(savepoint=False):
        hold(install_id=install.pk)
        status = _keep(install=install, remote=remote, at=at).status
        tally(install_id=install.pk)
    return status


def hold(*, install_id: int) -> None:
    """Lock the install's row: whoever changes its endpoints' too does so first, as the poller does.

    Where all lock in one order, no two wait for each other until PostgreSQL ends one of them.
    """
    Install.objects.select_for_update(no_key=True).filter(pk=install_id).values_list("pk").first()


def tally(*, install_id: int) -> None:
    """Bring the sums over an install's endpoints up to date; for whoever changes which there are or what they are."""
    with connection.cursor() as cursor:
        cursor.execute(
            _TALLY,
            {
                "install": install_id,
                "none": NO_ENDPOINT,
                "fine": Severity.ACTIVE.value,
                "paused": Severity.PAUSED.value,
            },
        )


def _is_known(row: Endpoint | None, remote: opentrain.WebhookEndpoint, *, at: datetime) -> bool:
    """Tell whether a snapshot says nothing that the row does not, and there is nothing else to do for it."""
    if row is None or row.deleted_at is not None or row.history_at is None or at - row.history_at >= HISTORY_EVERY:
        return False
    return not _gives_up(remote) and all(getattr(row, column) == value for column, value in _said(remote).items())


def _confirm(*, install: Install, remote: opentrain.WebhookEndpoint, at: datetime) -> bool:
    """Move the row's snapshot on, by one statement, where the answer says nothing new: most answers to a click do not.

    Returns False, with nothing done, where there is more to do, or nothing.
    """
    if _gives_up(remote):
        return False
    values = {**_said(remote), "install": install.pk, "id": remote.id, "at": at, "history": at - HISTORY_EVERY}
    with prepared_cursor() as cursor:
        cursor.execute(_CONFIRM, values)
        return bool(cursor.rowcount)


def _said(remote: opentrain.WebhookEndpoint) -> dict[str, Any]:
    """Return the columns that a snapshot fills."""
    return {
        "url": remote.url,
        "event_types": list(remote.event_types),
        "status": remote.status,
        "created_at": remote.created_at,
        "consecutive_failures": remote.consecutive_failures,
        "disabled_at": remote.disabled_at,
        "disabled_reason": remote.disabled_reason or "",
    }


def _gives_up(remote: opentrain.WebhookEndpoint) -> bool:
    """Tell whether OpenTrain disabled it by itself: what reached us late is to be given up, too."""
    return remote.disabled_at is not None and remote.consecutive_failures >= AUTO_DISABLE_AT


def _keep(*, install: Install, remote: opentrain.WebhookEndpoint, at: datetime) -> Endpoint:
    endpoint = _row(install=install, remote=remote)
    if endpoint.snapshot_at is not None and endpoint.snapshot_at > at:
        return endpoint
    if _is_known(endpoint, remote, at=at):
        endpoint.snapshot_at = at
        endpoint.save(update_fields=["snapshot_at"])
        return endpoint
    before = (endpoint.status, endpoint.consecutive_failures)
    endpoint.opentrain_id = remote.id
    for column, value in _said(remote).items():
        setattr(endpoint, column, value)
    endpoint.snapshot_at, endpoint.deleted_at = at, None
    historic = (
        before != (remote.status, remote.consecutive_failures)
        or endpoint.history_at is None
        or at - endpoint.history_at >= HISTORY_EVERY
    )
    if historic:
        endpoint.history_at = at
    endpoint.save()
    if historic:
        EndpointSnapshot.objects.create(
            endpoint=endpoint, at=at, status=remote.status, consecutive_failures=remote.consecutive_failures
        )
    if remote.disabled_at is not None and _gives_up(remote):
        deliveries.abandon_undelivered(endpoint=endpoint, at=remote.disabled_at)
    return endpoint


def _row(*, install: Install, remote: opentrain.WebhookEndpoint) -> Endpoint:
    """Return the endpoint's row, locked; not against its new deliveries, which only need it to be there.

    One that is still being registered is recognised by its URL, so that a list which is read between OpenTrain's
    making it and our hearing of it does not make a second row.
    """
    rows = Endpoint.objects.select_for_update(no_key=True).filter(install=install).defer("secret")
    known = rows.filter(opentrain_id=remote.id).first()
    if known is not None:
        return known
    pending = rows.filter(opentrain_id=None, url=remote.url).first()
    return pending or Endpoint(install=install, opentrain_id=remote.id)


def _store(*, remote: opentrain.Install, token: Secret, name: str, now: datetime) -> tuple[Install, bool]:
    """Return its row, and whether there was none before."""
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
        **({"name": name} if name else {}),
    }
    first = {**known, "name": name or remote.organization_id}
    return Install.objects.update_or_create(opentrain_id=remote.id, defaults=known, create_defaults=first)


def _description(remote: opentrain.Install) -> dict[str, Any]:
    """Return the columns that `GET /installs/current` fills."""
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
    if not install.can_manage:
        words += (
            f" But this token lacks {MANAGE_SCOPE}, so its webhook endpoints can be neither seen nor repaired here. "
            "Ask the customer to reconnect with that scope, then paste the new token."
        )
    return words
