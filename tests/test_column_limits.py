"""No column is shorter than what its guard lets through: a longer value is a server error, not an answer.

Every column with a limit is listed here, so a new one needs its line: the longest text or largest number that the guard
of values from outside lets through, or why the column holds only values of ours. `tests/attacks/test_outside_values.py`
sends such values.
"""

from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models

from dashboard.actions import audit
from dashboard.actions.alerts import channels, outbox
from dashboard.actions.handovers import sending
from dashboard.actions.installs import sync
from dashboard.actions.reconciliation import rows
from dashboard.actions.runs import commands, items
from dashboard.auth import request_source
from dashboard.forms.alerts import EMAIL_CHARS, NAME_CHARS, TIME_ZONE_CHARS
from dashboard.forms.installs import ConnectForm
from dashboard.forms.members import InviteForm
from dashboard.forms.web_addresses import URL_CHARS
from dashboard.partner_api import installs, schemas, targets
from dashboard.partner_api.models import ProjectLink, Usage
from dashboard.rules import (
    alert_messages,
    alerts,
    endpoint_titles,
    observations,
    receipts,
    runs,
    time_zones,
    window_checks,
)
from dashboard.rules.attempts import BODY_LIMIT
from dashboard.rules.schedule import HANDLER_DEADLINE
from dashboard.services import handler
from dashboard.services.opentrain import contract_types, types

CHOICE, OURS, COUNT = "one of its choices", "a code, key, hash or sentence of ours", "a number that we count or take"
FIELDS = {**InviteForm.base_fields, "install_name": ConnectForm.base_fields["name"]}
PERSON = getattr(FIELDS["username"], "max_length")  # noqa: B009 - not every field of a form has one
INSTALL_NAME = max(getattr(FIELDS["install_name"], "max_length"), types.ID_CHARS)  # noqa: B009 - the same
STATUS = max(handler.STATUSES)
ID, EVENT_TYPE = receipts.ID_LIMIT, receipts.TYPE_LIMIT

