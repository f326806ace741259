"""Rows of the file of an install's contracts: one for each endpoint, with what it took of the start and the end."""

from collections.abc import Iterator

from dashboard.models import Contract, Endpoint
from dashboard.presenters.downloads import Row
from dashboard.presenters.judged_contracts import JudgedContracts
from dashboard.rules.reconciliation import Event, Verdict

_CONTRACT = {
    "contract_id": "opentrain_id",
    "title": "title",
    "status": "status",
    "job_id": "job_id",
    "start_date": "start_date",
    "end_date": "end_date",
    "created_at": "created_at",
    "first_read_at": "first_seen_at",
    "last_read_at": "last_seen_at",
    "not_listed_since": "gone_at",
    "budget_state": "budget_state",
    "budget_consumed": "budget_consumed",
    "budget_read_at": "budget_read_at",
}
_TOOK = ("", "_reason", "_at", "_may_come_until")
COLUMNS = [
    *_CONTRACT,
    "project_link_ids",
    "external_project_ids",
    "external_project_names",
    "endpoint_id",
    "endpoint_name",
    "endpoint_url",
    *(f"started{end}" for end in _TOOK),
    *(f"ended{end}" for end in _TOOK),
]
"""Columns of the file. `started` and `ended` are verdicts: a value of rules.reconciliation.Kind, empty without one."""


def file_rows(judged: JudgedContracts) -> Iterator[Row]:
    """Yield the rows of each contract, in the order of the contracts. One without endpoints has one row."""
    for contract in judged.contracts:
        started, ended = (dict(judged.of(contract, event)) for event in (Event.STARTED, Event.ENDED))
        shared = {name: getattr(contract, column) for name, column in _CONTRACT.items()} | _projects(contract, judged)
        each = sorted({*started, *ended}, key=lambda endpoint: endpoint.pk)
        for one in each:
            yield shared | _endpoint(one) | _took("started", started.get(one)) | _took("ended", ended.get(one))
        if not each:
            yield shared | _endpoint(None) | _took("started", None) | _took("ended", None)


def _projects(contract: Contract, judged: JudgedContracts) -> Row:
    links = judged.projects_of(contract)
    return {
        "project_link_ids": " ".join(contract.link_ids),
        "external_project_ids": "; ".join(link.external_project_id for link in links),
        "external_project_names": "; ".join(link.external_project_name for link in links),
    }


def _endpoint(endpoint: Endpoint | None) -> Row:
    if endpoint is None:
        return {"endpoint_id": None, "endpoint_name": None, "endpoint_url": None}
    return {
        "endpoint_id": endpoint.opentrain_id,
        "endpoint_name": endpoint.title,
        "endpoint_url": endpoint.known_as,
    }


def _took(name: str, verdict: Verdict | None) -> Row:
    known = (
        (None, None, None, None)
        if verdict is None
        else (verdict.kind.value, verdict.reason.value, verdict.at, verdict.until)
    )
    return {f"{name}{end}": value for end, value in zip(_TOOK, known, strict=True)}
