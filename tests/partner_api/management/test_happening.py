"""What commands have in common by which something happens: --lose, what they print, and what they refuse."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from dashboard.partner_api.models import Contract, Event
from tests.partner_api.conftest import Partner, hire, make_endpoint, make_job, make_link
from tests.partner_api.test_tasks import command


def test_line_says_what_was_emitted_and_to_how_many(partner: Partner) -> None:
    job = make_job(partner)
    for project in ("1", "2"):
        make_link(partner, job=job, project=project)
    make_endpoint(partner)
    Event.objects.all().delete()
    [line] = command("hire", "--job", job.pk)
    events = [
        {"event": event.wire_id, "type": "contract.started", "deliveries": 1} for event in Event.objects.order_by("id")
    ]
    assert line == {"contract": Contract.objects.get().pk, "job": job.pk, "events": events, "lost": []}
    assert len(events) == 2


def test_lost_events_are_named_and_the_change_stays(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    contract = hire(job)
    Event.objects.all().delete()
    [line] = command("end", "--contract", contract.pk, "--lose", "1")
    contract.refresh_from_db()
    assert (line["events"], line["lost"], contract.status) == ([], ["contract.ended"], "ended")
    assert Event.objects.count() == 0


@pytest.mark.parametrize("lose", ["2", "-0.1", "often", "nan"])
def test_lose_is_a_probability(db: None, lose: str) -> None:
    with pytest.raises(CommandError, match="P must be a number from 0 to 1"):
        command("end", "--contract", "ctr_1", "--lose", lose)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("link", "--install", "ins_0", "--project", "1"), "There is no install ins_0"),
        (("hire", "--job", "job_0"), "There is no job job_0"),
        (("end", "--contract", "ctr_0"), "There is no such contract"),
        (("disconnect", "--install", "ins_0"), "There is no install ins_0"),
    ],
)
def test_unknown_ids_are_refused_in_words(db: None, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        command(*arguments)


def test_emit_loses_as_well(partner: Partner) -> None:
    out = io.StringIO()
    call_command("emit", "--install", partner.install_id, "--type", "contract.ended", "--lose", "1", stdout=out)
    assert json.loads(out.getvalue()) == {"lost": "contract.ended"}
    assert Event.objects.count() == 0
