"""Recent calls to the observations API: one row per endpoint, shared by all processes."""

from datetime import datetime, timedelta

from django.db import connection, models

from dashboard.models.endpoints import Endpoint

WINDOW = timedelta(minutes=1)
_COUNT = """
INSERT INTO dashboard_observationpace AS pace (endpoint_id, since, calls) VALUES (%(endpoint)s, %(now)s, 1)
ON CONFLICT (endpoint_id) DO UPDATE SET
    since = CASE WHEN pace.since > %(over)s THEN pace.since ELSE %(now)s END,
    calls = CASE WHEN pace.since > %(over)s THEN pace.calls + 1 ELSE 1 END
RETURNING since, calls
"""


class ObservationPace(models.Model):
    """The calls of an endpoint's key in the window that began at `since`."""

    endpoint = models.OneToOneField(Endpoint, on_delete=models.CASCADE, primary_key=True, related_name="+")
    since = models.DateTimeField()
    calls = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.calls} since {self.since:%Y-%m-%d %H:%M:%S}"


def count_call(*, endpoint_id: int, now: datetime) -> tuple[int, timedelta]:
    """Count one more call. Return the number of calls in the current window, and the time until the window ends.

    One statement locks one row, so that simultaneous calls in several processes are all counted.
    """
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"endpoint": endpoint_id, "now": now, "over": now - WINDOW})
        since, calls = cursor.fetchone()
    return calls, since + WINDOW - now
