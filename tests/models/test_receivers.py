"""Reports of receivers, and the checks that they are asked for."""

import pytest
from django.db import IntegrityError

from dashboard.models import HandlerCheck, ReceiverReport
from tests.factories import NOON


@pytest.mark.django_db
def test_receiver_has_one_report() -> None:
    ReceiverReport.objects.create(name="web1-a", held=1204, heard_at=NOON)
    with pytest.raises(IntegrityError):
        ReceiverReport.objects.create(name="web1-a", held=0, heard_at=NOON)


def test_report_says_its_name_and_number() -> None:
    assert str(ReceiverReport(name="web1-a", held=1204)) == "web1-a: 1204"


def test_check_names_no_url() -> None:
    assert str(HandlerCheck(endpoint_id=7)) == "check of 7"
