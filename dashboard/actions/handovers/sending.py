"""Sends events that people asked to hand over: one by one, in the order of their rows, each at most once.

Everything is checked again before an event is sent, with OpenTrain too: a contract may have ended a moment ago. What is
sent is committed before the call. So if a worker dies in the middle, the outcome is unknown and is said to be; nothing
is sent a second time without a person who asks for it.

No transaction is open during a call.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q

from dashboard.actions import audit
from dashboard.actions.handovers import people
from dashboard.actions.handovers.asking import HAND_OVER
from dashboard.actions.reconciliation.judge import judge
from dashboard.config.masking import masking
from dashboard.db.advisory_lock import alone
from dashboard.models import AuditEntry, Contract, Endpoint, Evidence, Handover
from dashboard.queries.handovers import Case, case
from dashboard.rules.causes import Cause, cause_of_answer, describe_cause
from dashboard.rules.deliveries import Standing
from dashboard.rules.handovers import FAILURES_IN_A_ROW, Result
from dashboard.rules.outside_texts import cut
from dashboard.rules.receipts import ANSWER_HEAD, kept
from dashboard.rules.reconciliation import Event
from dashboard.rules.reconstruction import Built, LinkFields
from dashboard.rules.schedule import HANDLER_DEADLINE
from dashboard.services import handler, opentrain
from dashboard.services.handler import HandlerAnswer, HandlerFailed
from dashboard.signatures import sign
from dashboard.vault import Unreadable

logger = logging.getLogger(__name__)

WORDS_CHARS = 400
DIED = "Redeliver was stopped while it sent the event. The handler may have taken it or not."
BROKE = "An error in Redeliver kept the event from being handed over. Redeliver's log has details."
NOT_SENT, NOT_CHECKED, UNKNOWN = "not sent", "could not be checked", "outcome unknown"
"""Causes where the handler gave none: an empty one would mean that it took the event."""
IN_A_ROW = f"Not sent, because the {FAILURES_IN_A_ROW} before it failed."

_PHASES = {
    Result.OK: AuditEntry.Phase.DONE,
    Result.FAILED: AuditEntry.Phase.UNAVAILABLE,
    Result.UNKNOWN: AuditEntry.Phase.UNKNOWN,
    Result.NOT_SENT: AuditEntry.Phase.REFUSED,
}
_SECRETS = ("install__token", "endpoint__secret", "endpoint__install__token")
_OUTCOME = ["ended_at", "result", "ok", "words", "cause", "status", "latency_ms", "response_headers", "response_head"]
Clock = Callable[[], datetime]


class _NotSent(Exception):
    """The event is not sent. The message says why; `cause` is stored."""

    cause = NOT_SENT


class _NotChecked(_NotSent):
    """OpenTrain did not say what has to be known, and it will not say it of the next one either."""

    cause = NOT_CHECKED


@dataclass(frozen=True, slots=True)
class _End:
    """What came of a row. `answer` is the handler's, if it gave one."""

    result: Result
    words: str
    cause: str = ""
    answer: HandlerAnswer | None = None


def send_waiting(*, endpoint_id: int, clock: Clock, budget: timedelta) -> int:
    """Send what waits for an endpoint, and return how many rows have ended. Another job that does so goes first.

    After `budget`, nothing more is begun: the next job goes on.
    """
    until, ended = clock() + budget, 0
    waiting = Handover.objects.waiting().filter(endpoint=endpoint_id).order_by("asked_at", "id")
    waiting = waiting.select_related("actor", "install", "endpoint__install").defer(*_SECRETS)
    with alone(name="redeliver.send-handovers", number=endpoint_id) as mine:
        while mine and clock() < until and (row := waiting.first()) is not None:
            _end(row, clock=clock)
            ended += 1
    return ended


