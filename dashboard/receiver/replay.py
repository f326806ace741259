"""How attempts leave the spool: in order, into the log, once. Each has a name that the log recognizes."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from dashboard.actions.deliveries.groups import record_group
from dashboard.receiver.spool import Spool
from dashboard.rules.attempt_codec import Undecodable, from_bytes
from dashboard.rules.attempts import RecordedAttempt, missed
from dashboard.rules.causes import Cause

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The names of attempts that are in the log now, and how many the log refused."""

    ids: Sequence[uuid.UUID]
    refused: int


def replay_some(spool: Spool, *, unanswered: Mapping[uuid.UUID, Cause] = MappingProxyType({})) -> Replayed | None:
    """Record the first attempts that wait in the spool, and release them; None if none wait.

    `unanswered` are attempts that OpenTrain got no answer to, with why. They enter the log as failed: the next attempt
    of the delivery, which may be recorded with them, is OpenTrain's retry.

    What the log cannot take, now or later, is logged and set aside by the spool.

    Raises: django.db.Error, with nothing released; KeyMissing, UnknownFormat, SpoolFailed.
    """
    batch = spool.read()
    if batch is None:
        return None
    attempts = [_as_answered(one, unanswered=unanswered) for one in _decoded(batch.records)]
    ids = []
    for attempt, result in zip(attempts, record_group(attempts=attempts), strict=True):
        if result.error is None:
            ids.append(attempt.id)
        else:
            # The error's text may quote what was sent.
            words = "the log refuses attempt %s of endpoint %d: %s"
            logger.error(words, attempt.id, attempt.endpoint_id, type(result.error).__name__)
    refused = len(batch.records) - len(ids)
    spool.release(batch, refused=refused)
    return Replayed(ids, refused)


def _decoded(records: Sequence[bytes]) -> list[RecordedAttempt]:
    attempts = []
    for record in records:
        try:
            attempts.append(from_bytes(record))
        except Undecodable as error:
            logger.error("an attempt in the spool cannot be read: %s", error)  # noqa: TRY400 - it says it all
    return attempts


def _as_answered(attempt: RecordedAttempt, *, unanswered: Mapping[uuid.UUID, Cause]) -> RecordedAttempt:
    why = unanswered.get(attempt.id)
    if why is None:
        return attempt
    result = attempt.result
    changes = missed(why=why, cause=result.cause, answered_status=result.answered_status)
    return replace(attempt, result=replace(result, **changes))
