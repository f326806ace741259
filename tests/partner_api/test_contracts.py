"""The four operations on contracts, as a partner's client sees them, and what happens to contracts."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dashboard.partner_api import contracts
from dashboard.partner_api.announcements import Announcer
from dashboard.partner_api.contracts import Entry
from dashboard.partner_api.errors import Conflict, NotFound
from dashboard.partner_api.models import Contract, Event, Install, Milestone, Token, Usage
from tests.partner_api.conftest import MARIA, THEN, Partner, bodies_of, hire, make_job, make_link
from tests.partner_api.test_errors import problem, refused

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")

UNKNOWN = (404, "NOT_FOUND", "There is no such contract on a linked job of this install.", {})
SHOWN = {
    "opentrainUserId": "usr_maria",
    "displayName": "Maria G.",
    "country": "Spain",
    "profileUrl": "https://app.opentrain.ai/profile/maria-g",
}


@pytest.fixture
def contract(partner: Partner) -> Contract:
    """An active contract on a linked job."""
    job = make_job(partner)
    make_link(partner, job=job)
    return hire(job)


def fund(contract: Contract, *, volume: int | None = 20, announcer: Announcer | None = None) -> Milestone:
    return contracts.fund(
        contract_id=contract.pk,
        name="Week 1",
        amount_usd=Decimal(280),
        volume=None if volume is None else Decimal(volume),
        announcer=announcer or Announcer(),
        now=THEN,
    )


def end(contract: Contract) -> Contract:
    return contracts.end(contract_id=contract.pk, announcer=Announcer(), now=THEN + timedelta(days=1))


def ids(partner: Partner, query: str = "") -> list[str]:
    return [contract["id"] for contract in partner.call("GET", f"/contracts{query}").json["contracts"]]


def report(partner: Partner, contract: Contract, *entries: dict[str, Any]) -> Any:
    return partner.call("POST", f"/contracts/{contract.pk}/usage", {"entries": list(entries)})


def hours(count: float, *, day: str = "2026-06-12", **more: object) -> dict[str, object]:
    return {"workDate": day, "totalSeconds": round(count * 3600), **more}


# Reading contracts


def test_list_answers_contracts_with_the_installs_links_to_their_job(partner: Partner, outsider: Partner) -> None:
    job = make_job(partner)
    first, second = (make_link(partner, job=job, project=project) for project in "12")
    contract = hire(job)
    make_link(outsider, job=make_job(outsider))
    assert partner.call("GET", "/contracts").json == {
        "contracts": [
            {
                "id": contract.pk,
                "status": "active",
                "jobId": job.pk,
                "title": "Traffic signs - annotation",
                "startDate": "2026-06-12T10:00:00.000Z",
                "endDate": None,
                "createdAt": "2026-06-12T10:00:00.000Z",
                "projectLinkIds": sorted([first.pk, second.pk]),
            }
        ]
    }
    assert ids(outsider) == []


def test_list_answers_only_contracts_of_jobs_that_are_linked_now(partner: Partner) -> None:
    linked, later = make_job(partner), make_job(partner)
    link = make_link(partner, job=linked)
    seen, unseen = hire(linked), hire(later)
    assert ids(partner) == [seen.pk]
    make_link(partner, job=later, project="later")
    assert set(ids(partner)) == {seen.pk, unseen.pk}
    partner.call("DELETE", f"/project-links/{link.pk}")
    assert ids(partner) == [unseen.pk]


def test_list_is_narrowed_by_link_status_and_limit_and_is_newest_first(partner: Partner) -> None:
    one, other = make_job(partner), make_job(partner)
    link = make_link(partner, job=one, project="1")
    make_link(partner, job=other, project="2")
    empty = make_link(partner, job=None, project="3")
    old, new = (hire(one, now=THEN + timedelta(minutes=minute)) for minute in (1, 2))
    elsewhere = hire(other, now=THEN + timedelta(minutes=3))
    end(old)
    assert ids(partner) == [elsewhere.pk, new.pk, old.pk]
    assert ids(partner, "?limit=1") == [elsewhere.pk]
    assert ids(partner, f"?projectLinkId={link.pk}") == [new.pk, old.pk]
    assert ids(partner, "?status=ended") == [old.pk]
    assert ids(partner, f"?projectLinkId={link.pk}&status=active&limit=200") == [new.pk]
    assert ids(partner, f"?projectLinkId={empty.pk}") == []


def test_list_answers_fifty_without_a_limit_and_never_more_than_two_hundred(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    now = THEN
    Contract.objects.bulk_create(Contract(job=job, title="x", start_date=now, created_at=now) for _ in range(201))
    assert [len(ids(partner, query)) for query in ("", "?limit=200")] == [50, 200]


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("limit=0", "limit", "must be at least 1"),
        ("limit=201", "limit", "must be at most 200"),
        ("limit=ten", "limit", "must be a whole number"),
        ("limit=1_0", "limit", "must be a whole number"),
        ("limit=", "limit", "must be a whole number"),
        ("status=paused", "status", "must be 'active' or 'ended'"),
        ("status=", "status", "must be 'active' or 'ended'"),
        ("projectLinkId=", "projectLinkId", "must not be empty"),
    ],
)
def test_list_with_a_bad_filter_names_it(partner: Partner, query: str, field: str, words: str) -> None:
    assert problem(partner.call("GET", f"/contracts?{query}")) == refused(field, words)


def test_list_of_an_unknown_link_answers_404(partner: Partner, outsider: Partner) -> None:
    theirs = make_link(outsider, job=None)
    message = (404, "NOT_FOUND", "There is no such project link on this install.", {})
    paths = (theirs.pk, "plk_" + "0" * 32, "%00")
    assert [problem(partner.call("GET", f"/contracts?projectLinkId={path}")) for path in paths] == [message] * 3


def test_participants_are_shown_with_their_work_email_where_all_agree(partner: Partner, contract: Contract) -> None:
    answer = partner.call("GET", f"/contracts/{contract.pk}/participants")
    expected = SHOWN | {"workEmail": "maria.g@opentrain.work"}
    assert answer.json == {"contractId": contract.pk, "participants": [expected]}


@pytest.mark.parametrize("lacking", ["scope of the token", "scope of the install", "consent"])
def test_work_email_is_left_out_where_one_does_not_agree(partner: Partner, contract: Contract, lacking: str) -> None:
    if lacking == "scope of the token":
        Token.objects.update(scopes=["participants:read"])
    elif lacking == "scope of the install":
        Install.objects.update(scopes=["participants:read"])
    else:
        Install.objects.update(pii_consent=False)
    answer = partner.call("GET", f"/contracts/{contract.pk}/participants")
    assert answer.json["participants"] == [SHOWN]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "participants", None),
        ("GET", "budget", None),
        ("POST", "usage", {"entries": [{"workDate": "2026-06-12"}]}),
    ],
)
def test_a_contract_without_a_link_of_the_install_answers_exactly_like_an_unknown_one(
    *, partner: Partner, outsider: Partner, contract: Contract, method: str, path: str, body: object
) -> None:
    unlinked = hire(make_job(outsider))
    found = (contract.pk, unlinked.pk, "ctr_" + "0" * 32, "a%00b")
    answers = [problem(outsider.call(method, f"/contracts/{each}/{path}", body)) for each in found]
    assert answers == [UNKNOWN] * 4
    assert Usage.objects.count() == 0


# Budgets and usage


def test_budget_answers_as_in_the_references_example(partner: Partner, contract: Contract) -> None:
    fund(contract)
    milestone = fund(contract)
    for day in range(1, 5):
        report(partner, contract, hours(8.25, day=f"2026-06-0{day}", tasksCompleted=87 if day == 1 else 0))
    answer = partner.call("GET", f"/contracts/{contract.pk}/budget")
    last = answer.json.pop("lastUsageAt")
    assert (answer.status, last.endswith("Z")) == (200, True)
    assert answer.json == {
        "contractId": contract.pk,
        "paymentType": "PAY_PER_HOUR",
        "state": "LOW",
        "fundedVolume": 40,
        "fundedAmountUsd": 560,
        "consumed": {"seconds": 118800, "hours": 33, "labels": 0, "tasks": 87},
        "consumedVolume": 33,
        "remainingVolume": 7,
        "consumedFraction": 0.825,
        "activeMilestone": {
            "id": milestone.pk,
            "name": "Week 1",
            "amountUsd": 280,
            "volume": 20,
            "status": "ACTIVE_FUNDED",
        },
    }


def test_reading_a_budget_emits_nothing(partner: Partner, contract: Contract) -> None:
    known = Event.objects.count()
    answer = partner.call("GET", f"/contracts/{contract.pk}/budget")
    assert (answer.json["activeMilestone"], answer.json["lastUsageAt"]) == (None, None)
    assert Event.objects.count() == known


def test_usage_replaces_a_days_totals_and_keeps_what_was_not_sent(partner: Partner, contract: Contract) -> None:
    fund(contract)
    first = report(
        partner, contract, hours(4, labelsCompleted=410, externalReportId="daily-1"), hours(2, day="2026-06-11")
    )
    assert (first.status, first.json["contractId"], first.json["accepted"]) == (200, contract.pk, 2)
    assert first.json["budget"]["consumed"] == {"seconds": 21600, "hours": 6, "labels": 410, "tasks": 0}
    again = report(partner, contract, {"workDate": "2026-06-12", "totalSeconds": 3600})
    assert again.json["budget"] == partner.call("GET", f"/contracts/{contract.pk}/budget").json
    assert again.json["budget"]["consumed"] == {"seconds": 10800, "hours": 3, "labels": 410, "tasks": 0}
    rows = Usage.objects.order_by("work_date").values_list("worker_id", "external_report_id")
    assert list(rows) == [("usr_maria", None), ("usr_maria", "daily-1")]


def test_usage_is_of_the_named_participant(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    contract = hire(job, trainers=(MARIA, replace(MARIA, opentrain_user_id="usr_jo")))
    report(partner, contract, hours(1), hours(2, workerOpentrainUserId="usr_jo"))
    assert dict(Usage.objects.values_list("worker_id", "total_seconds")) == {"usr_maria": 3600, "usr_jo": 7200}


@pytest.mark.parametrize(
    ("entry", "field", "words"),
    [
        ({}, "workDate", "is missing"),
        ({"workDate": "12.06.2026"}, "workDate", "must be a day, as in 2026-06-12"),
        ({"workDate": 20260612}, "workDate", "must be a day, as in 2026-06-12"),
        ({"workDate": "2026-06-12T10:00:00"}, "workDate", "must be a day, as in 2026-06-12"),
        ({"workDate": "2026-02-31"}, "workDate", "must be a day of the calendar"),
        ({"workDate": "2999-01-01"}, "workDate", "must not be in the future"),
        (hours(24.001), "totalSeconds", "must be at most 86400"),
        (hours(1) | {"totalSeconds": -1}, "totalSeconds", "must be at least 0"),
        (hours(1) | {"totalSeconds": "1"}, "totalSeconds", "must be a whole number"),
        (hours(1) | {"totalSeconds": 1.5}, "totalSeconds", "must be a whole number"),
        (hours(1, tasksCompleted=-1), "tasksCompleted", "must be at least 0"),
        (hours(1, labelsCompleted=2**31), "labelsCompleted", "must be at most 2147483647"),
        (hours(1, externalReportId="x" * 201), "externalReportId", "is too long"),
        (hours(1, workerOpentrainUserId="usr_x"), "workerOpentrainUserId", "is not a participant of this contract"),
    ],
)
def test_usage_with_a_bad_entry_names_it_and_stores_nothing(
    *, partner: Partner, contract: Contract, entry: dict[str, Any], field: str, words: str
) -> None:
    answer = report(partner, contract, hours(1, day="2026-06-01"), entry)
    assert problem(answer) == refused(f"entries[1].{field}", words)
    assert Usage.objects.count() == 0


@pytest.mark.parametrize(("count", "words"), [(0, "must not be empty"), (101, "has too many entries")])
def test_usage_takes_one_to_a_hundred_entries(partner: Partner, contract: Contract, count: int, words: str) -> None:
    assert problem(report(partner, contract, *[hours(1)] * count)) == refused("entries", words)
    assert report(partner, contract, *[hours(1)] * 100).json["accepted"] == 100


def test_usage_of_a_contract_without_a_trainer_answers_409(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    answer = report(partner, hire(job, trainers=()), hours(1))
    message = "This contract has no hired AI trainer to attribute usage to."
    assert problem(answer) == (409, "CONFLICT", message, {})


def types_of(*event_types: str) -> list[tuple[str, str]]:
    found = Event.objects.filter(type__in=event_types).order_by("id")
    return list(found.values_list("type", "resource_id"))


def test_each_threshold_is_announced_once_when_it_is_crossed_upward(partner: Partner, contract: Contract) -> None:
    week = fund(contract, volume=10)
    announced: list[list[str]] = []
    for count in (7.9, 8, 9, 8.5, 10, 11, 4, 24):
        known = Event.objects.count()
        report(partner, contract, hours(count))
        announced.append(list(Event.objects.order_by("id").values_list("type", flat=True)[known:]))
    low, depleted = "milestone.budget_low", "milestone.budget_depleted"
    assert announced == [[], [low], [], [], [depleted], [], [], [low, depleted]]
    assert {resource for _, resource in types_of(low, depleted)} == {week.pk}


def test_funding_again_arms_the_thresholds_again(partner: Partner, contract: Contract) -> None:
    fund(contract, volume=5)
    report(partner, contract, hours(5))
    second = fund(contract, volume=5)
    assert partner.call("GET", f"/contracts/{contract.pk}/budget").json["state"] == "OK"
    report(partner, contract, hours(8))
    assert types_of("milestone.budget_low")[-1] == ("milestone.budget_low", second.pk)
    assert len(types_of("milestone.budget_low")) == 2
    assert list(Milestone.objects.order_by("status").values_list("status", flat=True)) == ["ACTIVE_FUNDED", "COMPLETED"]


def test_funding_is_announced_with_the_milestone_and_the_budget(partner: Partner, contract: Contract) -> None:
    milestone = fund(contract)
    [body] = bodies_of("milestone.funded")
    budget = partner.call("GET", f"/contracts/{contract.pk}/budget").json
    assert (body["resourceId"], body["jobId"]) == (milestone.pk, contract.job_id)
    assert body["data"] == {"milestone": budget["activeMilestone"], "budget": budget}


def test_a_fixed_price_never_depletes(partner: Partner) -> None:
    job = make_job(partner)
    make_link(partner, job=job)
    contract = hire(job, payment_type="FIXED_PRICE")
    fund(contract, volume=None)
    budget = report(partner, contract, hours(24)).json["budget"]
    assert (budget["state"], budget["fundedAmountUsd"], budget["activeMilestone"]["volume"]) == ("OK", 280, None)
    assert types_of("milestone.budget_low", "milestone.budget_depleted") == []


# What happens to contracts


def test_an_ended_contract_is_announced_and_listed_with_its_end(partner: Partner, contract: Contract) -> None:
    end(contract)
    [shown] = partner.call("GET", "/contracts").json["contracts"]
    assert (shown["status"], shown["endDate"]) == ("ended", "2026-06-13T10:00:00.000Z")
    [body] = bodies_of("contract.ended")
    assert body["data"]["contract"] == {
        "id": contract.pk,
        "status": "ended",
        "title": "Traffic signs - annotation",
        "startDate": "2026-06-12T10:00:00.000Z",
        "endDate": "2026-06-13T10:00:00.000Z",
    }


def test_a_contract_ends_once_and_is_not_funded_afterwards(contract: Contract) -> None:
    end(contract)
    with pytest.raises(Conflict, match="has ended"):
        end(contract)
    with pytest.raises(Conflict, match="has ended"):
        fund(contract)
    assert len(bodies_of("contract.ended")) == 1


def test_late_usage_of_an_ended_contract_is_taken(partner: Partner, contract: Contract) -> None:
    end(contract)
    assert report(partner, contract, hours(1)).status == 200


def test_an_unknown_contract_is_not_ended(db: None) -> None:
    with pytest.raises(NotFound):
        contracts.end(contract_id="ctr_1", announcer=Announcer(), now=THEN)


def test_an_operator_reports_usage_of_any_contract(outsider: Partner) -> None:
    unlinked = hire(make_job(outsider))
    entry = Entry(work_date=date(2026, 6, 12), labels_completed=3)
    budget = contracts.report(contract_id=unlinked.pk, entries=[entry], announcer=Announcer(), now=THEN)
    assert budget.consumed.labels == 3
