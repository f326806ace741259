"""The result of a run in one sentence, and its report."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.models import Run
from dashboard.rules.reports import Subject
from dashboard.rules.run_reports import LABELS, LISTED, Deed, ItemFacts, RunFacts, StepFacts, headline, run_report
from dashboard.rules.runs import Tally

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RUN = RunFacts(
    number=3,
    kind="Recovery",
    state="done",
    subject=Subject("Acme Labs", "ins_1", "Billing", "https://acme.example/hooks", "whe_1"),
    address="https://redeliver.example/runs/3/",
    file="https://redeliver.example/runs/3/export/?format=csv",
    chosen="all failed deliveries of the endpoint",
    note="ticket 4711",
    started_by="ana",
    started_at=NOON,
    ended_at=NOON + 9 * MINUTE,
    tally=Tally(delivered=2),
    ending="Nothing missing: no event is missing at the handler.",
)


def lines(run: RunFacts, title: str, *, now: datetime = NOON + 10 * MINUTE) -> tuple[str, ...]:
    return next((one.lines for one in run_report(run, now=now).sections if one.title == title), ())


def test_report_of_a_run_that_brought_back_a_part_does_not_call_it_done() -> None:
    found = run_report(replace(RUN, state="done", tally=Tally(delivered=1, failed_again=1), why="1 of 2."), now=NOON)
    assert next(one.value for one in found.facts if one.name == "State") == "Partly done"
    assert lines(replace(RUN, state="done", tally=Tally(failed_again=1), why="0 of 1."), "Outcome")[0] == (
        "Partly done: 0 of 1."
    )


def test_headline_of_the_report_says_that_events_may_be_missing() -> None:
    found = run_report(replace(RUN, lost=("Events at noon may be missing here. It was paused then.", "So.")), now=NOON)
    assert found.headline == "2 of 2 delivered in 9 min. Events at noon may be missing here. It was paused then."


def test_states_are_those_of_runs() -> None:
    assert dict(Run.State.choices) == LABELS


@pytest.mark.parametrize(
    ("state", "tally", "words"),
    [
        ("done", Tally(delivered=412), "412 of 412 delivered in 9 min."),
        ("done", Tally(delivered=1, failed_again=1), "1 of 2 delivered, 1 failed again, in 9 min."),
        ("done", Tally(), "No failed deliveries were known."),
        ("running", Tally(), "Running. No failed deliveries are known."),
        ("running", Tally(waiting=3), "Running: 0 of 3 delivered, 3 not requested."),
        (
            "paused",
            Tally(delivered=2, requested=1, asking=1, waiting=4, left_out=9),
            "Paused: 2 of 8 delivered, 2 awaited, 4 not requested.",
        ),
        (
            "stopped",
            Tally(delivered=1, failed_again=3, refused=1, not_seen=1, unknown=1, waiting=5),
            "Stopped: 1 of 12 delivered, 3 failed again, 1 refused, 2 with unknown outcome, 5 not requested.",
        ),
        ("cancelled", Tally(waiting=1), "Cancelled: 0 of 1 delivered, 1 not requested."),
    ],
)
def test_headline_says_the_result(state: str, tally: Tally, words: str) -> None:
    assert headline(state=state, tally=tally, took=9 * MINUTE) == words


def test_report_has_whole_ids_and_absolute_times() -> None:
    found = run_report(RUN, now=NOON + 10 * MINUTE)
    assert (found.title, found.headline) == ("Recovery 3: Acme Labs", "2 of 2 delivered in 9 min.")
    assert {one.name: one.value for one in found.facts} == {
        "Customer": "Acme Labs",
        "Install ID": "ins_1",
        "Endpoint": "Billing",
        "Endpoint URL": "https://acme.example/hooks",
        "Endpoint ID": "whe_1",
        "Run": "https://redeliver.example/runs/3/",
        "State": "Done",
        "Started": "2026-06-12 12:00:00 UTC, by ana",
        "Ended": "2026-06-12 12:09:00 UTC, after 9 min",
        "Deliveries": "all failed deliveries of the endpoint",
        "Note": "ticket 4711",
    }
    assert " ago" not in found.plain


def test_report_tells_in_order_of_time_who_did_what() -> None:
    steps = [
        StepFacts("Check the handler", NOON, NOON + MINUTE, True, "The handler responds (405 in 3 ms)."),
        StepFacts("Re-enable the endpoint", NOON + MINUTE, NOON + 3 * MINUTE, False, "Refused."),
        StepFacts("One delivery first", NOON + 4 * MINUTE, None, True, ""),
    ]
    run = replace(RUN, steps=steps, deeds=[Deed(NOON + 2 * MINUTE, "paul", "paused the run")])
    assert lines(run, "Who did what") == (
        "2026-06-12 12:00:00 UTC: ana started the run.",
        "2026-06-12 12:01:00 UTC: Check the handler: The handler responds (405 in 3 ms).",
        "2026-06-12 12:02:00 UTC: paul paused the run.",
        "2026-06-12 12:03:00 UTC: Re-enable the endpoint (not done): Refused.",
        "2026-06-12 12:04:00 UTC: One delivery first: began, not ended.",
    )


def test_report_has_cause_numbers_and_what_opentrain_said() -> None:
    run = replace(
        RUN,
        cause="Handler returned 503 (2 deliveries).",
        stopped="Nothing was sent from 11:00 to 12:01.",
        why="2 of 2 delivered in 9 min.",
        quoted="Requeued.",
        request_id="req_1",
        tally=Tally(delivered=2, failed_again=1, left_out=1),
    )
    assert lines(run, "Cause") == ("Handler returned 503 (2 deliveries).", "Nothing was sent from 11:00 to 12:01.")
    assert lines(run, "Outcome") == (
        "Partly done: 2 of 2 delivered in 9 min.",
        "Delivered: 2",
        "Failed again: 1",
        "Left out: 1",
        "OpenTrain's last message: “Requeued.” (request req_1)",
    )


def test_report_names_deliveries_without_success_and_counts_the_others() -> None:
    item = ItemFacts("dlv_1", "contract.ended", "Failed again", "handler returned 503", NOON)
    one = replace(RUN, others=[item], others_count=1)
    assert lines(one, "Deliveries without success") == (
        "dlv_1 contract.ended: failed again (handler returned 503), 2026-06-12 12:00:00 UTC",
    )
    many = lines(replace(RUN, others=[item] * 30, others_count=412), "Deliveries without success")
    assert (len(many), many[-1]) == (
        LISTED + 1,
        "392 more are left out here. All are in https://redeliver.example/runs/3/export/?format=csv",
    )
    assert lines(RUN, "Deliveries without success") == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ("Nothing missing: no event is missing at the handler.",)),
        (
            {"ending": "", "ended_at": None},
            ("The run has not ended: whether events are missing is checked after its end.",),
        ),
        (
            {"ending": "Not known: so.", "tally": Tally(unknown=1)},
            ("Not known: so.", "The outcome of 1 delivery is not known."),
        ),
        (
            {
                "ending": "2 missing: so.",
                "tally": Tally(unknown=1, not_seen=1),
                "lost": ("Events may be missing.",),
                "limits": ("The log may lag.",),
            },
            (
                "2 missing: so.",
                "Events may be missing.",
                "The outcome of 2 deliveries is not known.",
                "The log may lag.",
            ),
        ),
    ],
)
def test_report_says_what_is_missing_or_not_known(fields: dict[str, object], said: tuple[str, ...]) -> None:
    assert lines(replace(RUN, **fields), "What is missing or not known") == said


def test_headline_does_not_hide_what_is_missing() -> None:
    missing = replace(RUN, ending="1 missing: contract.ended of 1 contract.", is_missing=True)
    said = "2 of 2 delivered in 9 min. 1 missing: contract.ended of 1 contract."
    assert run_report(missing, now=NOON).headline == said


def test_report_of_a_run_without_data_is_whole_all_the_same() -> None:
    bare = replace(RUN, state="running", ended_at=None, tally=Tally(), note="", ending="")
    found = run_report(bare, now=NOON).told(hide=str)
    assert found.headline == "Running. No failed deliveries are known."
    assert {one.name for one in found.facts} & {"Note"} == set()
    assert [one.title for one in found.sections] == ["Who did what", "What is missing or not known"]
