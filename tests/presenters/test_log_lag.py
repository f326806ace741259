"""What pages say of attempts that are not in the log yet."""

import pytest

from dashboard.models import ReceiverReport, User
from dashboard.presenters.log_lag import log_lag
from tests.factories import NOON

pytestmark = pytest.mark.django_db
OTHERS = "Redeliver holds attempts that are not in this log yet. It adds them as soon as it can."


def test_support_reads_of_each_receiver_and_others_that_the_log_lags(support: User, partner_admin: User) -> None:
    ReceiverReport.objects.create(name="a", held=1204, heard_at=NOON)
    ReceiverReport.objects.create(name="b", held=0, heard_at=NOON)
    assert log_lag(user=support, now=NOON) == ("Receiver a holds 1,204 attempts that are not in the log yet.",)
    assert log_lag(user=partner_admin, now=NOON) == (OTHERS,)
    ReceiverReport.objects.all().update(held=0)
    assert log_lag(user=support, now=NOON) == log_lag(user=partner_admin, now=NOON) == ()
