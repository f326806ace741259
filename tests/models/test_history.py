"""The history of endpoints: its severity matches the rules', and each endpoint has at most one silence."""

import pytest
from django.db import IntegrityError, transaction

from dashboard.models import EndpointSnapshot, Silence
from dashboard.rules.endpoints import Severity
from tests.factories import NOON, make_endpoint

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("status", "failures", "severity"),
    [
        ("ACTIVE", 0, Severity.ACTIVE),
        ("ACTIVE", 1, Severity.FAILING),
        ("ACTIVE", 7, Severity.AT_RISK),
        ("DISABLED", 0, Severity.PAUSED),
        ("DISABLED", 10, Severity.DISABLED),
        ("", 0, Severity.UNKNOWN),
    ],
)
def test_snapshot_is_as_severe_as_its_status_and_streak(status: str, failures: int, severity: Severity) -> None:
    EndpointSnapshot.objects.create(endpoint=make_endpoint(), at=NOON, status=status, consecutive_failures=failures)
    assert EndpointSnapshot.objects.get().severity == severity


def test_endpoint_has_one_silence_which_goes_with_it() -> None:
    endpoint = make_endpoint()
    columns = {"endpoint": endpoint, "last_at": NOON, "rhythm": "hours", "noticed_at": NOON}
    Silence.objects.create(**columns)
    with pytest.raises(IntegrityError), transaction.atomic():
        Silence.objects.create(**columns)
    endpoint.delete()
    assert not Silence.objects.exists()
