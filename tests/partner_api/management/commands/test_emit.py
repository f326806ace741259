"""emit sends events once or until a signal, and reports what it sent."""

import io
import json
import signal

import pytest
from django.core.management import CommandError, call_command

from dashboard.partner_api.models import Event, EventType
from tests.partner_api import sink
from tests.partner_api.conftest import Partner, make_endpoint, make_partner
from tests.partner_api.test_tasks import command, end, start

on_commit = pytest.mark.usefixtures("_no_jobs")


def test_emit_prints_a_line_for_each_event(partner: Partner) -> None:
    make_endpoint(partner)
    lines = command(
        "emit", "--install", partner.install_id, "--type", "contract.ended", "--resource", "ctr_9", "--count", "3"
    )
    assert [(line["type"], line["deliveries"]) for line in lines] == [("contract.ended", 1)] * 3
    assert list(Event.objects.values_list("resource_id", flat=True)) == ["ctr_9"] * 3
    assert [line["event"] for line in lines] == [event.wire_id for event in Event.objects.order_by("id")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--install", "ins_0"), "Events are emitted for ACTIVE installs only"),
        (("--install", "ins_0", "--forever"), "--forever needs --every"),
        (("--install", "ins_0", "--every", "-1"), "--every"),
    ],
)
def test_emit_that_cannot_says_why(db: None, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        command("emit", *arguments)


@pytest.mark.slow
@on_commit
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_emit_forever_goes_on_until_a_signal_and_ends_cleanly(environment: dict[str, str], by: signal.Signals) -> None:
    partner = make_partner()
    make_endpoint(partner, event_types=EventType.values)
    process = start(environment, "emit", "--install", partner.install_id, "--every", "0.02", "--forever")
    try:
        sink.wait_until(lambda: Event.objects.count() >= 5, seconds=60)
    finally:
        out, err = end(process, by=by)
    assert (process.returncode, err) == (0, "")
    assert len(out.splitlines()) == Event.objects.count()


@pytest.mark.parametrize("subscribed", [["contract.ended"], []])
def test_emit_that_reaches_nobody_says_so(partner: Partner, subscribed: list[str]) -> None:
    for event_type in subscribed:
        make_endpoint(partner, event_types=[event_type])
    out, err = io.StringIO(), io.StringIO()
    call_command("emit", "--install", partner.install_id, "--type", "contract.started", stdout=out, stderr=err)
    assert json.loads(out.getvalue())["deliveries"] == 0
    assert err.getvalue().startswith("contract.started has no deliveries: no endpoint of this install is ACTIVE")
