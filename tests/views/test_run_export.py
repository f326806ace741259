"""A run's deliveries as a file."""

import csv
import io
import json
from datetime import timedelta

import pytest
from django.urls import reverse

from dashboard.models import AuditEntry, Run, RunItem, User
from dashboard.views.run_export import COLUMNS
from tests.factories import NOON, SECRET, make_delivery, make_endpoint, make_install, make_run
from tests.views.conftest import Browser, browser_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    """A run of a delivery that was delivered, and of one whose record is gone."""
    install = make_install(name="=cmd|' /C calc'!A0", opentrain_id="ins_acme")
    endpoint = make_endpoint(install=install, opentrain_id="whe_1", name="@Billing")
    run = make_run(endpoint=endpoint)
    delivery = make_delivery(endpoint=endpoint, event_id="evt_1", resource_id="con_1", opentrain_id="dlv_1")
    made = {"run": run, "event_type": "contract.ended"}
    RunItem.objects.create(
        position=1, opentrain_id="dlv_1", delivery=delivery, state="delivered", words="delivered (200)",
        asked_at=NOON, settled_at=NOON + timedelta(seconds=2), **made,
    )  # fmt: skip
    RunItem.objects.create(position=0, opentrain_id="+dlv_0", state="failed_again", words=f"-1 {SECRET}", **made)
    return run


def path_of(run: Run) -> str:
    return reverse("run-export", args=[run.pk])


def test_csv_has_a_row_for_each_delivery_in_the_runs_order(ana: Browser, run: Run) -> None:
    response = ana.client.get(path_of(run))
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode().removeprefix("\ufeff"))))
    assert list(rows[0]) == list(COLUMNS)
    key = run.endpoint.receiver_key
    assert rows[1] == {
        "position": "1",
        "outcome": "delivered",
        "words": "delivered (200)",
        "delivery_id": "dlv_1",
        "event_type": "contract.ended",
        "event_id": "evt_1",
        "resource_id": "con_1",
        "requested_at": "2026-06-12T12:00:00.000Z",
        "outcome_at": "2026-06-12T12:00:02.000Z",
        "run": str(run.pk),
        "kind": "recovery",
        "started_by": "ana",
        "install": "'=cmd|' /C calc'!A0",
        "install_id": "ins_acme",
        "endpoint_name": "'@Billing",
        "endpoint_url": "https://redeliver.example.com/hooks/[redacted]/",
        "endpoint_id": "whe_1",
    }
    assert key not in response.getvalue().decode()
    assert response["Content-Disposition"].startswith(f'attachment; filename="run-{run.pk}-cmd-c-calca0-')


def test_no_cell_runs_as_a_formula(ana: Browser, run: Run) -> None:
    text = ana.client.get(path_of(run)).getvalue().decode()
    assert "0,failed_again,'-1 whsec_[secret],'+dlv_0,contract.ended,,,,," in text


def test_ndjson_has_the_same_for_programs(ana: Browser, run: Run) -> None:
    text = ana.client.get(path_of(run), {"format": "ndjson"}).getvalue().decode()
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["delivery_id"] for row in rows] == ["+dlv_0", "dlv_1"]
    assert set(rows[0]) == set(COLUMNS)


def test_unknown_format_is_refused(ana: Browser, run: Run) -> None:
    assert ana.client.get(path_of(run), {"format": "xml"}).status_code == 400


def test_export_is_in_the_audit(ana: Browser, run: Run) -> None:
    ana.client.head(path_of(run))
    ana.client.get(path_of(run)).getvalue()
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.actor_name, entry.endpoint_id) == ("export run", "ana", run.endpoint_id)
    assert entry.words == f"CSV: Recovery #{run.pk}."


def test_run_of_somebody_elses_install_does_not_exist(run: Run, outsider: User) -> None:
    assert browser_of(outsider).client.get(path_of(run)).status_code == 404
