"""The headline of an endpoint's page, and the buttons that each role gets."""

from typing import Any

import pytest

from dashboard.presenters.endpoint_page import Head, head, no_deliveries, path_words
from tests.presenters.rows import NOW, SUPPORT, VIEWER, endpoint, install, labels, row, run

REFUSED = {"last_error_code": "token_refused", "last_error": "Refused."}
REDELIVER = "Redeliver all failed"
PREVIEW = "Redeliver failed ones one by one…"


def head_of(one: Any, **given: Any) -> Head:
    return head(**({"row": one, "run": None, "silence_words": "", "told": "", "user": SUPPORT} | given))


def shown(found: Head) -> tuple[str | None, list[str]]:
    """Return the label of the button that is always shown, and of those in the menu."""
    return None if found.primary is None else found.primary.label, [one.label for one in found.more]


def test_at_most_one_button_is_primary_and_it_is_the_one_that_is_shown() -> None:
    for failures, failed, status in ((10, 3, "DISABLED"), (0, 0, "DISABLED"), (3, 2, "ACTIVE"), (0, 0, "ACTIVE")):
        found = head_of(row(endpoint(status=status, consecutive_failures=failures), failed=failed))
        assert all(one.look == "" for one in found.more)
        assert found.primary is None or found.primary.look == "btn-primary"


def test_endpoint_that_is_well_offers_to_redeliver_and_says_that_nothing_failed() -> None:
    found = head_of(row())
    assert (found.primary, labels(found.more)) == (None, [(REDELIVER, "")])
    assert found.help == "None failed here; OpenTrain may have others."
    assert found.has_menu


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
    assert shown(found) == ("Recover…", ["Re-enable", f"{REDELIVER} (3)"])
    assert found.help == "To repair it manually, re-enable, then redeliver: deliveries are stopped until then."


def test_paused_endpoint_is_re_enabled_first() -> None:
    found = head_of(row(endpoint(status="DISABLED", consecutive_failures=0)))
    assert shown(found) == ("Re-enable", [REDELIVER])


def test_failing_endpoint_offers_a_preview_of_what_failed() -> None:
    found = head_of(row(endpoint(consecutive_failures=3), failed=2))
    assert shown(found) == ("Recover…", [f"{REDELIVER} (2)", PREVIEW])


def test_run_that_goes_on_takes_the_recovery_away() -> None:
    found = head_of(row(endpoint(consecutive_failures=3), failed=2), run=run())
    assert shown(found) == (None, [f"{REDELIVER} (2)"])
    assert found.help == ""


def test_run_that_has_ended_leaves_it() -> None:
    found = head_of(row(endpoint(consecutive_failures=3), failed=2), run=run(state="done"))
    assert shown(found)[0] == "Recover…"


def test_token_that_is_refused_is_replaced_first() -> None:
    one = endpoint(status="DISABLED", consecutive_failures=10, install=install(**REFUSED))
    assert shown(head_of(row(one))) == ("Replace token…", ["Recover…", "Re-enable", REDELIVER])


def test_endpoint_that_is_not_registered_yet_has_no_buttons() -> None:
    found = head_of(row(endpoint(opentrain_id=None)))
    assert (shown(found), found.has_menu) == ((None, []), False)


def test_viewer_is_told_whom_to_ask_where_something_is_wrong() -> None:
    ill, well = (head_of(row(endpoint(), failed=failed), user=VIEWER) for failed in (1, 0))
    assert (shown(ill), ill.asks, ill.has_menu) == (("Signature doctor", []), True, False)
    assert (shown(well), well.asks, well.has_menu) == (("Signature doctor", []), False, False)


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
        "", "", gone="OpenTrain no longer has this endpoint: it was deleted"
    )
    assert shown(head_of(one, user=VIEWER)) == ("Signature doctor", [])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "through Redeliver"),
        ({"receiver_key": None}, "direct"),
        ({"receiver_key": None, "observation_key_sha256": "a" * 64}, "direct, reported by the handler"),
    ],
)
def test_path_is_told_in_a_few_words(fields: dict[str, Any], words: str) -> None:
    assert path_words(endpoint(**fields)) == words


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
