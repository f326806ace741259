"""Verdicts and projects beside contracts."""

from datetime import timedelta

from dashboard.models import Contract, ProjectLink
from dashboard.presenters.judged_contracts import WORST_FIRST, JudgedContracts
from dashboard.rules.reconciliation import Event, Kind, Reason, Verdict
from tests.presenters.rows import NOW, endpoint


def link(pk: int, **fields: object) -> ProjectLink:
    return ProjectLink(**{"pk": pk, "opentrain_id": f"lnk_{pk}", "job_id": "job_1"} | fields)


def test_every_kind_has_its_place_in_the_order() -> None:
    assert set(WORST_FIRST) == set(Kind)
    assert len(WORST_FIRST) == len(Kind)


def test_verdicts_are_worst_first_and_those_of_other_endpoints_are_left_out() -> None:
    gone = endpoint(pk=5, deleted_at=NOW)
    endpoints = [endpoint(pk=pk) for pk in (1, 2, 3, 4)]
    choice = Verdict(Kind.MISSING, Reason.NOT_SUBSCRIBED)
    verdicts = {
        (1, 1, Event.ENDED): Verdict(Kind.TAKEN),
        (1, 2, Event.ENDED): choice,
        (1, 3, Event.ENDED): Verdict(Kind.FAILED),
        (1, 4, Event.ENDED): Verdict(Kind.MISSING),
        (1, 5, Event.ENDED): Verdict(Kind.MISSING),
        (1, 6, Event.ENDED): Verdict(Kind.MISSING),
        (1, 1, Event.STARTED): Verdict(Kind.FAILED),
        (2, 1, Event.ENDED): Verdict(Kind.FAILED),
    }
    contract = Contract(pk=1)
    judged = JudgedContracts([contract], verdicts=verdicts, endpoints=[*endpoints, gone], links=[])
    assert [one.pk for one, _verdict in judged.of(contract, Event.ENDED)] == [4, 5, 3, 2, 1]
    assert [one.pk for one, _verdict in judged.of(contract, Event.STARTED)] == [1]
    assert judged.of(Contract(pk=3), Event.STARTED) == []


def test_projects_are_those_of_the_named_links_then_those_of_the_job_and_removed_ones_last() -> None:
    removed, of_job, named = link(1, gone_at=NOW - timedelta(days=1)), link(2), link(3, job_id="job_9")
    links = [removed, of_job, named, link(4, job_id="job_8"), link(5, job_id="")]
    judged = JudgedContracts([], verdicts={}, endpoints=[], links=links)
    contract = Contract(pk=1, job_id="job_1", link_ids=["lnk_3", "lnk_2", "lnk_unread"])
    assert [one.pk for one in judged.projects_of(contract)] == [3, 2, 1]
    assert judged.projects_of(Contract(pk=2, job_id="", link_ids=[])) == []
