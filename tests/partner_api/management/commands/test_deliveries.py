"""deliveries lists every attempt of an install."""

import io

import pytest
from asgiref.sync import async_to_sync
from django.core.management import CommandError, call_command

from dashboard.partner_api import engine
from tests.partner_api.conftest import Partner, emit_one, make_endpoint
from tests.partner_api.test_tasks import command


def test_deliveries_shows_every_attempt_with_its_cause_and_detail(partner: Partner) -> None:
    endpoint = make_endpoint(partner, url="http://10.0.0.1/hooks").endpoint
    emit_one(partner)
    async_to_sync(engine.run)()
    [line] = command("deliveries", "--install", partner.install_id, "--status", "PENDING")
    [attempt] = line["attempts"]
    assert (line["endpoint"], line["url"], line["type"]) == (endpoint.pk, endpoint.url, "contract.started")
    assert (attempt["number"], attempt["status"], attempt["cause"]) == (1, None, "denied")
    assert attempt["detail"] == "10.0.0.1 is in a denied range: private"


def test_deliveries_of_another_install_are_not_shown(partner: Partner, outsider: Partner) -> None:
    make_endpoint(partner)
    emit_one(partner)
    out, err = io.StringIO(), io.StringIO()
    call_command("deliveries", "--install", outsider.install_id, stdout=out, stderr=err)
    assert out.getvalue() == ""
    assert err.getvalue().startswith("No deliveries found.")


def test_deliveries_of_an_unknown_install_says_how_to_make_one(db: None) -> None:
    with pytest.raises(CommandError, match=r"There is no install ins_0\. Create one with create_install"):
        command("deliveries", "--install", "ins_0")
