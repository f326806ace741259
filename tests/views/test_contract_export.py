"""The file of an install's contracts: what the filter shows, for spreadsheets and for programs."""

import csv
import io
import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.models import AuditEntry, Install
from dashboard.views import contract_export
from tests.factories import NOON, make_contract, make_endpoint, make_evidence, make_finding, make_link
from tests.views.conftest import Browser


def export(browser: Browser, install: Install, query: str = "", *, status: int = 200) -> str:
    response = browser.client.get(reverse("install-contracts-export", args=[install.pk]) + query)
    assert response.status_code == status
    return response.getvalue().decode() if status == 200 else response.content.decode()


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_csv_holds_what_the_filter_shows(ana: Browser, acme: Install) -> None:
    endpoint = make_endpoint(install=acme, opentrain_id="whe_1", handler_url="https://acme.example.com/hook")
    make_link(
        install=acme, job_id="job_1", opentrain_id="lnk_1", external_project_id="p1", external_project_name="=Cats"
    )
    contract = make_contract(
        install=acme, opentrain_id="con_1", title="Cats", status="ended", link_ids=["lnk_1"], budget_state="LOW",
        budget_consumed=0.82,
    )  # fmt: skip
    make_evidence(contract=contract, endpoint=endpoint, event_type="contract.started")
    make_finding(contract=contract, endpoint=endpoint, kind="missing", reason="disabled", consequence="access")
    make_contract(install=acme)
    rows = table(export(ana, acme, "?finding=access"))
    assert len(rows) == 1
    known = {name: value for name, value in rows[0].items() if value}
    assert known == {
        "contract_id": "con_1", "title": "Cats", "status": "ended", "job_id": "job_1",
        "start_date": "2026-06-12T12:00:00.000Z", "end_date": "2026-06-12T12:00:00.000Z",
        "created_at": "2026-06-12T12:00:00.000Z", "first_read_at": "2026-06-12T12:00:00.000Z",
        "last_read_at": "2026-06-12T12:00:00.000Z", "budget_state": "LOW", "budget_consumed": "0.82",
        "project_link_ids": "lnk_1", "external_project_ids": "p1", "external_project_names": "'=Cats",
        "endpoint_id": "whe_1", "endpoint_name": "acme.example.com/hook", "endpoint_url": "https://acme.example.com/hook",
        "started": "taken", "started_at": "2026-06-12T12:00:00.000Z", "ended": "missing",
        "ended_reason": "disabled",
    }  # fmt: skip
    entry = AuditEntry.objects.get(action="export contracts")
    assert (entry.words, entry.install) == ("CSV: Finding: May still have access.", acme)


def test_ndjson_is_a_line_each(ana: Browser, acme: Install) -> None:
    make_contract(install=acme, opentrain_id="con_1", title="<b>Cats", gone_at=NOON)
    make_contract(install=acme, opentrain_id="con_2", start_date=None)
    rows = [json.loads(line) for line in export(ana, acme, "?format=ndjson").splitlines()]
    assert [(row["contract_id"], row["start_date"], row["ended"]) for row in rows] == [
        ("con_2", None, None), ("con_1", "2026-06-12T12:00:00.000Z", None),
    ]  # fmt: skip
    assert (rows[1]["title"], rows[1]["not_listed_since"]) == ("<b>Cats", "2026-06-12T12:00:00.000Z")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?format=xlsx", "Unknown format. Use format=csv or format=ndjson."),
        ("?finding=lost", "“lost” is not a finding"),
        ("?endpoint=999999", "This install has no endpoint with the number 999999."),
    ],
)
def test_file_of_something_else_than_was_asked_for_is_refused(
    ana: Browser, acme: Install, query: str, words: str
) -> None:
    assert words in export(ana, acme, query, status=400)
    assert not AuditEntry.objects.filter(action="export contracts").exists()


def test_every_contract_is_in_the_file_once_whatever_the_chunks(
    ana: Browser, acme: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {make_contract(install=acme).opentrain_id for _ in range(23)}
    make_endpoint(install=acme)
    for chunk, pairs in ((5, 100), (23, 100), (24, 100), (24, 4), (24, 0)):
        monkeypatch.setattr(contract_export, "CHUNK", chunk)
        monkeypatch.setattr(contract_export, "PAIRS", pairs)
        rows = table(export(ana, acme))
        assert (len(rows), {row["contract_id"] for row in rows}) == (23, made)


def test_queries_grow_with_chunks_alone(ana: Browser, acme: Install) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            export(ana, acme)
        return len(captured)

    endpoint = make_endpoint(install=acme)
    make_finding(contract=make_contract(install=acme), endpoint=endpoint)
    few = queries()
    for _ in range(20):
        make_finding(contract=make_contract(install=acme), endpoint=endpoint)
    assert queries() == few
