"""The headline of an endpoint's page, and the buttons that each role gets."""

from typing import Any

import pytest

from dashboard.presenters.endpoint_page import Head, head, no_deliveries
from tests.presenters.rows import NOW, SUPPORT, VIEWER, endpoint, install, labels, row, run

REFUSED = {"last_error_code": "token_refused", "last_error": "Refused."}
REDELIVER = "Redeliver all failed"


def head_of(one: Any, **given: Any) -> Head:
    return head(**({"row": one, "run": None, "silence_words": "", "told": "", "user": SUPPORT} | given))


def test_endpoint_that_is_well_offers_to_redeliver_and_says_that_nothing_failed() -> None:
    found = head_of(row())
    assert labels(found.controls) == [(REDELIVER, "")]
    assert found.help == "None failed here; OpenTrain may have others."
    assert (found.has_menu, found.explains_recovery, found.offers_preview) == (True, False, False)


def test_endpoint_whose_deliveries_are_retried_is_not_said_to_have_none_that_failed() -> None:
    found = head_of(row(), retries=True)
    assert found.help == "What has not been delivered is retried automatically. OpenTrain may have others that failed."
    assert head_of(row(failed=2), retries=True).help == ""
    paused = head_of(row(endpoint(status="DISABLED", consecutive_failures=0)), retries=True)
    assert paused.help.startswith("What has not been delivered waits until the endpoint is re-enabled.")


def test_endpoint_whose_deliveries_are_not_seen_says_so() -> None:
    found = head_of(row(endpoint(receiver_key=None)))
    assert found.help == "Redeliver does not see this endpoint's deliveries; OpenTrain knows which failed."


def test_disabled_endpoint_is_recovered_first() -> None:
    found = head_of(row(endpoint(status="DISABLED", consecutive_failures=10), failed=3))
    assert labels(found.controls) == [("Recover…", "btn-primary"), ("Re-enable", ""), (f"{REDELIVER} (3)", "")]
    assert (found.explains_recovery, found.offers_preview, found.help) == (True, False, "")


def test_paused_endpoint_is_re_enabled_first() -> None:
    found = head_of(row(endpoint(status="DISABLED", consecutive_failures=0)))
    assert labels(found.controls) == [("Re-enable", "btn-primary"), (REDELIVER, "")]


def test_failing_endpoint_offers_a_preview_of_what_failed() -> None:
    found = head_of(row(endpoint(consecutive_failures=3), failed=2))
    assert labels(found.controls) == [("Recover…", "btn-primary"), (f"{REDELIVER} (2)", "")]
    assert (found.explains_recovery, found.offers_preview) == (False, True)


def test_run_that_goes_on_takes_the_recovery_away() -> None:
    found = head_of(row(endpoint(consecutive_failures=3), failed=2), run=run())
    assert labels(found.controls) == [(f"{REDELIVER} (2)", "")]
    assert (found.explains_recovery, found.offers_preview, found.help) == (False, False, "")


def test_run_that_has_ended_leaves_it() -> None:
    found = head_of(row(endpoint(consecutive_failures=3), failed=2), run=run(state="done"))
    assert labels(found.controls)[0] == ("Recover…", "btn-primary")


def test_token_that_is_refused_is_replaced_first() -> None:
    one = endpoint(status="DISABLED", consecutive_failures=10, install=install(**REFUSED))
    assert labels(head_of(row(one)).controls) == [
        ("Replace token…", "btn-primary"), ("Recover…", ""), ("Re-enable", ""), (REDELIVER, ""),
    ]  # fmt: skip


def test_endpoint_that_is_not_registered_yet_has_no_buttons() -> None:
    found = head_of(row(endpoint(opentrain_id=None)))
    assert (found.controls, found.has_menu) == ((), False)


def test_viewer_is_told_whom_to_ask_where_something_is_wrong() -> None:
    ill, well = (head_of(row(endpoint(), failed=failed), user=VIEWER) for failed in (1, 0))
    assert (labels(ill.controls), ill.asks) == ([("Signature doctor", "")], True)
    assert (labels(well.controls), well.asks) == ([("Signature doctor", "")], False)


def test_list_that_lags_behind_a_change_is_said() -> None:
    said = "No consecutive failures. OpenTrain confirmed the last change, but its list does not show it yet."
    assert head_of(row(endpoint()), lags=True).going_on == said


def test_endpoint_that_opentrain_answered_with_the_id_of_another_is_not_called_deleted() -> None:
    head = head_of(row(endpoint(deleted_at=NOW, opentrain_id=None)))
    assert head.gone == (
        "OpenTrain answered its registration with the ID of another endpoint, so its outcome is unknown"
    )


def test_deleted_endpoint_says_nothing_of_its_health_and_offers_nothing() -> None:
    one = row(endpoint(deleted_at=NOW), failed=2)
    assert head_of(one, told="More failed.", silence_words="Silent.") == Head(
        "", "", (), gone="OpenTrain no longer has this endpoint: it was deleted"
    )
    assert labels(head_of(one, user=VIEWER).controls) == [("Signature doctor", "")]


@pytest.mark.parametrize(
    ("failures", "silence", "words"),
    [
        (0, "", "No consecutive failures."),
        (0, "Nothing came.", "Nothing came."),
        (3, "", "3 of 10 consecutive failures."),
        (3, "Nothing came.", "3 of 10 consecutive failures. Nothing came."),
    ],
)
def test_going_on_says_what_matters(failures: int, silence: str, words: str) -> None:
    assert head_of(row(endpoint(consecutive_failures=failures)), silence_words=silence).going_on == words


@pytest.mark.parametrize(
    ("fields", "is_first_page", "words", "can_try"),
    [
        ({}, False, "No older deliveries.", False),
        ({"deleted_at": NOW}, True, "No delivery has arrived.", False),
        ({"status": "DISABLED"}, True, "No delivery has arrived yet, and none will until", True),
        ({}, True, "No deliveries yet. OpenTrain sends one when", True),
    ],
)
def test_no_delivery_says_why(fields: dict[str, Any], is_first_page: bool, words: str, can_try: bool) -> None:
    found = no_deliveries(row(endpoint(**fields)), is_first_page=is_first_page)
    assert found is not None
    assert found.words.startswith(words)
    assert found.can_try is can_try


def test_no_delivery_of_an_endpoint_that_is_not_received_is_another_matter() -> None:
    assert no_deliveries(row(endpoint(receiver_key=None)), is_first_page=True) is None
