"""How often a token may call: a bucket for each, refilled evenly, shared by every server process through PostgreSQL.

The table is unlogged, so that a call costs one short statement and no wait for a disk. After a crash of the database it
is empty, and every bucket full: a protection against runaway loops can afford that. Time is the database's.
"""

import math

from django.db import connection

_TAKE = """
INSERT INTO partner_api_bucket AS bucket (token_id, calls_left, counted_at)
VALUES (%(token)s, %(per_minute)s - 1, clock_timestamp())
    ON CONFLICT (token_id) DO UPDATE
   SET calls_left = least(
           %(per_minute)s,
           bucket.calls_left + (bucket.calls_left < 0)::int
               + greatest(0, extract(epoch FROM clock_timestamp() - bucket.counted_at)) * %(per_minute)s / 60.0
       ) - 1,
       counted_at = clock_timestamp()
RETURNING calls_left
"""
# Below 0 the call was not there, and is not paid for: asking again takes nothing away.


def take(token_id: str, *, per_minute: int) -> int | None:
    """Take one call; None when it was there, else after how many whole seconds there will be one."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"token": token_id, "per_minute": float(per_minute)})
        left = float(cursor.fetchone()[0])
    return None if left >= 0 else max(1, math.ceil(-left * 60 / per_minute))
