"""The answer to “Why didn't it come?” for what is no contract, and for nothing."""

from datetime import timedelta

import pytest

from dashboard.models import Endpoint, Install, User
from dashboard.presenters import why as presenter
from dashboard.presenters.contract_page import NO_ENDPOINT
from dashboard.presenters.why import Why, unknown, why
from dashboard.queries.why import event_of, looked_through, named
from tests.factories import (
    NOON,
    make_contract,
    make_delivery,
    make_endpoint,
    make_failed_delivery,
    make_link,
)

NOW = NOON + timedelta(hours=1)


def answer(text: str, user: User) -> Why:
    found = named(user=user, text=text, now=NOW)
    assert found
    return why(text=text, named=found, event=event_of(found, now=NOW), user=user, now=NOW)


def hook(install: Install, name: str, **columns: object) -> Endpoint:
    return make_endpoint(
        install=install, handler_url=f"https://acme.example/{name}", created_at=NOON - timedelta(days=1), **columns
    )


def test_event_is_answered_for_each_endpoint_the_worst_first(acme: Install, support: User) -> None:
    fine, failing = hook(acme, "a"), hook(acme, "b")
    hook(acme, "c", event_types=["project_link.created"])
    hook(acme, "d", event_types=["install.revoked"])
    for endpoint, make in ((fine, make_delivery), (failing, make_failed_delivery)):
        make(endpoint=endpoint, event_id="evt_1", event_type="project_link.created", resource_id="lnk_1")
    found = answer("evt_1", support)
    assert [(line.place[-1], line.delivery is not None) for line in found.lines] == [
        ("b", True),
        ("a", True),
        ("c", False),
        ("d", False),
    ]
    assert found.lead == (
        "project_link.created at acme.example/b: 5 attempts failed, the last 60 min ago. "
        "OpenTrain will not retry automatically."
    )
    assert found.notes[0].endswith("an event of type project_link.created is missing is not known.")
    assert "acme.example/c: Not known. Redeliver has no record of whether" in found.summary
    assert "acme.example/d: Not subscribed now. It does not subscribe" in found.summary


def test_a_delivery_tells_what_other_endpoints_got_of_its_event(acme: Install, support: User) -> None:
    here, other = hook(acme, "a"), hook(acme, "b")
    hook(acme, "c")
    one = make_delivery(endpoint=here, event_id="evt_1", event_type="project_link.created", resource_id="lnk_1")
    make_failed_delivery(endpoint=other, event_id="evt_1", event_type="project_link.created", resource_id="lnk_1")
    found = answer(one.opentrain_id, support)
    assert [(line.place[-1], line.delivery is not None) for line in found.lines] == [
        ("a", True),
        ("b", True),
        ("c", False),
    ]
    assert found.lead == "project_link.created at acme.example/a: Delivered 60 min ago."


def test_what_is_known_of_an_install_is_the_answer_and_not_said_twice(acme: Install, support: User) -> None:
    Install.objects.filter(pk=acme.pk).update(opentrain_id="ins_9", checked_at=NOON)
    found = answer("ins_9", support)
    assert found.lead.startswith("OpenTrain said that the install is")
    assert [note.rpartition("Whether an event of type ")[2] for note in found.notes] == [
        "install.revoked is missing is not known."
    ]
    assert found.summary.count(found.lead) == 1


def test_event_of_a_contract_leaves_other_endpoints_to_its_verdicts(acme: Install, support: User) -> None:
    make_contract(install=acme, opentrain_id="con_1")
    hook(acme, "b")
    make_delivery(endpoint=hook(acme, "a"), event_id="evt_1", resource_id="con_1")
    found = answer("evt_1", support)
    assert [line.place[-1] for line in found.lines] == ["a"]
    assert found.told is not None
    assert {row.cell.place[-1] for row in found.told.rows} == {"a", "b"}


def test_deliveries_of_several_events_say_nothing_of_other_endpoints(acme: Install, support: User) -> None:
    here = hook(acme, "a")
    hook(acme, "b")
    for number in (1, 2):
        make_delivery(endpoint=here, event_id=f"evt_{number}", event_type="milestone.funded", resource_id="mil_1")
    assert [line.place[-1] for line in answer("mil_1", support).lines] == ["a", "a"]


def test_milestone_of_a_contract_says_its_budget(acme: Install, support: User) -> None:
    make_contract(install=acme, opentrain_id="con_1", budget_state="LOW", budget_consumed=0.9, budget_read_at=NOON)
    make_delivery(endpoint=hook(acme, "a"), event_id="evt_1", event_type="milestone.budget_low", resource_id="con_1")
    assert any(
        "budget was LOW (90 % consumed) when it was read 60 min ago." in note for note in answer("evt_1", support).notes
    )


def test_link_without_contracts_says_what_is_known(acme: Install, support: User) -> None:
    make_link(install=acme, opentrain_id="lnk_1", job_id="job_9")
    found = answer("lnk_1", support)
    assert found.heading == "Project link lnk_1"
    assert found.lead.endswith("Redeliver knows of no contract of its job.")


def test_list_of_contracts_is_bounded_and_links_to_each_install(
    acme: Install, support: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presenter, "LISTED", 2)
    other = make_contract(job_id="job_9").install
    for _ in range(2):
        make_contract(install=acme, job_id="job_9")
    found = answer("job_9", support)
    assert (len(found.listed), found.has_more, found.heading) == (2, True, "Job job_9: 3 contracts")
    assert found.told_of_listed == found.summary.splitlines()[3] == NO_ENDPOINT
    assert {link.url for link in found.lists} == {f"/installs/{one.pk}/contracts/?q=job_9" for one in (acme, other)}


def test_unknown_id_copies_what_was_looked_through(acme: Install, partner_admin: User) -> None:
    said = unknown(text="con_9\nX", looked_through=looked_through(user=partner_admin), user=partner_admin, now=NOW)
    assert said.summary.splitlines()[:3] == [
        "No contract, link, delivery or event that you can see has this ID: con_9 X",
        "As of 2026-06-12 13:00:00 UTC.",
        "Looked through 1 install: Acme Labs.",
    ]
