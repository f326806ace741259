"""Links, contracts, participants and budgets as the client reads them: all fields, hardly any, and wrong ones."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.rules.installs import UnreadEntry
from dashboard.services import opentrain
from dashboard.services.opentrain import BadResponse, Budget, Contract, Milestone, NotFound, Participant, ProjectLink
from tests.services.opentrain_samples import TOKEN, fails, ok

NOON = "2026-06-12T12:00:00.000Z"
AT_NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
LINK: dict[str, Any] = {
    "id": "plk_1",
    "jobId": "job_1",
    "externalProjectId": "42",
    "externalProjectName": "Traffic signs",
    "externalProjectUrl": "https://your-platform.example.com/projects/42",
    "provisioningMode": "PARTNER_WEBHOOK",
    "createdAt": NOON,
}
CONTRACT: dict[str, Any] = {
    "id": "ctr_1",
    "status": "ended",
    "jobId": "job_1",
    "title": "Traffic signs",
    "startDate": NOON,
    "endDate": NOON,
    "createdAt": NOON,
    "projectLinkIds": ["plk_1", "plk_2"],
}
MARIA: dict[str, Any] = {
    "opentrainUserId": "usr_1",
    "displayName": "Maria G.",
    "country": "Spain",
    "profileUrl": "https://app.opentrain.ai/profile/maria-g",
    "workEmail": "maria.g@opentrain.work",
}
BUDGET: dict[str, Any] = {
    "contractId": "ctr_1",
    "paymentType": "PAY_PER_HOUR",
    "state": "LOW",
    "fundedVolume": 40,
    "fundedAmountUsd": 560,
    "consumed": {"seconds": 118800, "hours": 33, "labels": 0, "tasks": 87},
    "consumedVolume": 33,
    "remainingVolume": 7,
    "consumedFraction": 0.825,
    "activeMilestone": {"id": "mls_1", "name": "Week 2", "amountUsd": 280, "volume": 20, "status": "ACTIVE_FUNDED"},
    "lastUsageAt": NOON,
}


def links() -> Any:
    return opentrain.list_project_links(token=TOKEN)


def contracts(**criteria: Any) -> Any:
    return opentrain.list_contracts(token=TOKEN, **criteria)


def participants() -> Any:
    return opentrain.list_participants(token=TOKEN, contract_id="ctr_1")


def budget() -> Any:
    return opentrain.get_budget(token=TOKEN, contract_id="ctr_1")


def test_links_are_read_with_all_of_their_fields(serve: Any) -> None:
    with serve(ok({"projectLinks": [LINK | {"new": 1}]})) as server:
        assert links() == (
            ProjectLink(
                id="plk_1",
                job_id="job_1",
                external_project_id="42",
                external_project_name="Traffic signs",
                external_project_url="https://your-platform.example.com/projects/42",
                provisioning_mode="PARTNER_WEBHOOK",
                created_at=AT_NOON,
            ),
        )
    assert server.requests[0].target == "/api/partner/v1/project-links"


def test_contracts_are_read_with_all_of_their_fields(serve: Any) -> None:
    with serve(ok({"contracts": [CONTRACT | {"new": 1}]})):
        assert contracts() == (
            Contract(
                id="ctr_1",
                status="ended",
                job_id="job_1",
                title="Traffic signs",
                start_date=AT_NOON,
                end_date=AT_NOON,
                created_at=AT_NOON,
                project_link_ids=("plk_1", "plk_2"),
            ),
        )


@pytest.mark.parametrize(
    ("criteria", "target"),
    [
        ({}, "/api/partner/v1/contracts?limit=200"),
        ({"limit": 7, "status": "active"}, "/api/partner/v1/contracts?status=active&limit=7"),
        ({"project_link_id": "a&b=c/ü"}, "/api/partner/v1/contracts?projectLinkId=a%26b%3Dc%2F%C3%BC&limit=200"),
    ],
)
def test_contracts_are_requested_with_what_is_given(serve: Any, criteria: dict[str, Any], target: str) -> None:
    with serve(ok({"contracts": []})) as server:
        assert contracts(**criteria) == ()
    assert [request.target for request in server.requests] == [target]


@pytest.mark.parametrize("absent", ["missing", "null"])
def test_what_only_has_an_id_is_read(serve: Any, absent: str) -> None:
    link, contract = (
        {name: value if name == "id" else None for name, value in one.items() if name == "id" or absent == "null"}
        for one in (LINK, CONTRACT)
    )
    with serve(ok({"projectLinks": [link]}), ok({"contracts": [contract]})):
        assert links() == (ProjectLink("plk_1", None, None, None, None, None, None),)
        assert contracts() == (Contract("ctr_1", None, None, None, None, None, None, ()),)


def test_entry_that_cannot_be_read_is_named_beside_the_others(serve: Any) -> None:
    odd = [CONTRACT | {"id": "ctr_2", "endDate": "yesterday"}, CONTRACT, 7, CONTRACT | {"id": "a b\u0000"}]
    with serve(ok({"contracts": [*odd, CONTRACT | {"title": "Again"}]})):
        first, *unread = contracts()
    assert (first.id, first.title) == ("ctr_1", "Traffic signs")
    assert unread == [
        UnreadEntry(1, "ctr_2", "its field endDate is not a plausible time with its zone"),
        UnreadEntry(3, None, "it is not an object"),
        UnreadEntry(4, None, "its field id is not a usable ID"),
        UnreadEntry(5, "ctr_1", "it is listed twice"),
    ]


def test_texts_that_are_too_long_are_cut_and_ids_of_links_are_whole(serve: Any) -> None:
    long = {"externalProjectId": "1" * 201, "externalProjectName": "n" * 301}
    with serve(
        ok({"projectLinks": [LINK | long]}),
        ok({"contracts": [CONTRACT | {"title": "t" * 301, "projectLinkIds": ["p" * 200]}]}),
    ):
        [link], [contract] = links(), contracts()
    assert (link.external_project_id, link.external_project_name) == ("1" * 199 + "…", "n" * 299 + "…")
    assert (contract.title, contract.project_link_ids) == ("t" * 299 + "…", ("p" * 200,))


def test_texts_are_on_one_line_and_unknown_statuses_stay(serve: Any) -> None:
    with serve(ok({"contracts": [CONTRACT | {"title": "<b>a\nb</b>", "status": "on_hold"}]})):
        [contract] = contracts()
    assert (contract.title, contract.status) == ("<b>a b</b>", "on_hold")


def test_participants_are_read_and_are_not_in_the_repr(serve: Any) -> None:
    rest = {"opentrainUserId": "usr_2"}
    with serve(ok({"contractId": "ctr_1", "participants": [MARIA, rest]})) as server:
        found = participants()
    assert found == (
        Participant("usr_1", "Maria G.", "Spain", "https://app.opentrain.ai/profile/maria-g", "maria.g@opentrain.work"),
        Participant("usr_2", None, None, None, None),
    )
    assert "Maria" not in repr(found)
    assert "opentrain.work" not in repr(found)
    assert server.requests[0].target == "/api/partner/v1/contracts/ctr_1/participants"


def test_budget_is_read_with_all_of_its_fields(serve: Any) -> None:
    with serve(ok(BUDGET | {"new": 1})) as server:
        assert budget() == Budget(
            contract_id="ctr_1",
            payment_type="PAY_PER_HOUR",
            state="LOW",
            funded_volume=40,
            funded_amount_usd=560,
            consumed_volume=33,
            remaining_volume=7,
            consumed_fraction=0.825,
            active_milestone=Milestone("mls_1", "Week 2", 280, 20, "ACTIVE_FUNDED"),
            last_usage_at=AT_NOON,
        )
    assert server.requests[0].target == "/api/partner/v1/contracts/ctr_1/budget"


def test_budget_of_which_nothing_is_known_is_read(serve: Any) -> None:
    with serve(ok({"contractId": "ctr_1"})):
        assert budget() == Budget("ctr_1", None, None, None, None, None, None, None, None, None)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"contractId": "ctr_2"}, "it is about another contract"),
        ({"contractId": None}, "its field contractId is not a text"),
        ({"fundedVolume": "40"}, "its field fundedVolume is not a number"),
        ({"fundedVolume": True}, "its field fundedVolume is not a plausible number"),
        ({"fundedVolume": 1e13}, "its field fundedVolume is not a plausible number"),
        ({"activeMilestone": []}, "its field activeMilestone is not an object"),
        ({"activeMilestone": {"name": "x"}}, "it lacks the field activeMilestone.id"),
    ],
)
def test_budget_that_cannot_be_read_says_why(serve: Any, changed: dict[str, Any], why: str) -> None:
    with serve(ok(BUDGET | changed)):
        assert why in str(fails(budget, BadResponse))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"contractId": "ctr_2", "participants": []}, "it is about another contract"),
        ({"contractId": "ctr_1", "participants": [7]}, "its field participants has an entry that is not an object"),
        ({"contractId": "ctr_1", "participants": [{}]}, "it lacks the field participants.opentrainUserId"),
        ({"contractId": "ctr_1"}, "it lacks the field participants"),
    ],
)
def test_participants_that_cannot_be_read_say_why(serve: Any, answer: dict[str, Any], why: str) -> None:
    with serve(ok(answer)):
        assert why in str(fails(participants, BadResponse))


def test_id_that_would_name_another_path_is_not_asked_for(serve: Any) -> None:
    with serve(ok({})) as server:
        error = fails(lambda: opentrain.get_budget(token=TOKEN, contract_id=".."), NotFound)
    assert (str(error), server.requests) == ("OpenTrain has no contract with this ID.", [])
