"""The buttons of an install's page."""

from typing import Any

import pytest

from dashboard.models.installs import RANK_OF_TROUBLE
from dashboard.presenters.figures import unknown
from dashboard.presenters.install_page import actions, helped
from tests.presenters.rows import SUPPORT, VIEWER, endpoint, install, labels, row

FIGURES = unknown("Not known.")
REFUSED = {"last_error_code": "token_refused", "last_error": "Refused.", "rank": RANK_OF_TROUBLE}


def test_install_that_is_well_is_for_registering_an_endpoint_first() -> None:
    assert labels(actions(install(), user=SUPPORT)) == [
        ("Register an endpoint", "btn-primary"), ("Replace token…", ""), ("Send its alerts…", ""), ("Activity", ""),
    ]  # fmt: skip


def test_install_whose_endpoints_are_not_seen_has_them_routed_first() -> None:
    assert labels(actions(install(), user=SUPPORT, is_unseen=True))[0] == ("Register an endpoint", "")


def test_install_whose_token_is_refused_gets_a_new_one_first() -> None:
    assert labels(actions(install(**REFUSED), user=SUPPORT))[:2] == [
        ("Replace token…", "btn-primary"), ("Register an endpoint", ""),
    ]  # fmt: skip


def test_install_whose_token_lacks_the_scope_registers_nothing() -> None:
    assert [label for label, _ in labels(actions(install(token_scopes=[]), user=SUPPORT))] == [
        "Replace token…", "Send its alerts…", "Activity",
    ]  # fmt: skip


def test_viewer_of_an_install_may_read_alone() -> None:
    assert labels(actions(install(), user=VIEWER)) == [("Activity", "")]


@pytest.mark.parametrize(
    ("fields", "failed", "label"),
    [
        ({}, 0, "Open"),
        ({}, 2, "Redeliver all failed"),
        ({"consecutive_failures": 3}, 2, "Recover…"),
        ({"consecutive_failures": 3}, 0, "Open"),
        ({"status": "DISABLED"}, 2, "Re-enable"),
        ({"status": "DISABLED", "consecutive_failures": 10}, 2, "Recover…"),
    ],
)
def test_row_offers_what_helps_first(fields: dict[str, Any], failed: int, label: str) -> None:
    one = row(endpoint(**fields), failed=failed)
    assert helped(one, figures=FIGURES, install=install(), user=SUPPORT).control.label == label
    assert helped(one, figures=FIGURES, install=install(), user=VIEWER).control.label == "Open"
    assert helped(one, figures=FIGURES, install=install(**REFUSED), user=SUPPORT).control.label == "Open"


def test_button_of_a_row_answers_beside_it() -> None:
    control = helped(row(failed=2), figures=FIGURES, install=install(), user=SUPPORT).control
    assert getattr(control, "target", "") == "next [data-answer]"


@pytest.mark.parametrize(
    ("fields", "path", "failed"),
    [
        ({}, "received through Redeliver", "none"),
        ({"receiver_key": None, "observation_key_sha256": "0"}, "reported by its handler", "none"),
        ({"receiver_key": None}, "directly to its own URL", ""),
    ],
)
def test_row_says_where_deliveries_go_and_what_is_known_of_them(fields: dict[str, Any], path: str, failed: str) -> None:
    found = helped(row(endpoint(**fields)), figures=FIGURES, install=install(), user=SUPPORT)
    assert (found.path, found.failed) == (path, failed)
