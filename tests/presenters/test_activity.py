"""Audit entries on the activity pages."""

from dataclasses import replace
from typing import Any

import pytest

from dashboard.models import AuditEntry
from dashboard.presenters.activity import ActivityRow, activity_row
from dashboard.rules.deeds import About
from tests.factories import NOON


def shown(*, from_where: bool = True, **fields: Any) -> ActivityRow:
    made = {"phase": "done", "words": "It is done.", "address": "192.0.2.1", "agent": "Firefox"}
    made |= {"install_name": "", "endpoint_url": ""}
    return activity_row(AuditEntry(**(made | fields)), from_where=from_where, now=NOON)


@pytest.mark.parametrize(("phase", "kind"), [("done", "done"), ("unknown", "unknown_outcome")])
def test_outcome_that_is_not_known_is_drawn_as_such(phase: str, kind: str) -> None:
    assert shown(phase=phase).kind == kind


def test_request_without_an_answer_says_so() -> None:
    assert shown(phase="requested", words="").said == "Requested; no response recorded yet."
    assert shown().said == "It is done."


def test_entry_says_that_the_endpoint_was_disabled_at_the_answer() -> None:
    assert shown(while_stopped=True).endpoint_was == "disabled: OpenTrain attempts nothing until it is re-enabled"
    assert shown().endpoint_was == ""


def test_redelivery_on_a_stopped_endpoint_is_no_success_yet() -> None:
    waits = shown(while_stopped=True, requeued=3)
    assert (waits.kind, waits.label) == ("unavailable", "Requested")
    for fields in ({"requeued": 3}, {"while_stopped": True}, {"while_stopped": True, "requeued": 0}):
        assert shown(**fields).kind == "done"
    assert shown(phase="refused", while_stopped=True, requeued=3).kind == "refused"


def test_where_it_came_from_is_shown_to_those_who_may_see_it() -> None:
    seen, hidden = shown(), shown(from_where=False)
    assert (seen.address, seen.agent) == ("192.0.2.1", "Firefox")
    assert (hidden.address, hidden.agent, hidden.no_address) == ("", "", "visible to support only")


def test_entry_without_an_address_is_of_no_browser() -> None:
    assert shown(address=None).no_address == "no browser: the worker or the command line"


@pytest.mark.parametrize(
    ("fields", "has_object"), [({}, False), ({"install_name": "Acme"}, True), ({"endpoint_url": "https://a"}, True)]
)
def test_entry_is_about_something_where_it_names_it(fields: dict[str, Any], has_object: bool) -> None:
    assert shown(**fields).has_object is has_object


ABOUT_BOTH = {"install_name": "Acme", "endpoint_name": "Billing"}


@pytest.mark.parametrize(
    ("action", "fields", "here", "words"),
    [
        ("pause endpoint", ABOUT_BOTH, About.NOTHING, "paused"),
        ("pause endpoint", ABOUT_BOTH, About.ENDPOINT, "paused this endpoint"),
        ("pause endpoint", ABOUT_BOTH, About.INSTALL, "paused"),
        ("rename install", {"install_name": "Acme"}, About.NOTHING, "renamed"),
        ("rename install", {"install_name": "Acme"}, About.INSTALL, "renamed this install"),
        ("create alert channel", {"install_name": "Acme"}, About.NOTHING, "created an alert channel of"),
        ("create alert channel", {"install_name": "Acme"}, About.INSTALL, "created an alert channel of this install"),
        ("create alert channel", {}, About.NOTHING, "created an alert channel"),
        ("rotate secret: give up", ABOUT_BOTH, About.NOTHING, "did “rotate secret: give up”:"),
        ("rotate secret: give up", ABOUT_BOTH, About.ENDPOINT, "did “rotate secret: give up”"),
        ("rotate secret: give up", ABOUT_BOTH, About.INSTALL, "did “rotate secret: give up”:"),
    ],
)
def test_sentence_names_nothing_that_the_page_is_about(
    action: str, fields: dict[str, Any], here: About, words: str
) -> None:
    row = replace(shown(action=action, **fields), here=here)
    assert row.told == words
    assert row.names_endpoint is ("endpoint_name" in fields and here is not About.ENDPOINT)
