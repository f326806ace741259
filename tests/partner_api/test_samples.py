"""Sample events: one for each type."""

import json
import random

import pytest

from dashboard.partner_api import events, samples
from dashboard.partner_api.models import Event, EventType
from tests.partner_api.conftest import THEN, Partner, make_endpoint

FIELDS = {
    "contract": ["contract", "freelancer", "projectLink"],
    "project_link": ["projectLink"],
    "install": ["install"],
    "milestone": ["budget", "milestone"],
}


@pytest.mark.parametrize(
    ("event_type", "state"),
    [("milestone.funded", "OK"), ("milestone.budget_low", "LOW"), ("milestone.budget_depleted", "DEPLETED")],
)
def test_a_budgets_state_is_that_of_its_event(event_type: str, state: str) -> None:
    chance = random.Random(7)  # noqa: S311 - sample data
    sample = samples.sample(event_type=event_type, install_id="ins_1", resource_id="mls_1", chance=chance, now=THEN)
    assert (sample.data["budget"]["state"], sample.data["milestone"]["id"]) == (state, "mls_1")


@pytest.mark.parametrize(("event_type", "status"), [("contract.started", "active"), ("contract.ended", "ended")])
def test_a_contracts_status_is_that_of_its_event(event_type: str, status: str) -> None:
    chance = random.Random(7)  # noqa: S311 - sample data
    sample = samples.sample(event_type=event_type, install_id="ins_1", resource_id=None, chance=chance, now=THEN)
    contract = sample.data["contract"]
    assert (contract["status"], contract["endDate"] is None) == (status, status == "active")
    assert sample.data["projectLink"]["jobId"] == sample.job_id


@pytest.mark.parametrize("event_type", EventType.values)
def test_every_type_has_a_sample_that_can_be_emitted(partner: Partner, event_type: str) -> None:
    make_endpoint(partner, event_types=EventType.values)
    sample = samples.sample(
        event_type=event_type,
        install_id=partner.install_id,
        resource_id=None,
        chance=random.Random(7),  # noqa: S311 - sample data
        now=THEN,
    )
    emitted = events.emit(
        install_id=partner.install_id,
        event_type=sample.type,
        resource_id=sample.resource_id,
        job_id=sample.job_id,
        data=sample.data,
        now=THEN,
    )
    body = json.loads(bytes(Event.objects.get().body))
    assert emitted == events.Emitted(event_id=body["id"], type=event_type, deliveries=1)
    assert list(body) == ["id", "type", "apiVersion", "createdAt", "resourceId", "jobId", "data"]
    assert (body["type"], body["apiVersion"], body["resourceId"]) == (event_type, "v1", sample.resource_id)
    assert body["data"] == sample.data
    assert sorted(body["data"]) == FIELDS[event_type.partition(".")[0]]
    named = {"contract": "contract", "project_link": "projectLink", "install": "install", "milestone": "milestone"}
    assert body["data"][named[event_type.partition(".")[0]]]["id"] == sample.resource_id
    assert (body["jobId"] is None) is (event_type == "install.revoked")


def test_the_mix_leaves_revocations_out() -> None:
    chance = random.Random(1)  # noqa: S311 - sample data
    drawn = {samples.any_type(chance=chance) for _ in range(500)}
    assert drawn == set(EventType.values) - {"install.revoked"}
