"""The report of an endpoint's trouble."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.endpoint_reports import CauseFacts, EndpointFacts, endpoint_report
from dashboard.rules.endpoints import DISCONNECTED, endpoint_health
from dashboard.rules.reports import Subject

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ENDPOINT = EndpointFacts(
    subject=Subject("Acme Labs", "ins_1", "Billing", "https://acme.example/hooks", "whe_1"),
    address="https://redeliver.example/endpoints/7/",
    health=endpoint_health(status="DISABLED", consecutive_failures=10),
    consecutive_failures=10,
    failed=412,
    event_types=("contract.started", "contract.ended"),
    disabled_at=NOON,
    synced_at=NOON + MINUTE,
)

FINE = endpoint_health(status="ACTIVE", consecutive_failures=0)


def lines(endpoint: EndpointFacts, title: str) -> tuple[str, ...]:
    return next((one.lines for one in endpoint_report(endpoint, now=NOON).sections if one.title == title), ())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {},
            (
                "Disabled since 2026-06-12 12:00:00 UTC, by OpenTrain's clock: "
                "OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped until it is "
                "re-enabled. 412 deliveries in the log are failed and not requested again."
            ),
        ),
        (
            {"health": FINE, "disabled_at": None, "failed": 0},
            "Active: No consecutive failures.",
        ),
        (
            {
                "health": FINE,
                "disabled_at": None,
                "failed": 0,
                "requested": 1,
                "lost": ("Events may be missing.", "So."),
            },
            (
                "Active: No consecutive failures. 1 delivery in the log is not delivered yet: 1 requested again. "
                "Events may be missing."
            ),
        ),
        (
            {"deleted_at": NOON},
            "Deleted: OpenTrain no longer lists it. Noticed at 2026-06-12 12:00:00 UTC.",
        ),
    ],
)
def test_headline_says_the_state_and_since_when(fields: dict[str, object], words: str) -> None:
    assert endpoint_report(replace(ENDPOINT, **fields), now=NOON).headline == words


def test_report_has_whole_ids_and_says_what_it_does_not_have() -> None:
    found = endpoint_report(replace(ENDPOINT, event_types=(), synced_at=None), now=NOON)
    assert {one.name: one.value for one in found.facts} == {
        "Customer": "Acme Labs",
        "Install ID": "ins_1",
        "Endpoint": "Billing",
        "Endpoint URL": "https://acme.example/hooks",
        "Endpoint ID": "whe_1",
        "Page": "https://redeliver.example/endpoints/7/",
        "Event types": "none",
        "Consecutive failures": "10",
        "Last synced with OpenTrain": "never",
    }


def test_report_has_each_cause_with_its_time_and_advice() -> None:
    causes = [
        CauseFacts("412 deliveries failed: handler returned 503", NOON, NOON + MINUTE, "Check the handler's logs."),
        CauseFacts("1 request was refused: mismatch", NOON, NOON),
    ]
    assert lines(replace(ENDPOINT, reason="Too many failures", causes=causes), "Cause") == (
        "OpenTrain's reason: “Too many failures”",
        (
            "412 deliveries failed: handler returned 503, received "
            "from 2026-06-12 12:00:00 UTC to 2026-06-12 12:01:00 UTC. Check the handler's logs."
        ),
        "1 request was refused: mismatch, received at 2026-06-12 12:00:00 UTC.",
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ("412 deliveries in the log are failed and not requested again.",)),
        ({"failed": 1}, ("1 delivery in the log is failed and not requested again.",)),
        ({"failed": 0, "outcome": "Recovery 3: done."}, ("Recovery 3: done.", "No failed delivery is in the log.")),
        ({"failed": None}, ()),
        (
            {"failed": 0, "retrying": 4, "requested": 1},
            (
                "No failed delivery is in the log.",
                (
                    "5 deliveries in the log are not delivered yet: 4 to be retried, 1 requested again. "
                    "Nothing is attempted until the endpoint is re-enabled."
                ),
            ),
        ),
        (
            {"failed": 0, "retrying": 1, "health": endpoint_health(status="ACTIVE", consecutive_failures=1)},
            ("No failed delivery is in the log.", "1 delivery in the log is not delivered yet: 1 to be retried."),
        ),
        (
            {"failed": 0, "requested": 1, "health": DISCONNECTED},
            (
                "No failed delivery is in the log.",
                (
                    "1 delivery in the log is not delivered yet: 1 requested again. "
                    "Whether they are attempted is not known."
                ),
            ),
        ),
    ],
)
def test_outcome_claims_only_what_the_log_has(fields: dict[str, object], said: tuple[str, ...]) -> None:
    assert lines(replace(ENDPOINT, **fields), "Outcome") == said


def test_report_says_what_is_missing_or_not_known() -> None:
    lost, limits = ("Nothing was sent since noon.",), ("The log may lag.",)
    beyond = "OpenTrain may have failed deliveries that did not reach Redeliver."
    title = "What is missing or not known"
    assert lines(replace(ENDPOINT, lost=lost, limits=limits), title) == (*lost, *limits, beyond)
    assert lines(replace(ENDPOINT, failed=None), title) == (
        "Redeliver does not see this endpoint's deliveries: OpenTrain knows which failed.",
    )


def test_report_tells_of_alerts_and_of_what_people_did() -> None:
    one = replace(ENDPOINT, alerts=[(NOON, "Disabled.")], deeds=[(NOON, "ana: re-enable endpoint.")])
    assert lines(one, "Open alerts") == ("2026-06-12 12:00:00 UTC: Disabled.",)
    assert lines(one, "Who did what") == ("2026-06-12 12:00:00 UTC: ana: re-enable endpoint.",)
