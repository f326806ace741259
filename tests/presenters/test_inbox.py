"""The inbox's headline, and the first remedy that it offers."""

from typing import Any

import pytest

from dashboard.actions.installs.freshness import NO_WORKER
from dashboard.models import User
from dashboard.presenters.controls import Control
from dashboard.presenters.inbox import (
    Sums,
    all_clear,
    concerned,
    fleet_label,
    followed,
    headline,
    helps_endpoint,
    helps_install,
)
from tests.presenters.rows import OPERATION, SUPPORT, VIEWER, endpoint, install, run

REFUSED = {"last_error_code": "token_refused", "last_error": "Refused."}
FAILING, STOPPED = {"consecutive_failures": 3}, {"status": "DISABLED"}


@pytest.mark.parametrize(
    ("endpoints", "installs", "alerts", "is_known", "words"),
    [
        (1, 0, 0, True, "1 endpoint needs attention"),
        (2, 0, 0, True, "2 endpoints need attention"),
        (0, 1, 0, True, "1 install needs attention"),
        (1200, 1, 0, True, "1,200 endpoints and 1 install need attention"),
        (0, 0, 1, True, "1 open alert"),
        (0, 0, 2, False, "2 open alerts"),
        (0, 0, 0, True, "All clear"),
        (0, 0, 0, False, "All clear, as far as is known"),
    ],
)
def test_headline_says_how_much_needs_attention(
    endpoints: int, installs: int, alerts: int, is_known: bool, words: str
) -> None:
    assert headline(endpoints=endpoints, installs=installs, alerts=alerts, is_known=is_known) == words


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (Sums(1, 1, 0, is_known=True), "1 endpoint healthy"),
        (Sums(1300, 1200, 3, is_known=True), "1,200 endpoints healthy · 3 unknown"),
        (Sums(0, 0, 0, is_known=False), "— endpoints healthy"),
    ],
)
def test_sums_say_what_is_not_known_apart(sums: Sums, words: str) -> None:
    assert sums.words == words


@pytest.mark.parametrize(
    ("endpoints", "fine", "unknown", "words", "icon"),
    [
        (1, 1, 0, "The endpoint is healthy.", "circle-check"),
        (3, 3, 0, "All 3 endpoints are healthy.", "circle-check"),
        (3, 2, 0, "2 of 3 endpoints are healthy; 1 was paused manually.", "circle-check"),
        (3, 1, 0, "1 of 3 endpoints is healthy; 2 were paused manually.", "circle-check"),
        (3, 1, 2, "1 endpoint is healthy. The status of 2 others is unknown.", "help-circle"),
        (1, 0, 1, "The status of 1 endpoint is unknown.", "help-circle"),
    ],
)
def test_all_clear_says_how_the_endpoints_do(endpoints: int, fine: int, unknown: int, words: str, icon: str) -> None:
    found = all_clear(Sums(endpoints, fine, unknown, is_known=True), alerts=0, is_watched=True, user=SUPPORT)
    assert (f"{found.begins}{found.goes_on}".strip(), found.icon) == (words, icon)


@pytest.mark.parametrize(
    ("alerts", "is_watched", "words"),
    [
        (1, True, "1 alert is still open."),
        (1200, False, "1,200 alerts are still open."),
        (0, False, NO_WORKER),
    ],
)
def test_nothing_is_called_healthy_beside_open_alerts_or_while_nobody_watches(
    alerts: int, is_watched: bool, words: str
) -> None:
    found = all_clear(Sums(3, 3, 0, is_known=True), alerts=alerts, is_watched=is_watched, user=SUPPORT)
    assert f"{found.begins}{found.goes_on}" == words
    assert found.icon != "circle-check"


def test_no_endpoint_leads_those_who_may_register_one_to_the_installs() -> None:
    none = Sums(0, 0, 0, is_known=True)
    for_support, for_viewer = (all_clear(none, alerts=0, is_watched=True, user=user) for user in (SUPPORT, VIEWER))
    assert for_support.control is not None
    assert for_support.goes_on.endswith("Register one on its install's page.")
    assert for_viewer.control is None
    assert for_viewer.goes_on == ", as far as OpenTrain has reported."


