"""live lets things happen until a signal, and says what became of their events."""

import signal

import pytest
from django.core.management import CommandError

from dashboard.partner_api.models import Contract, Event, Install, ProjectLink
from tests.partner_api import sink
from tests.partner_api.conftest import Partner, make_partner
from tests.partner_api.test_tasks import command, end, start


def test_live_starts_with_links_and_hires(partner: Partner) -> None:
    lines = command("live", "--install", partner.install_id, "--count", "5")
    assert [line["done"] for line in lines] == ["link", "link", "hire", "hire", "hire"]
    assert [event["event"] for line in lines for event in line["events"]] == [
        event.wire_id for event in Event.objects.order_by("id")
    ]
    assert (ProjectLink.objects.count(), Contract.objects.count(), Event.objects.count()) == (2, 3, 5)


def test_live_loses_events_and_not_what_happened(partner: Partner) -> None:
    lines = command("live", "--install", partner.install_id, "--count", "3", "--lose", "1")
    assert [line["lost"] for line in lines] == [
        ["project_link.created"],
        ["project_link.created"],
        ["contract.started"],
    ]
    assert (Contract.objects.count(), Event.objects.count()) == (1, 0)


def test_live_of_an_install_that_is_not_active_says_why(partner: Partner) -> None:
    Install.objects.update(status="REVOKED")
    with pytest.raises(CommandError, match="ACTIVE installs only"):
        command("live", "--install", partner.install_id)


@pytest.mark.slow
@pytest.mark.usefixtures("_no_jobs")
def test_live_forever_goes_on_until_a_signal_and_ends_cleanly(environment: dict[str, str]) -> None:
    partner = make_partner()
    process = start(environment, "live", "--install", partner.install_id, "--every", "0.02", "--forever")
    try:
        sink.wait_until(lambda: Event.objects.count() >= 9, seconds=60)
    finally:
        _, err = end(process, by=signal.SIGTERM)
    assert (process.returncode, err) == (0, "")