def _end(row: Handover, *, clock: Clock) -> None:
    """Send the row's event if it may be sent, and record what came of it."""
    if row.sent_at is not None:
        end = _End(Result.UNKNOWN, DIED, UNKNOWN)
    elif _fails_in_a_row(row):
        end = _End(Result.NOT_SENT, IN_A_ROW, NOT_SENT)
    else:
        try:
            end = _send(row, clock=clock)
        except _NotSent as why:
            end = _End(Result.NOT_SENT, f"Not sent. {why}", why.cause)
        except Exception:
            # The row must end, or it would be tried for ever and hold up the rest.
            logger.exception("a hand-over failed (operation %s)", row.operation)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            end = _End(Result.NOT_SENT, BROKE, NOT_SENT)
            if row.sent_at is not None:
                end = _End(Result.UNKNOWN, f"{BROKE} The handler may have taken the event or not.", UNKNOWN)
    at = clock()
    _record(row, end, at=at)
    if row.ok:
        judge(install_id=row.install_id, now=at)


def _send(row: Handover, *, clock: Clock) -> _End:
    """Check, build, sign and send the event of a row. Raises: _NotSent."""
    found, link = _case(row, now=clock())
    _check_with_opentrain(found, link)
    built = _built(found, link)
    # Asking OpenTrain took a while, and the log may have the event by now.
    judge(install_id=row.install_id, now=clock())
    found, _link = _case(row, now=clock())
    at = clock()
    url, headers = found.endpoint.handles, built.headers(signature=_signature(found.endpoint, built, at=at))
    row.sent_at, row.body, row.handler_url = at, built.body, url
    row.request_headers = kept(headers)
    row.save(update_fields=["sent_at", "body", "handler_url", "request_headers"])
    try:
        answer = handler.send(url=url, headers=headers, body=built.body, deadline_s=HANDLER_DEADLINE.total_seconds())
    except HandlerFailed as failed:
        if failed.sent:
            words = f"{failed.words} It may have taken the event or not. Check it before you send the event again."
            return _End(Result.UNKNOWN, words, failed.cause.value)
        return _End(Result.FAILED, failed.words, failed.cause.value)
    cause = cause_of_answer(status=answer.status)
    if cause is Cause.NONE:
        return _End(Result.OK, f"The handler took it ({answer.status}, {answer.latency_ms} ms).", answer=answer)
    words = describe_cause(cause=cause.value, status=answer.status)
    return _End(Result.FAILED, f"{words[0].upper()}{words[1:]}.", cause.value, answer)


def _case(row: Handover, *, now: datetime) -> tuple[Case, LinkFields]:
    """Return the row's case and link as they are now. Raises: _NotSent if it may not be sent any more."""
    contract = Contract.objects.select_related("install").defer("install__token").filter(handovers=row).first()
    if contract is None:
        raise _NotSent("OpenTrain no longer lists this contract.")
    endpoint = Endpoint.objects.select_related("install").defer("secret", "install__token").get(pk=row.endpoint_id)
    found = case(contract=contract, endpoint=endpoint, event=Event(row.event_type), now=now)
    if not found.may_be_sent:
        raise _NotSent(found.why_not_built or found.why_not_sent)
    link = next((one for one in found.links if one.id == row.link_id), None)
    if link is None:
        raise _NotSent("The handler took this event for this project link, or the link is gone.")
    return found, link


def _check_with_opentrain(found: Case, link: LinkFields) -> None:
    """Ask OpenTrain whether the contract is still active, or still not. Raises: _NotSent if it is not so, or unclear.

    A contract that is not in a full list of active ones may be active all the same.
    """
    try:
        active = opentrain.list_contracts(token=found.contract.install.token, project_link_id=link.id, status="active")
    except (opentrain.OpenTrainError, Unreadable) as error:
        words = masking().text(str(error))
        said = f"Whether the contract is still {found.contract.status} could not be checked: {words}"
        raise _NotChecked(said) from None
    ids = {one.id for one in active if isinstance(one, opentrain.Contract) and one.status == "active"}
    is_active = found.contract.opentrain_id in ids
    if found.event is Event.STARTED and not is_active:
        raise _NotSent("OpenTrain does not list this contract as active any more: it may have ended.")
    if found.event is Event.ENDED and is_active:
        raise _NotSent("OpenTrain lists this contract as active again.")
    if found.event is Event.ENDED and len(ids) < len(active):
        raise _NotSent("OpenTrain's list of active contracts has entries that Redeliver cannot read.")


