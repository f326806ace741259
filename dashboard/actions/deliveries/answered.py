"""Notes whether OpenTrain got our answer in time. That is known only after the attempt is in the log."""

import uuid
from collections.abc import Mapping

from django.db import connection, transaction

_NOTE = """
    UPDATE dashboard_attempt SET answered_in_time = told.in_time
    FROM unnest(%s::uuid[], %s::boolean[]) AS told (id, in_time)
    WHERE uuid = told.id AND answered_in_time IS NULL
"""


def note_answered(told: Mapping[uuid.UUID, bool]) -> None:
    """Note, by the attempts' names, whether they were answered in time. Names that the log lacks are ignored.

    A crash of the database may undo it: then it is unknown, as it was before. Therefore the commit waits for no disk.

    Raises: django.db.Error.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")
        cursor.execute(_NOTE, [list(told), list(told.values())])
