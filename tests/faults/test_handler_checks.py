"""A receiver in a process of its own checks handlers for the console, with other settings than the console's."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from dashboard.actions import handler_checks, routing
from dashboard.launch import postgres
from tests.factories import make_endpoint
from tests.faults.opentrain import handling
from tests.faults.receiver_process import receiving
from tests.faults.serving import PATIENCE_S, Site

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_receiver_makes_the_call_and_without_one_the_console_says_so(
    postgres_server: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The console of this test calls no private addresses, so only the receiver can have reached the handler."""
    settings.HANDLER_PRIVATE_ADDRESSES = False
    monkeypatch.setattr(handler_checks, "TAKEN_WITHIN_S", float(PATIENCE_S))
    monkeypatch.setattr(handler_checks, "ANSWERED_WITHIN_S", float(PATIENCE_S))
    monkeypatch.setattr(handler_checks, "ALL_WITHIN_S", float(PATIENCE_S))
    database = postgres_server.url(str(connection.settings_dict["NAME"]))
    environment = Site(folder=tmp_path, port=0, database_url=database).environment | {"RECEIVER_CONSOLE": ""}
    with handling() as (_handler, url):
        endpoint = make_endpoint(url=f"{url}?api_key=s3cr3t")
        with receiving(tmp_path, environment=environment, LOG_LEVEL="DEBUG") as receiver:
            [found] = routing.preflights([endpoint])
            assert found.words.endswith("Checked from the receiver.")
            assert found.is_fine
            assert "s3cr3t" not in receiver.log.read_text()
        monkeypatch.setattr(handler_checks, "TAKEN_WITHIN_S", 0.0)
        [found] = routing.preflights([endpoint])
        assert "The receiver did not answer, so this was checked from the console." in found.words
        assert found.stops
