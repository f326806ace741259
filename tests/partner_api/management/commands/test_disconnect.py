"""disconnect revokes an install after announcing it."""

import pytest
from django.core.management import CommandError

from dashboard.partner_api.models import Delivery
from tests.partner_api.conftest import Partner, make_endpoint
from tests.partner_api.test_tasks import command


@pytest.mark.urls("dashboard.partner_api.urls")
def test_disconnect_announces_the_revocation_and_ends_the_token(partner: Partner) -> None:
    make_endpoint(partner, event_types=["install.revoked"])
    [line] = command("disconnect", "--install", partner.install_id)
    assert [(event["type"], event["deliveries"]) for event in line["events"]] == [("install.revoked", 1)]
    assert (partner.install.status, Delivery.objects.get().status) == ("REVOKED", "PENDING")
    assert partner.call("GET", "/installs/current").status == 401
    with pytest.raises(CommandError, match="disconnected already"):
        command("disconnect", "--install", partner.install_id)
