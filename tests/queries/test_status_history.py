"""An endpoint's status over time, in buckets."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard.models import EndpointSnapshot
from dashboard.queries.status_history import status_over_time
from tests.factories import make_endpoint


@pytest.mark.django_db
def test_much_history_is_thinned_out_by_the_database() -> None:
    endpoint, now = make_endpoint(), timezone.now()
    EndpointSnapshot.objects.bulk_create(
        EndpointSnapshot(
            endpoint=endpoint, at=now - timedelta(seconds=20 * number), status="ACTIVE", consecutive_failures=number % 7
        )
        for number in range(4000)
    )
    with CaptureQueriesContext(connection) as queries:
        stretches = status_over_time(
            endpoint_id=endpoint.pk, until=now, width=timedelta(minutes=15), buckets=96, now=now
        )
    assert len(queries) == 1
    # Every bucket since the first row has the same worst status, so they form one stretch.
    assert (stretches[0].failures, stretches[-1].failures) == (None, 6)
    assert stretches[-1].until - stretches[-1].at >= timedelta(hours=22)