def helps(fields: dict[str, Any], *, user: User = SUPPORT, **given: Any) -> str:
    """Return the label of the first remedy for an endpoint; empty if there is none."""
    facts: dict[str, Any] = {"failed": 0, "run": None, "is_install_in_need": False} | given
    found: Control | None = helps_endpoint(
        endpoint(**fields), **facts, enable=OPERATION, redeliver=OPERATION, user=user
    )
    return "" if found is None else found.label


@pytest.mark.parametrize(
    ("fields", "failed", "label"),
    [
        (FAILING, 2, "Recover…"),
        (STOPPED | {"consecutive_failures": 10}, 2, "Recover…"),
        (STOPPED, 0, "Re-enable"),
        (STOPPED, 2, "Re-enable"),  # paused by a person, so there is nothing to recover from
        ({}, 2, "Redeliver all failed"),
        (FAILING, 0, ""),
        ({"status": "ODD"}, 2, ""),
    ],
)
def test_help_is_the_one_thing_that_helps_first(fields: dict[str, Any], failed: int, label: str) -> None:
    assert helps(fields, failed=failed) == label
    assert helps(fields, failed=failed, user=VIEWER) == ""


def test_help_is_the_run_that_goes_on_for_everybody() -> None:
    assert helps(FAILING, failed=2, run=run()) == "Follow it"
    assert helps(FAILING, failed=2, run=run(), user=VIEWER) == "Follow it"


def test_help_is_a_new_token_before_all_else_and_nothing_where_that_is_not_it() -> None:
    refused, gone = {"install": install(**REFUSED)}, {"install": install(status="SUSPENDED")}
    assert helps(refused, failed=2, run=run(), is_install_in_need=True) == "Replace token…"
    assert helps(refused, failed=2, is_install_in_need=True, user=VIEWER) == ""
    assert helps(gone | FAILING, failed=2, is_install_in_need=True) == ""


def test_install_is_helped_by_a_new_token_alone() -> None:
    assert helps_install(install(**REFUSED), user=SUPPORT) is not None
    assert helps_install(install(**REFUSED), user=VIEWER) is None
    assert helps_install(install(status="SUSPENDED"), user=SUPPORT) is None


@pytest.mark.parametrize(
    ("count", "needing", "words"),
    [
        (1, 1, ("1 endpoint", "it needed attention")),
        (1, 0, ("1 endpoint", "it was not disabled or failing")),
        (3, 2, ("3 endpoints", "2 of them needed attention")),
        (3, 0, ("3 endpoints", "none of them was disabled or failing")),
    ],
)
def test_trouble_concerns_endpoints_that_were_seen(count: int, needing: int, words: tuple[str, str]) -> None:
    found = concerned(install(endpoint_count=count, needing_count=needing))
    assert found is not None
    assert (found.endpoints, found.were) == words


def test_trouble_of_an_install_without_endpoints_concerns_none() -> None:
    assert concerned(install(endpoint_count=0)) is None


@pytest.mark.parametrize(("state", "look"), [("paused", "btn-primary"), ("running", "")])
def test_run_that_waits_for_somebody_is_followed_first(state: str, look: str) -> None:
    assert followed(run(state=state)).control.look == look


@pytest.mark.parametrize(
    ("installs", "has_more", "is_search", "label"),
    [
        (1, False, False, "View all installs"),
        (3, False, True, "View all matches"),
        (1200, True, False, "View all 1,200 installs"),
        (1200, True, True, "View all matches"),
    ],
)
def test_link_to_the_fleet_says_what_it_leads_to(installs: int, has_more: bool, is_search: bool, label: str) -> None:
    assert fleet_label(installs=installs, has_more=has_more, is_search=is_search) == label
