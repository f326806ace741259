"""Why there are no results, and the next steps."""

import pytest

from dashboard.presenters import no_results
from dashboard.presenters.no_results import Cause
from tests.presenters.rows import endpoint

URL = "/deliveries/"
KEPT = Cause("Deliveries and refused requests are kept for 90 days.")
INSTALLS = Cause("An endpoint that gets its deliveries directly is not in this log.", "View installs", "/installs/")


@pytest.fixture(autouse=True)
def ninety_days(settings) -> None:
    settings.RETENTION_DAYS = 90


@pytest.mark.parametrize(
    ("used", "causes"),
    [
        ({"event": "contract.ended"}, [Cause("The filter is too narrow.", "Clear all filters", URL)]),
        (
            {"event": "a", "cause": "503"},
            [Cause("The filters are too narrow.", "Clear all filters", URL)],
        ),
        (
            {"state": "failed", "from": "24h"},
            [
                Cause("It was outside the time range.", "Remove the time range", f"{URL}?state=failed"),
                Cause("None is in this state.", "Show all states", f"{URL}?from=24h"),
            ],
        ),
        ({"signature": "refused"}, [Cause("None is in this state.", "Show all states", URL)]),
        (
            {"install": "acme & co"},
            [
                Cause(
                    "The filter takes the whole name of an install, its ID or its number, not a part of it.",
                    "Search installs",
                    "/installs/?q=acme+%26+co",
                ),
                Cause("The filter is too narrow.", "Clear all filters", URL),
            ],
        ),
        (
            {"delivery": "dlv_1&"},
            [
                Cause(
                    "The ID is of something else, or of another install or endpoint.",
                    "Search everywhere",
                    "/search/?q=dlv_1%26",
                )
            ],
        ),
    ],
)
def test_each_filter_in_use_is_a_cause_with_its_next_step(used: dict[str, str], causes: list[Cause]) -> None:
    assert no_results.of_deliveries(url=URL, used=used, endpoint=None) == [*causes, INSTALLS, KEPT]


def test_list_of_a_direct_endpoint_says_that_its_deliveries_are_not_seen() -> None:
    direct = endpoint(receiver_key=None)
    (_, found, kept) = no_results.of_deliveries(url=URL, used={"event": "a"}, endpoint=direct)
    assert found.words == "Deliveries of this endpoint go directly to its URL, so Redeliver does not see them."
    assert (found.url, kept) == (f"/endpoints/{direct.pk}/", KEPT)
    assert len(no_results.of_deliveries(url=URL, used={"event": "a"}, endpoint=endpoint())) == 2


def test_what_is_kept_forever_is_not_a_cause(settings) -> None:
    settings.RETENTION_DAYS = 0
    assert no_results.of_deliveries(url=URL, used={}, endpoint=None) == [INSTALLS]


@pytest.mark.parametrize("sees_all", [True, False])
def test_who_sees_some_installs_only_is_told_so(sees_all: bool) -> None:
    for causes in (
        no_results.of_search(sees_all=sees_all),
        no_results.of_activity(url="/activity/", used={}, sees_all=sees_all),
    ):
        assert any("access to" in cause.words for cause in causes) is not sees_all


def test_contract_may_have_come_since_the_last_read() -> None:
    causes = no_results.of_contracts(url="/installs/1/contracts/", used={"q": "con_1"})
    assert [cause.label for cause in causes] == ["Search everywhere", "", ""]
    assert "one since the last read is not here yet" in causes[1].words
