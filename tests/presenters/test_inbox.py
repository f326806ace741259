"""The inbox's headline, and the first remedy that it offers."""

from typing import Any

import pytest

from dashboard.actions.installs.freshness import NO_WORKER
from dashboard.models import User
from dashboard.presenters.controls import Control, Link
from dashboard.presenters.inbox import (
    NO_NEEDS,
    ContractNeeds,
    InboxCount,
    Sums,
    all_clear,
    concerned,
    contract_needs,
    fleet_label,
    followed,
    headline,
    helps_endpoint,
    helps_install,
    inbox_count,
)
from dashboard.queries.consequences import InstallNeed
from dashboard.rules.consequences import Affected, Known, Need, Unknown
from tests.presenters.rows import NOW, OPERATION, SUPPORT, VIEWER, endpoint, install, run

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
def test_headline_says_how_many_endpoints_and_installs_need_attention(
    endpoints: int, installs: int, alerts: int, is_known: bool, words: str
) -> None:
    assert headline(endpoints=endpoints, installs=installs, alerts=alerts, is_known=is_known) == words


@pytest.mark.parametrize(
    ("contracts", "more", "endpoints", "words"),
    [
        (1, False, 0, "1 contract needs attention"),
        (2, False, 0, "2 contracts need attention"),
        (1200, False, 2, "1,200 contracts, 2 endpoints and 1 install need attention"),
        (1000, True, 0, "More than 1,000 contracts and 1 install need attention"),
    ],
)
def test_headline_counts_contracts_first(contracts: int, more: bool, endpoints: int, words: str) -> None:
    needs = ContractNeeds(contracts=contracts, more=more)
    installs = 1 if "install" in words else 0
    assert headline(endpoints=endpoints, installs=installs, needs=needs, alerts=3, is_known=True) == words


def need(what: Need, *, contracts: int = 1, install_id: int = 4, more: bool = False) -> InstallNeed:
    found = Affected(need=what, contracts=contracts, first_counted=contracts, handlers=1, undated=True, more=more)
    return InstallNeed(install_id, "Acme Labs", found)


def test_contract_needs_keep_apart_what_may_still_come_and_do_not_count_it() -> None:
    found = contract_needs(
        [need(Need.ACCESS, contracts=2), need(Need.PROVISION, more=True), need(Need.COMING, contracts=5)],
        most=50,
        handler="your handler",
        now=NOW,
    )
    assert [(one.kind, one.label) for one in found.urgent] == [
        ("access", "May have access"),
        ("provision", "Not provisioned"),
    ]
    assert [(one.kind, one.label) for one in found.quiet] == [("not_seen_yet", "Not seen yet")]
    assert (found.contracts, found.more, found.left) == (3, True, 0)
    assert found.urgent[0].words.startswith("2 people may still have access to Acme Labs: ")
    assert "your handler never took contract.ended" in found.urgent[0].words


def test_contract_need_opens_the_contracts_behind_it() -> None:
    found = contract_needs([need(Need.ACCESS, contracts=2), need(Need.COMING)], most=50, handler="the handler", now=NOW)
    access, coming = found.urgent[0].control, found.quiet[0].control
    assert access == Link(
        "Open contracts",
        "/installs/4/contracts/?finding=access",
        look="btn-primary",
        called="Open contracts of Acme Labs: May have access",
    )
    assert (coming.label, coming.url, coming.look) == (
        "Open contract",
        "/installs/4/contracts/?finding=not_seen_yet&event=contract.ended",
        "",
    )


def test_contract_needs_that_are_not_shown_are_counted() -> None:
    found = contract_needs(
        [need(Need.ACCESS, install_id=pk) for pk in range(1, 4)], most=2, handler="the handler", now=NOW
    )
    assert (len(found.urgent), found.left, found.contracts) == (2, 1, 3)
    assert contract_needs([], most=2, handler="the handler", now=NOW) == NO_NEEDS


@pytest.mark.parametrize(
    ("contracts", "words", "icon"),
    [
        (Known(), "", "circle-check"),
        (Known(installs=1), "No contract's event is known to be missing.", "circle-check"),
        (
            Known(installs=1, unknown=((Unknown.NEVER_READ, 1),)),
            "Whether events of contracts are missing is not known: its contracts have not been read yet.",
            "info-circle",
        ),
        (Known(installs=1, missing=2), "2 events not taken, without a known consequence.", "info-circle"),
    ],
)
def test_all_clear_says_what_is_known_of_contracts(contracts: Known, words: str, icon: str) -> None:
    found = all_clear(Sums(3, 3, 0, is_known=True), alerts=0, is_watched=True, contracts=contracts, user=SUPPORT)
    assert (found.begins, found.contracts, found.icon) == ("All 3 endpoints are healthy.", words, icon)


@pytest.mark.parametrize(
    ("sums", "alerts", "is_watched"), [((3, 3, 0), 1, True), ((3, 3, 0), 0, False), ((0, 0, 0), 0, True)]
)
def test_nothing_is_said_of_contracts_where_something_else_is_wrong(
    sums: tuple[int, int, int], alerts: int, is_watched: bool
) -> None:
    contracts = Known(installs=1)
    found = all_clear(
        Sums(*sums, is_known=True), alerts=alerts, is_watched=is_watched, contracts=contracts, user=SUPPORT
    )
    assert found.contracts == ""


def test_all_clear_of_unknown_endpoints_keeps_its_icon() -> None:
    contracts = Known(installs=1, missing=1)
    found = all_clear(Sums(1, 0, 1, is_known=True), alerts=0, is_watched=True, contracts=contracts, user=SUPPORT)
    assert (found.icon, found.tone) == ("help-circle", "tone-idle")


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


@pytest.mark.parametrize(
    ("count", "text", "words"),
    [
        (InboxCount(0), "", ""),
        (InboxCount(1), "1", "1 needs attention"),
        (InboxCount(12), "12", "12 need attention"),
        (InboxCount(1000, more=True), "1,000+", "1,000+ need attention"),
        (InboxCount(1, more=True), "1+", "1+ need attention"),
    ],
)
def test_count_is_written_for_eyes_and_for_ears(count: InboxCount, text: str, words: str) -> None:
    assert (count.text, count.words) == (text, words)


def test_count_is_the_sum_of_the_headline() -> None:
    needs = ContractNeeds(contracts=3, more=True)
    assert inbox_count(endpoints=2, installs=1, needs=needs) == InboxCount(6, more=True)
