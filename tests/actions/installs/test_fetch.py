"""One poll of OpenTrain: the calls made and how responses are interpreted. Uses no database."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dashboard.actions.installs.fetch import DESCRIBE_EVERY, FetchResult, visit
from dashboard.models import Install
from dashboard.rules.installs import Trouble
from dashboard.services import opentrain
from dashboard.services.opentrain import BadResponse, Forbidden, OutcomeUnknown, RateLimited, Reason, Unavailable
from dashboard.services.opentrain.errors import Refusal
from dashboard.vault import Secret, Unreadable
from tests.contract.fake import FakeOpenTrain
from tests.factories import NOON

SCOPE = ["webhooks:manage"]
FORBIDDEN = Forbidden(
    "Not allowed.", refusal=Refusal(status=403, code="FORBIDDEN", said="", details={}, request_id=None)
)


def install(**columns: Any) -> Install:
    return Install(**{"status": "ACTIVE", "token_scopes": SCOPE, "described_at": NOON, **columns})


def visited(token: Secret, fake: FakeOpenTrain, **columns: Any) -> tuple[FetchResult, list[str]]:
    fake.calls.clear()
    answer = visit(install=install(**columns), at=NOON + timedelta(minutes=1), read_token=lambda: token)
    return answer, [call.operation for call in fake.calls]


def test_visit_where_all_is_well_asks_for_the_endpoints_alone(fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install()
    made = fake_opentrain.create_endpoint(token=token, url="https://a.example.com/", event_types=["contract.ended"])
    answer, asked = visited(token, fake_opentrain)
    assert asked == ["list_endpoints"]
    assert [one.id for one in answer.endpoints] == [made.endpoint.id]
    assert (answer.current, answer.error, answer.trouble, answer.retry_after_s) == (None, None, Trouble.NONE, None)


@pytest.mark.parametrize(
    "columns",
    [
        {"described_at": None},
        {"described_at": NOON + timedelta(minutes=1) - DESCRIBE_EVERY},
        {"status": "SUSPENDED"},
        {"token_scopes": []},
    ],
)
def test_visit_describes_an_install_that_is_old_or_may_be_what_is_wrong(
    fake_opentrain: FakeOpenTrain, columns: dict[str, Any]
) -> None:
    answer, asked = visited(fake_opentrain.add_install(), fake_opentrain, **columns)
    assert asked == ["get_install", "list_endpoints"]
    assert answer.current.status == "ACTIVE"


def test_visit_without_the_scope_asks_for_no_endpoints(fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install(scopes=["contracts:read"])
    answer, asked = visited(token, fake_opentrain, token_scopes=[])
    assert (asked, answer.endpoints, answer.trouble) == (["get_install"], None, Trouble.NONE)


def test_visit_with_a_token_that_cannot_be_read_asks_nobody(fake_opentrain: FakeOpenTrain) -> None:
    def unreadable() -> Secret:
        raise Unreadable("No key.")

    answer = visit(install=install(), at=NOON, read_token=unreadable)
    assert (answer.trouble, answer.endpoints, fake_opentrain.calls) == (Trouble.TOKEN_UNREADABLE, None, [])


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (RateLimited("Wait.", retry_after_s=7), Trouble.RATE_LIMITED),
        (Unavailable("Gone.", reason=Reason.DNS), Trouble.UNREACHABLE),
        (BadResponse("Not JSON.", status=200), Trouble.BAD_ANSWER),
        (OutcomeUnknown("Hm."), Trouble.BAD_ANSWER),
    ],
)
def test_failure_is_named_as_narrowly_as_the_answer_allows(
    fake_opentrain: FakeOpenTrain, error: Exception, trouble: Trouble
) -> None:
    token = fake_opentrain.add_install()
    fake_opentrain.fail_next(error)
    answer, asked = visited(token, fake_opentrain)
    assert (answer.error, answer.trouble, answer.endpoints, len(asked)) == (error, trouble, None, 1)
    assert answer.retry_after_s == (7 if trouble is Trouble.RATE_LIMITED else None)


def test_revoked_token_is_refused(fake_opentrain: FakeOpenTrain) -> None:
    token = fake_opentrain.add_install()
    fake_opentrain.revoke(token)
    assert visited(token, fake_opentrain)[0].trouble is Trouble.TOKEN_REFUSED


@pytest.mark.parametrize(
    ("described", "trouble"),
    [
        ({}, Trouble.FORBIDDEN),
        ({"scopes": ["contracts:read"]}, Trouble.SCOPE_MISSING),
        ({"status": "SUSPENDED"}, Trouble.NOT_ACTIVE),
    ],
)
def test_forbidden_is_explained_by_the_installs_description(
    fake_opentrain: FakeOpenTrain, described: dict[str, Any], trouble: Trouble
) -> None:
    scopes = described.get("scopes", SCOPE)
    current = fake_opentrain.get_install(token=fake_opentrain.add_install(scopes=scopes))
    assert (
        FetchResult(
            install(), NOON, current=replace(current, status=described.get("status", "ACTIVE")), error=FORBIDDEN
        ).trouble
        is trouble
    )


def test_forbidden_without_a_description_is_an_install_that_is_not_active() -> None:
    assert FetchResult(install(), NOON, current=None, error=FORBIDDEN).trouble is Trouble.NOT_ACTIVE


def test_forbidden_visit_asks_for_the_description_once_and_survives_without(
    fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(**_: object) -> None:
        raise FORBIDDEN

    token = fake_opentrain.add_install()
    monkeypatch.setattr(opentrain, "list_endpoints", forbid)
    answer, asked = visited(token, fake_opentrain)
    assert (asked, answer.trouble) == (["get_install"], Trouble.FORBIDDEN)
    fake_opentrain.fail_next(Unavailable("Gone.", reason=Reason.DNS))
    answer, asked = visited(token, fake_opentrain)
    assert (asked, answer.current, answer.trouble) == (["get_install"], None, Trouble.NOT_ACTIVE)