GUARDS: dict[str, int | str] = {
    # GET /installs/current (services/opentrain/types.py), and the name that people enter
    "Install.opentrain_id": types.ID_CHARS,
    "Install.name": INSTALL_NAME,
    "Install.organization_id": types.ID_CHARS,
    "Install.app_id": types.ID_CHARS,
    "Install.app_name": types.NAME_CHARS,
    "Install.status": types.STATUS_CHARS,
    "Install.scopes": types.ITEM_CHARS,
    "Install.token_id": types.ID_CHARS,
    "Install.token_name": types.NAME_CHARS,
    "Install.token_scopes": types.ITEM_CHARS,
    "Install.last_error_code": OURS,
    "Install.failures": sync.MOST_FAILURES,
    "Install.endpoint_count": COUNT,
    "Install.needing_count": COUNT,
    "Install.fine_count": COUNT,
    "Install.worst": OURS,
    "Install.disconnected_by_name": PERSON,
    # GET /webhook-endpoints, and the forms
    "Endpoint.opentrain_id": types.ID_CHARS,
    "Endpoint.url": max(types.URL_CHARS, URL_CHARS),
    "Endpoint.event_types": types.ITEM_CHARS,
    "Endpoint.status": types.STATUS_CHARS,
    "Endpoint.consecutive_failures": types.COUNT,
    "Endpoint.receiver_key": OURS,
    "Endpoint.handler_url": URL_CHARS,
    "Endpoint.observation_key_sha256": OURS,
    "Endpoint.proof": CHOICE,
    "Endpoint.url_before": max(types.URL_CHARS, URL_CHARS),
    "Endpoint.name": endpoint_titles.NAME_CHARS,
    "Endpoint.told_apart_by": endpoint_titles.MARK_CHARS,
    "EndpointWrite.url_digest": OURS,
    "EndpointWrite.consecutive_failures": types.COUNT,
    "EndpointSnapshot.status": types.STATUS_CHARS,
    "EndpointSnapshot.consecutive_failures": types.COUNT,
    "Silence.rhythm": OURS,
    "WindowCheck.checked_by_name": PERSON,
    "WindowCheck.note": window_checks.NOTE_CHARS,
    # GET /project-links, /contracts and /contracts/{id}/budget
    "Reconciliation.failures": sync.MOST_FAILURES,
    "ProjectLink.opentrain_id": types.ID_CHARS,
    "ProjectLink.job_id": types.ID_CHARS,
    "ProjectLink.external_project_id": contract_types.PROJECT_ID_CHARS,
    "ProjectLink.external_project_name": contract_types.PROJECT_NAME_CHARS,
    "ProjectLink.external_project_url": types.URL_CHARS,
    "ProjectLink.provisioning_mode": types.STATUS_CHARS,
    "Contract.opentrain_id": types.ID_CHARS,
    "Contract.status": types.STATUS_CHARS,
    "Contract.job_id": types.ID_CHARS,
    "Contract.title": contract_types.TITLE_CHARS,
    "Contract.link_ids": types.ID_CHARS,
    "Contract.budget_state": types.STATUS_CHARS,
    "ContractChange.what": OURS,
    "ContractChange.before": rows.CHANGE_CHARS,
    "ContractChange.after": rows.CHANGE_CHARS,
    # Deliveries: the receiver and the observations API
    "Delivery.opentrain_id": max(ID, observations.ID_CHARS),
    "Delivery.event_id": max(ID, observations.ID_CHARS),
    "Delivery.event_type": max(EVENT_TYPE, observations.TYPE_CHARS),
    "Delivery.resource_id": max(ID, observations.ID_CHARS),
    "Delivery.attempt_count": COUNT,
    "Delivery.attempts_in_round": COUNT,
    "Delivery.last_status": max(STATUS, observations.STATUSES[-1]),
    "Delivery.last_cause": OURS,
    "Delivery.last_latency_ms": observations.LATENCY_LIMIT_MS,
    "Delivery.last_signature": OURS,
    "Delivery.standing": CHOICE,
    "Attempt.number": COUNT,
    "Attempt.answered_status": max(STATUS, observations.STATUSES[-1]),
    "Attempt.body_fault": OURS,
    "Attempt.cause": OURS,
    "Attempt.handler_url": URL_CHARS,
    "Attempt.handler_status": max(STATUS, observations.STATUSES[-1]),
    "Attempt.latency_ms": observations.LATENCY_LIMIT_MS,
    "Attempt.source": CHOICE,
    "Attempt.signature": OURS,
    "RefusedAttempt.reason": OURS,
    "RefusedAttempt.explanation": OURS,
    "RefusedAttempt.answered_status": OURS,
    "RefusedAttempt.claimed_delivery_id": ID,
    "RefusedAttempt.claimed_event_type": EVENT_TYPE,
    "RefusedAttempt.body_size": BODY_LIMIT + 1,
    "RefusedAttempt.body_sha256": OURS,
    "ObservationPace.calls": COUNT,
    "ReceiverReport.name": OURS,
    "ReceiverReport.held": COUNT,
    "Handover.contract_opentrain_id": types.ID_CHARS,
    "Handover.event_type": OURS,
    "Handover.link_id": types.ID_CHARS,
    "Handover.delivery_id": OURS,
    "Handover.handler_url": URL_CHARS,
    "Handover.actor_name": PERSON,
    "Handover.result": CHOICE,
    "Handover.status": STATUS,
    "Handover.cause": OURS,
    "Handover.words": sending.WORDS_CHARS,
    "Handover.latency_ms": int(HANDLER_DEADLINE.total_seconds() * 2000),
    "HandlerCheck.taken_by": OURS,
    "HandlerCheck.status": STATUS,
    "HandlerCheck.latency_ms": observations.LATENCY_LIMIT_MS,
    "HandlerCheck.cause": OURS,
    "ReceiverPresence.name": OURS,
    # GET /project-links and GET /contracts (services/opentrain/contract_types.py), and what became of contracts' events
    "Contract.judged_as": OURS,
    "Evidence.event_type": CHOICE,
    "Evidence.opentrain_id": max(ID, observations.ID_CHARS),
    "Evidence.event_id": max(ID, observations.ID_CHARS),
    "Evidence.link_id": types.ID_CHARS,
    "Evidence.standing": CHOICE,
    "Evidence.last_cause": OURS,
    "Evidence.attempt_count": COUNT,
    "Evidence.last_status": max(STATUS, observations.STATUSES[-1]),
    "Finding.event_type": CHOICE,
    "Finding.kind": CHOICE,
    "Finding.reason": CHOICE,
    "Finding.consequence": CHOICE,
    "Finding.closed_words": OURS,
    "EndpointSnapshot.event_types": types.ITEM_CHARS,
    "InstallSnapshot.status": types.STATUS_CHARS,
    # The audit: names of objects, the browser, and OpenTrain's error envelope
    "AuditEntry.phase": CHOICE,
    "AuditEntry.action": OURS,
    "AuditEntry.actor_name": PERSON,
    "AuditEntry.agent": request_source.AGENT_CHARS,
    "AuditEntry.install_name": INSTALL_NAME,
    "AuditEntry.install_opentrain_id": types.ID_CHARS,
    "AuditEntry.endpoint_name": audit.TITLE_CHARS,
    "AuditEntry.endpoint_url": audit.URL_CHARS,
    "AuditEntry.endpoint_opentrain_id": types.ID_CHARS,
    "AuditEntry.delivery_id": max(ID, observations.ID_CHARS),
    "AuditEntry.code": types.CODE_CHARS,
    "AuditEntry.request_id": types.REQUEST_ID_CHARS,
    "AuditEntry.requeued": types.COUNT,
    # Runs
    "Run.kind": CHOICE,
    "Run.actor_name": PERSON,
    "Run.note": commands.NOTE_CHARS,
    "Run.chosen": commands.CHOSEN_CHARS,
    "Run.state": CHOICE,
    "Run.step": OURS,
    "Run.pace_ms": runs.SLOWEST_MS,
    "Run.failed_calls": runs.GIVE_UP_AFTER,
    "Run.others": types.COUNT,
    "Run.request_id": types.REQUEST_ID_CHARS,
    "RunStep.name": OURS,
    "RunItem.position": COUNT,
    "RunItem.after": COUNT,
    "RunItem.opentrain_id": max(ID, observations.ID_CHARS),
    "RunItem.event_type": max(EVENT_TYPE, observations.TYPE_CHARS),
    "RunItem.state": CHOICE,
    "RunItem.words": items.WORDS_CHARS,
    "Rotation.step": CHOICE,
    "Rotation.started_by_name": PERSON,
    "Rotation.ended_by_name": PERSON,
    # Alerts: the form of a channel, and answers of mail servers and webhooks
    "AlertChannel.name": NAME_CHARS,
    "AlertChannel.way": CHOICE,
    "AlertChannel.kinds": CHOICE,
    "AlertChannel.email": EMAIL_CHARS,
    "AlertChannel.shown_as": max(channels.SHOWN_CHARS, EMAIL_CHARS),
    "AlertChannel.time_zone": TIME_ZONE_CHARS,
    "AlertChannel.made_by_name": PERSON,
    "Alert.kind": CHOICE,
    "Alert.install_name": alert_messages.NAME_CHARS,
    "Alert.endpoint_name": alert_messages.NAME_CHARS,
    "Alert.endpoint_url": alert_messages.NAME_CHARS,
    "Alert.ended_as": CHOICE,
    "AlertDelivery.channel_name": NAME_CHARS,
    "AlertDelivery.state": CHOICE,
    "AlertDelivery.attempts": alerts.ATTEMPTS,
    "AlertDelivery.words": outbox.WORDS_CHARS,
    "AlertNews.event": CHOICE,
    # People: only the form of an invitation, and the command line, write these
    "User.password": OURS,
    "User.username": PERSON,
    "User.first_name": "never filled",
    "User.last_name": "never filled",
    "User.email": getattr(FIELDS["email"], "max_length"),  # noqa: B009 - the same as above
    "User.role": CHOICE,
    "User.time_zone": time_zones.NAME_CHARS,
    "User.session_generation": COUNT,
    "CacheEntry.cache_key": OURS,
    # The Partner API
    "partner_api.App.slug": installs.SLUG_CHARS,
    "partner_api.Token.token_hash": OURS,
    "partner_api.ProjectLink.external_project_id": ProjectLink.EXTERNAL_ID_CHARS,
    "partner_api.ProjectLink.external_project_name": ProjectLink.NAME_CHARS,
    "partner_api.ProjectLink.external_project_url": ProjectLink.URL_CHARS,
    "partner_api.Usage.worker_id": Usage.WORKER_CHARS,
    "partner_api.Usage.total_seconds": schemas.DAY_S,
    "partner_api.Usage.tasks_completed": Usage.MOST,
    "partner_api.Usage.labels_completed": Usage.MOST,
    "partner_api.Usage.external_report_id": Usage.REPORT_CHARS,
    "partner_api.Endpoint.url": targets.MAX_LENGTH,
    "partner_api.Endpoint.consecutive_failures": COUNT,
    "partner_api.Delivery.round": COUNT,
    "partner_api.Delivery.tries": COUNT,
    "partner_api.Delivery.attempts": COUNT,
    "partner_api.Attempt.number": COUNT,
    "partner_api.Attempt.duration_ms": COUNT,
    "partner_api.Attempt.status_code": 999,  # aiohttp refuses more digits
}


