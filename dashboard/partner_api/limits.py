"""The rate limit: a token bucket for each API token, refilled evenly, shared by all server processes in PostgreSQL.

The table is unlogged, so a call costs one short statement and no wait for a disk. After a crash of the database the
table is empty and every bucket full, which is acceptable for a protection against runaway loops. Time is the
database's.
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
# Below 0 the call is refused and costs nothing: the next statement adds it back.


def take(token_id: str, *, per_minute: int) -> int | None:
    """Take one call from the bucket. Return None if it is allowed, else the whole seconds until one is."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"token": token_id, "per_minute": float(per_minute)})
        left = float(cursor.fetchone()[0])
    return None if left >= 0 else max(1, math.ceil(-left * 60 / per_minute))
