"""The report of a delivery."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.deliveries import StateKind
from dashboard.rules.delivery_reports import AttemptFacts, DeliveryReportFacts, delivery_report
from dashboard.rules.reports import Subject

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DELIVERY = DeliveryReportFacts(
    delivery_id="dlv_1",
    event_type="contract.ended",
    event_id="evt_1",
    resource_id="con_1",
    subject=Subject("Acme Labs", "ins_1", "Billing", "https://acme.example/hooks", "whe_1"),
    address="https://redeliver.example/deliveries/7/",
    kind=StateKind.DELIVERED,
    first_received_at=NOON,
    last_attempt_at=NOON + MINUTE,
    attempt_count=2,
)


def lines(delivery: DeliveryReportFacts, title: str) -> tuple[str, ...]:
    return next((one.lines for one in delivery_report(delivery, now=NOON).sections if one.title == title), ())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Delivered at 2026-06-12 12:01:00 UTC, after 2 attempts."),
        ({"attempt_count": 1}, "Delivered at 2026-06-12 12:01:00 UTC, after 1 attempt."),
        ({"kind": StateKind.FAILED}, "Failed: the last of 2 attempts failed at 2026-06-12 12:01:00 UTC."),
        (
            {"kind": StateKind.FAILED, "abandoned_at": NOON + 2 * MINUTE},
            (
                "Failed: OpenTrain abandoned it at 2026-06-12 12:02:00 UTC. "
                "The last of 2 attempts was at 2026-06-12 12:01:00 UTC."
            ),
        ),
        ({"kind": StateKind.RETRYING}, "Retrying: the last of 2 attempts failed at 2026-06-12 12:01:00 UTC."),
        (
            {"kind": StateKind.REQUESTED_AGAIN, "requested_at": NOON + 2 * MINUTE},
            (
                "Requested again at 2026-06-12 12:02:00 UTC, not attempted since. "
                "The last of 2 attempts was at 2026-06-12 12:01:00 UTC."
            ),
        ),
        (
            {"kind": StateKind.OVERDUE, "requested_at": NOON + 2 * MINUTE},
            (
                "Overdue: requested again at 2026-06-12 12:02:00 UTC, not attempted since. "
                "The last of 2 attempts was at 2026-06-12 12:01:00 UTC."
            ),
        ),
        (
            {"kind": StateKind.FAILED, "attempt_count": 1},
            "Failed: the only attempt failed at 2026-06-12 12:01:00 UTC.",
        ),
        ({"kind": StateKind.OVERDUE}, "Overdue: the last of 2 attempts failed at 2026-06-12 12:01:00 UTC."),
    ],
)
def test_headline_says_the_state_with_its_time(fields: dict[str, object], words: str) -> None:
    assert delivery_report(replace(DELIVERY, **fields), now=NOON).headline == words


def test_report_has_whole_ids_and_absolute_times() -> None:
    found = delivery_report(replace(DELIVERY, happened_at=NOON - MINUTE), now=NOON)
    facts = {one.name: one.value for one in found.facts}
    assert facts["Delivery ID"] == "dlv_1"
    assert facts["Event ID"] == "evt_1"
    assert facts["Resource ID"] == "con_1"
    assert facts["Event happened"] == "2026-06-12 11:59:00 UTC, by OpenTrain's clock"
    assert facts["First received"] == "2026-06-12 12:00:00 UTC"
    assert {one.name for one in found.facts if one.is_code} >= {"Delivery ID", "Install ID", "Endpoint ID"}
    assert " ago" not in found.plain


def test_report_lists_attempts_and_says_how_many_it_leaves_out() -> None:
    one = AttemptFacts(NOON, "Handler returned 503.")
    assert lines(replace(DELIVERY, attempts=[one], attempt_count=1), "Attempts") == (
        "2026-06-12 12:00:00 UTC: Handler returned 503.",
    )
    assert lines(replace(DELIVERY, attempts=[one], attempt_count=60), "Attempts")[0] == "59 attempts before these."
    assert lines(DELIVERY, "Attempts") == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Delivered: OpenTrain does not attempt it again."),
        ({"kind": StateKind.FAILED}, "Failed: OpenTrain does not retry it automatically. It can be redelivered."),
        (
            {"kind": StateKind.RETRYING, "due_at": NOON, "is_stopped": True},
            "Retrying: nothing is attempted until the endpoint is re-enabled.",
        ),
        (
            {"kind": StateKind.RETRYING, "due_at": NOON},
            "Retrying: the next attempt is due from 2026-06-12 12:00:00 UTC on.",
        ),
        ({"kind": StateKind.OVERDUE}, "Overdue."),
        (
            {
                "kind": StateKind.RETRYING,
                "due_at": NOON,
                "why_not_again": "its install is disconnected from Redeliver.",
            },
            "Retrying when last seen. What became of it is not known: its install is disconnected from Redeliver.",
        ),
    ],
)
def test_outcome_says_what_happens_next(fields: dict[str, object], said: str) -> None:
    assert lines(replace(DELIVERY, **fields), "Outcome") == (said,)


def test_report_says_who_did_what_and_what_is_not_known() -> None:
    one = replace(
        DELIVERY, cause="Handler returned 503.", deeds=[(NOON, "ana: redeliver.")], limits=("The log may lag.",)
    )
    assert lines(one, "Cause") == ("Handler returned 503.",)
    assert lines(one, "Who did what") == ("2026-06-12 12:00:00 UTC: ana: redeliver.",)
    assert lines(one, "What is missing or not known") == (
        "The log may lag.",
        "OpenTrain may have made attempts that did not reach Redeliver.",
    )