def limits() -> dict[str, int]:
    """Return the columns that have a limit: the most characters of a text or of a list's items, or the largest number.

    Columns that PostgreSQL fills itself and references to rows are left out.
    """
    found = {}
    for app in ("dashboard", "partner_api"):
        for model in apps.get_app_config(app).get_models():
            start = model.__name__ if app == "dashboard" else f"{app}.{model.__name__}"
            fields = [one for one in model._meta.concrete_fields if not one.is_relation and not one.generated]
            found |= {f"{start}.{one.name}": most for one in fields if (most := limit(one)) is not None}
    return found


def limit(field: Any) -> int | None:
    if isinstance(field, ArrayField):
        return limit(field.base_field)
    if isinstance(field, models.CharField):
        return field.max_length
    numbers = isinstance(field, models.IntegerField) and not field.primary_key
    return connection.ops.integer_field_range(field.get_internal_type())[1] if numbers else None


def test_every_column_with_a_limit_names_its_guard() -> None:
    columns = set(limits())
    assert columns - set(GUARDS) == set(), "add what guards them to GUARDS, or why no value from outside gets there"
    assert set(GUARDS) - columns == set(), "these columns are gone, or have no limit"


def test_no_guard_lets_through_more_than_its_column_holds() -> None:
    columns = limits()
    guarded = {name: most for name, most in GUARDS.items() if isinstance(most, int)}
    assert {name: (most, columns[name]) for name, most in guarded.items() if most > columns[name]} == {}