def _built(found: Case, link: LinkFields) -> Built:
    """Return the event. Raises: _NotSent if it is not known who was hired."""
    hired = people.from_log(contract=found.contract)
    if hired.may_be_read:
        hired = people.of_opentrain(contract=found.contract)
    if hired.person is None:
        raise _NotChecked(hired.words) if hired.may_be_read else _NotSent(hired.words)
    return found.built(link=link, freelancer=hired.person)


def _signature(endpoint: Endpoint, built: Built, *, at: datetime) -> str:
    """Return the signature header, made with the stored secret. Raises: _NotSent."""
    try:
        secret = Endpoint.objects.only("secret").get(pk=endpoint.pk).secret
        if secret is None:
            raise _NotSent("Redeliver does not have this endpoint's signing secret, so it cannot sign the event.")
        return sign(secret=secret.reveal(), body=built.body, timestamp=int(at.timestamp()))
    except Unreadable:
        raise _NotSent("This endpoint's signing secret cannot be read with the keys in FIELD_KEYS.") from None


def _fails_in_a_row(row: Handover) -> bool:
    """Return whether the last ones that were tried of the row's selection all failed."""
    if row.batch is None:
        return False
    tried = Q(sent_at__isnull=False) | Q(cause=NOT_CHECKED)
    ended = Handover.objects.filter(tried, batch=row.batch, ended_at__isnull=False)
    last = list(ended.order_by("-ended_at", "-id").values_list("ok", flat=True)[:FAILURES_IN_A_ROW])
    return len(last) == FAILURES_IN_A_ROW and not any(last)


def _record(row: Handover, end: _End, *, at: datetime) -> None:
    """Store what came of a row, the evidence if the handler took it, and the closing audit entry."""
    row.ended_at, row.result, row.ok = at, end.result.value, end.result is Result.OK
    row.words, row.cause = cut(masking().text(end.words), most=WORDS_CHARS), end.cause
    if end.answer is not None:
        row.status, row.latency_ms = end.answer.status, end.answer.latency_ms
        row.response_headers = kept(end.answer.headers)
        row.response_head = end.answer.body[:ANSWER_HEAD]
    with transaction.atomic():
        row.save(update_fields=_OUTCOME)
        if row.ok:
            _prove(row)
        entry = audit.entry(
            operation=row.operation,
            phase=_PHASES[end.result],
            action=HAND_OVER,
            actor=row.actor,
            actor_name=row.actor_name,
            install=row.install,
            endpoint=row.endpoint,
        )
        entry.delivery_id = row.delivery_id
        entry.words = f"{row.event_type} of contract {row.contract_opentrain_id}. {row.words}"
        entry.save(force_insert=True)


def _prove(row: Handover) -> None:
    """Keep as evidence that the handler took the event: it outlives the row, but not the contract."""
    contract = Contract.objects.select_for_update(no_key=True).filter(handovers=row).first()
    if contract is None or row.sent_at is None or row.ended_at is None:
        return
    Evidence.objects.update_or_create(
        endpoint=row.endpoint,
        opentrain_id=row.delivery_id,
        defaults={
            "contract": contract,
            "event_type": row.event_type,
            "link_id": row.link_id,
            "first_received_at": row.sent_at,
            "last_attempt_at": row.ended_at,
            "taken_at": row.ended_at,
            "standing": Standing.DELIVERED,
            "last_status": row.status,
        },
    )
