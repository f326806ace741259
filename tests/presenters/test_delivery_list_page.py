"""A delivery list's title, and the reason why it is empty."""

from dataclasses import replace
from typing import Any

import pytest

from dashboard.forms import delivery_filters
from dashboard.presenters.delivery_list_page import (
    Again,
    Nothing,
    again,
    causes_heading,
    heading,
    install_of,
    nothing,
    redeliver_address,
    tabs,
)
from dashboard.presenters.redeliverable import Part, Redeliverable
from tests.presenters.rows import NOW, endpoint, install, run


def wanted(**params: str) -> delivery_filters.Filter:
    return delivery_filters.parse(params=params, now=NOW)


@pytest.mark.parametrize(
    ("fields", "params", "is_first", "why", "words"),
    [
        ({}, {}, False, Nothing.BEYOND, "0 deliveries"),
        ({}, {"state": "failed"}, True, Nothing.NO_MATCH, "No matches"),
        ({}, {}, True, Nothing.NONE_YET, "Waiting for the first delivery"),
        ({"receiver_key": None}, {}, True, Nothing.NOT_SEEN, "Not visible to Redeliver"),
        (
            {"receiver_key": None, "observation_key_sha256": "0"}, {}, True, Nothing.NOT_SEEN,
            "Waiting for the first delivery",
        ),
    ],
)  # fmt: skip
def test_empty_list_says_why(
    fields: dict[str, Any], params: dict[str, str], is_first: bool, why: Nothing, words: str
) -> None:
    one = endpoint(**fields)
    assert nothing(endpoint=one, wanted=wanted(**params), is_first_page=is_first) is why
    assert heading(count="0 deliveries", why=why, endpoint=one) == words


def test_list_of_all_that_is_empty_waits() -> None:
    assert nothing(endpoint=None, wanted=wanted(), is_first_page=True) is Nothing.NONE_YET


def test_list_with_rows_says_how_many() -> None:
    assert heading(count="3 deliveries", why=None, endpoint=None) == "3 deliveries"


PREVIEW = "/redeliver/?state=failed"
STOPPED = Part(endpoint(), [], [], obstacle="It is disabled.", helps="recover")
BUSY = Part(endpoint(), [], [], active=run())


@pytest.mark.parametrize(
    ("found", "link"),
    [
        (Redeliverable(1), Again("Redeliver this one…", PREVIEW)),
        (Redeliverable(12, overtaken=3), Again("Redeliver these 12…", PREVIEW)),
        (Redeliverable(None), Again("Redeliver these…", PREVIEW)),
        (Redeliverable(overtaken=2), Again("Redeliver 2 overtaken…", PREVIEW)),
        (Redeliverable(), Again()),
        (Redeliverable(delivered=True), Again("Send delivered ones again…", f"{PREVIEW}&delivered=1")),
        (Redeliverable(4, blocked=(STOPPED,)), Again("Redeliver these 4…", PREVIEW)),
        (Redeliverable(blocked=(STOPPED,)), Again("Recover…", "/endpoints/7/recover/", "It is disabled.", icon="tool")),
        (Redeliverable(blocked=(replace(STOPPED, helps=""),)), Again(help="It is disabled.")),
        (Redeliverable(blocked=(BUSY,)), Again(help="These wait for recovery 9, which is active on the endpoint.")),
        (
            Redeliverable(blocked=(STOPPED, BUSY)),
            Again(help="Nothing can be redelivered now on these 2 endpoints. Open them to see why."),
        ),
    ],
)
def test_link_to_redeliver_says_what_can_be_redelivered_or_why_nothing_can(found: Redeliverable, link: Again) -> None:
    assert again(found, url=PREVIEW) == link


def test_list_of_several_endpoints_says_which_of_them_is_stopped() -> None:
    link = again(Redeliverable(blocked=(STOPPED,)), url=PREVIEW, names_endpoint=True)
    assert link.of == STOPPED.endpoint.short_title != ""


def test_link_to_send_delivered_ones_again_needs_no_filter_in_the_address() -> None:
    assert again(Redeliverable(delivered=True), url="/redeliver/").url == "/redeliver/?delivered=1"


@pytest.mark.parametrize(
    ("params", "address"),
    [
        ({}, "/redeliver/"),
        ({"state": "failed"}, "/redeliver/?state=failed"),
        ({"signature": "refused"}, ""),
        ({"from": "nonsense"}, ""),
    ],
)
def test_only_deliveries_of_a_sound_filter_are_redelivered(params: dict[str, str], address: str) -> None:
    assert redeliver_address("/redeliver/", wanted(**params)) == address


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "What went wrong"),
        ({"from": "24h"}, "What went wrong in this period"),
        ({"state": "failed"}, "What went wrong"),
    ],
)
def test_causes_are_those_of_the_time_that_is_asked_for(params: dict[str, str], words: str) -> None:
    assert causes_heading(wanted(**params)) == words


def test_list_of_an_endpoint_is_not_one_of_its_install() -> None:
    whole = install()
    assert install_of(install=whole, endpoint=None) is whole
    assert install_of(install=whole, endpoint=endpoint()) is None


@pytest.mark.parametrize(
    ("params", "here", "kept"),
    [
        ({}, "All", ""),
        ({"state": "failed"}, "Failed", ""),
        ({"state": "retrying", "event": "contract.ended"}, "Retrying", "event=contract.ended"),
        ({"state": "delivered", "cause": "503"}, "", "cause=status%3A503"),
        ({"signature": "refused", "state": "failed", "from": "24h"}, "Refused", "from=24h"),
        ({"state": "borken"}, "All", ""),
    ],
)
def test_tabs_keep_the_other_filters_and_say_which_is_shown(params: dict[str, str], here: str, kept: str) -> None:
    shown = tabs(url="/deliveries/", wanted=wanted(**params))
    assert [tab.label for tab in shown if tab.here] == [here] * bool(here)
    queries = {tab.label: set(tab.url.partition("?")[2].split("&")) - {""} for tab in shown}
    others = {kept} - {""}
    assert queries == {
        "All": others,
        "Failed": others | {"state=failed"},
        "Retrying": others | {"state=retrying"},
        "Refused": others | {"signature=refused"},
    }


def test_tabs_keep_a_signature_but_not_beside_refused_requests() -> None:
    urls = [tab.url for tab in tabs(url="/d/", wanted=wanted(signature="mismatch"))]
    assert urls == [
        "/d/?signature=mismatch",
        "/d/?state=failed&signature=mismatch",
        "/d/?state=retrying&signature=mismatch",
        "/d/?signature=refused",
    ]
