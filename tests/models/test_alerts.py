"""Alerts and channels: what the database refuses, and what it deletes along with them."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from dashboard.actions.alerts import watch
from dashboard.models import Alert, AlertChannel
from tests.factories import (
    NOON,
    make_alert,
    make_channel,
    make_endpoint,
)

pytestmark = pytest.mark.django_db


def test_channel_with_neither_address_is_refused_by_the_database() -> None:
    for columns in ({"email": ""}, {"way": "webhook"}, {"quiet_start": time(1)}):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_channel(**columns)


def test_deleting_an_install_takes_its_channels_and_alerts_along() -> None:
    endpoint = make_endpoint()
    make_alert(endpoint=endpoint)
    make_channel(install=endpoint.install)
    endpoint.install.delete()
    assert AlertChannel.objects.count() == 0
    watch.watch(now=NOON + timedelta(minutes=1))


@pytest.mark.parametrize("columns", [{}, {"kind": "no_access", "endpoint": None}])
def test_second_open_alert_of_the_same_is_refused_by_the_database(columns: dict[str, Any]) -> None:
    endpoint = make_endpoint()

    def make() -> Alert:
        alert = {"kind": "disabled", "endpoint": endpoint, "words": "", "opened_at": NOON} | columns
        return Alert.objects.create(install=endpoint.install, install_name="Acme Labs", **alert)

    make()
    with pytest.raises(IntegrityError, match="alert_open_once"), transaction.atomic():
        make()
    Alert.objects.update(cleared_at=NOON)
    make()
    assert Alert.objects.open().count() == 1
