"""How attempts leave the spool: in order, into the log, once. Each has a name that the log recognizes."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from dashboard.actions.deliveries.groups import record_group
from dashboard.receiver.spool import Spool
from dashboard.rules.attempt_codec import Undecodable, from_bytes
from dashboard.rules.attempts import RecordedAttempt

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Replayed:
    """The names of attempts that are in the log now, and how many the log refused."""

    ids: Sequence[uuid.UUID]
    refused: int


def replay_some(spool: Spool) -> Replayed | None:
    """Record the first attempts that wait in the spool, and release them; None if none wait.

    What the log cannot take, now or later, is logged and set aside by the spool.

    Raises: django.db.Error, with nothing released; KeyMissing, UnknownFormat, SpoolFailed.
    """
    batch = spool.read()
    if batch is None:
        return None
    attempts = _decoded(batch.records)
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
