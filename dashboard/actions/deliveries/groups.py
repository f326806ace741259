"""Records the attempts of many deliveries together.

- First attempts are one prepared statement, which is its own transaction: to begin and to commit one would be two more
  waits for the server. Nearly all groups are that and no more.
- Attempts of deliveries that exist, and further attempts of a delivery that stands twice in a group, follow in one
  transaction (attempts.py).
- Each delivery's attempts are recorded in the order of their arrival.
- An attempt whose name is in the log changes nothing, so a caller that got no answer gives the same attempts again.
- If the database refuses values, the attempts are recorded in halves, so that in the end one bad attempt fails alone.

No deadlock can occur, because a transaction never waits for a delivery that another has locked while it holds rows
itself:
- Every writer inserts deliveries in one order (attempts.in_order).
- Endpoints are locked before the first existing delivery, in the order of their IDs.
- Existing deliveries are locked only if they are free. The others are recorded after the commit, one at a time.
"""

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType

from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from psycopg.errors import ProgramLimitExceeded

from dashboard.actions.deliveries.attempts import first_rows, in_order, insert_firsts, key_of, locked_now, record_next
from dashboard.actions.deliveries.record import record_of_one
from dashboard.actions.deliveries.rows import FirstRows
from dashboard.rules.attempts import RecordedAttempt

MOST = 500
"""Most attempts in one transaction."""
MOST_BYTES = 16 * 1024 * 1024
"""Most bytes of bodies in one transaction, unless one body is larger: the driver and the server copy them."""

logger = logging.getLogger(__name__)


class Locked(Exception):
    """Another transaction has locked the delivery. Nothing is wrong with the attempt, so record it again."""


@dataclass(frozen=True, slots=True)
class GroupResult:
    """What came of the attempt with this name. Without an error it is in the log, now or since earlier.

    The error's text may quote what was to be stored, so it belongs into no log.
    """

    id: uuid.UUID
    error: Exception | None = None


def ready(attempt: RecordedAttempt) -> FirstRows | None:
    """Return the rows of an attempt for `record_group`, made ahead; None if they cannot be made, which it tells."""
    try:
        return first_rows(attempt)
    except Exception:  # noqa: BLE001 - record_group makes them once more, and then it is the attempt's error
        return None


def record_group(
    *,
    attempts: Sequence[RecordedAttempt],
    wait: bool = True,
    rows: Mapping[uuid.UUID, FirstRows] = MappingProxyType({}),
) -> list[GroupResult]:
    """Record attempts and return the result of each, in the order given. Call this outside of transactions.

    `rows` are those that are `ready`, by the attempts' names.

    Without `wait`, the error of an attempt whose delivery is locked is `Locked`. A large redelivery or an auto-disable
    locks deliveries for seconds; the results of the others would come only after that.

    Raises: RuntimeError inside a transaction; django.db.Error if the cause is not one attempt, as when the database is
    away. Some attempts may be in the log then, so record all of them again.
    """
    _refuse_inside_a_transaction()
    errors: dict[uuid.UUID, Exception] = {}
    for part in _parts(in_order(attempts)):
        _record(part, wait=wait, rows=rows, errors=errors)
    return [GroupResult(one.id, errors.get(one.id)) for one in attempts]


def _refuse_inside_a_transaction() -> None:
    """Do what `transaction.atomic(durable=True)` does, without beginning one: what is not committed is not recorded."""
    blocks = connection.atomic_blocks
    if blocks and not blocks[-1]._from_testcase:  # type: ignore[attr-defined]  # noqa: SLF001 - as Django itself asks
        raise RuntimeError("A group of attempts is durable: record it outside of transactions.")


def _parts(given: Sequence[RecordedAttempt]) -> Iterator[list[RecordedAttempt]]:
    """Divide the attempts into transactions."""
    part: list[RecordedAttempt] = []
    size = 0
    for one in given:
        length = len(one.event.body or b"")
        if part and (len(part) == MOST or size + length > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(one)
        size += length
    if part:
        yield part


def _record(
    given: Sequence[RecordedAttempt],
    *,
    wait: bool,
    rows: Mapping[uuid.UUID, FirstRows],
    errors: dict[uuid.UUID, Exception],
) -> None:
    """Record attempts; if that fails because of what they hold, record each half, and note what fails alone."""
    try:
        if wait and key_of(given[0]) == key_of(given[-1]):
            record_of_one(given)
            return
        for of_one in _record_together(given, rows=rows):
            if wait:
                record_of_one(of_one)
            else:
                errors |= {one.id: Locked() for one in of_one}
    except (DataError, IntegrityError, OperationalError, OverflowError, TypeError, ValueError) as error:
        if not _is_about_values(error):
            raise
        if len(given) == 1:
            errors[given[0].id] = error
            return
        logger.warning("a group of %s attempts failed and is recorded in halves: %s", len(given), type(error).__name__)
        middle = len(given) // 2
        _record(given[:middle], wait=wait, rows=rows, errors=errors)
        _record(given[middle:], wait=wait, rows=rows, errors=errors)


def _is_about_values(error: Exception) -> bool:
    """Return whether other attempts may be recorded. A server that is full, read-only or away takes none."""
    return not isinstance(error, OperationalError) or isinstance(error.__cause__, ProgramLimitExceeded)


def _record_together(
    given: Sequence[RecordedAttempt], *, rows: Mapping[uuid.UUID, FirstRows]
) -> list[list[RecordedAttempt]]:
    """Record attempts, and return by delivery those of deliveries that are locked, or that were deleted meanwhile."""
    of_each = [list(of_one) for _key, of_one in groupby(given, key=key_of)]
    new = insert_firsts(given=[of_one[0] for of_one in of_each], rows=rows)
    left = [one for one in given if one.id not in new]
    if not left:
        return []
    with transaction.atomic(durable=True):
        passed_over = _record_left(left)
    return [of_one for of_one in of_each if key_of(of_one[0]) in passed_over]


def _record_left(left: Sequence[RecordedAttempt]) -> set[tuple[int, str]]:
    _hold_endpoints({one.endpoint_id for one in left})
    there = {(row.endpoint_id, row.opentrain_id): row for row in locked_now(given=left)}
    record_next(given=[one for one in left if key_of(one) in there], deliveries=there.values())
    return {key_of(one) for one in left if key_of(one) not in there}


def _hold_endpoints(ids: set[int]) -> None:
    """Lock the endpoints as the log's foreign key does, which would come last: at the commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM dashboard_endpoint WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [list(ids)])
