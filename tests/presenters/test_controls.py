"""Links and buttons that presenters create."""

import uuid

from dashboard.presenters import controls

OPERATION = uuid.UUID("6f1d5f54-28a5-4b5e-9a1f-6a0d4f0a7b11")


def test_enable_answers_on_its_page() -> None:
    button = controls.enable(7, OPERATION)
    assert (button.label, button.url, button.target, button.id) == (
        "Re-enable", "/endpoints/7/enable/", "#answer", "endpoint-enable-7",
    )  # fmt: skip


def test_enable_beside_an_answer_takes_its_place_under_another_id() -> None:
    button = controls.enable(7, OPERATION, target=controls.HERE)
    assert (button.target, button.id) == ("closest [data-answer]", "endpoint-enable-7-again")


def test_first_is_the_look_of_what_helps_first() -> None:
    assert controls.enable(7, OPERATION).first().look == "btn-primary"
    assert controls.enable(7, OPERATION).first(False).look == ""


def test_redeliver_says_how_many_where_that_is_known() -> None:
    assert controls.redeliver_failed(7, OPERATION, failed=3).label == "Redeliver all failed (3)"
    assert controls.redeliver_failed(7, OPERATION).label == "Redeliver all failed"


def test_token_is_replaced_on_the_page_that_knows_for_which_install() -> None:
    assert controls.replace_token(4).url == "/installs/connect/?install=4"
