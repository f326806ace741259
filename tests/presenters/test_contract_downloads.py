"""Rows of the file of contracts."""

from dashboard.models import Contract, ProjectLink
from dashboard.presenters.contract_downloads import COLUMNS, file_rows
from dashboard.presenters.judged_contracts import JudgedContracts
from dashboard.rules.reconciliation import Event, Kind, Reason, Verdict
from tests.presenters.rows import NOW, endpoint

ONE = endpoint(pk=1, opentrain_id="whe_1", handler_url="https://acme.test/1")
TWO = endpoint(pk=2, opentrain_id=None, handler_url="https://acme.test/2")


def test_contract_has_a_row_for_each_endpoint() -> None:
    contract = Contract(pk=1, opentrain_id="con_1", job_id="job_1", link_ids=["lnk_1", "lnk_2"])
    verdicts = {
        (1, 2, Event.ENDED): Verdict(Kind.NOT_SEEN_YET, until=NOW),
        (1, 1, Event.STARTED): Verdict(Kind.TAKEN, at=NOW),
        (1, 1, Event.ENDED): Verdict(Kind.MISSING, Reason.DISABLED),
    }
    links = [
        ProjectLink(pk=1, opentrain_id="lnk_1", external_project_id="p1", external_project_name="Cats"),
        ProjectLink(pk=2, opentrain_id="lnk_2", external_project_id="p2", external_project_name="Dogs; birds"),
    ]
    rows = list(file_rows(JudgedContracts([contract], verdicts=verdicts, endpoints=[TWO, ONE], links=links)))
    assert [sorted(row) for row in rows] == [sorted(COLUMNS)] * 2
    names = ("contract_id", "endpoint_id", "endpoint_url", "started", "started_at", "ended", "ended_reason")
    assert [[row[name] for name in names] for row in rows] == [
        ["con_1", "whe_1", "https://acme.test/1", "taken", NOW, "missing", "disabled"],
        ["con_1", None, "https://acme.test/2", None, None, "not_seen_yet", ""],
    ]
    assert rows[1]["ended_may_come_until"] == NOW
    assert (rows[0]["project_link_ids"], rows[0]["external_project_ids"]) == ("lnk_1 lnk_2", "p1; p2")
    assert rows[0]["external_project_names"] == "Cats; Dogs; birds"


def test_contract_without_endpoints_has_one_row() -> None:
    rows = list(file_rows(JudgedContracts([Contract(pk=1)], verdicts={}, endpoints=[ONE], links=[])))
    assert [(row["endpoint_id"], row["started"], row["ended"]) for row in rows] == [(None, None, None)]
