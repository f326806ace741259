"""Reports from the rows: whole IDs, what people did, what is not known, and no secret."""

import re
from datetime import timedelta

import pytest

from dashboard.models import Endpoint, EndpointSnapshot, Run, RunItem, RunStep
from dashboard.presenters.reports import report_of_delivery, report_of_endpoint, report_of_run
from dashboard.queries import reports
from dashboard.queries.inbox import with_log, with_open_alerts
from dashboard.rules.reports import Report
from tests.factories import (
    NOON,
    SECRET,
    make_alert,
    make_attempt,
    make_delivery,
    make_endpoint,
    make_entry,
    make_failed_delivery,
    make_install,
    make_run,
)

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
NOW = NOON + 10 * MINUTE
HOSTILE = f"<script>alert(1)</script> \u202e {SECRET} https://a.example/?token=t0ken"


def lines(report: Report, title: str) -> tuple[str, ...]:
    return next((one.lines for one in report.sections if one.title == title), ())


def facts(report: Report) -> dict[str, str]:
    return {one.name: one.value for one in report.facts}


def make_item(run: Run, *, position: int, state: str, **columns: object) -> RunItem:
    delivery = make_failed_delivery(endpoint=run.endpoint)
    made = {"opentrain_id": delivery.opentrain_id, "event_type": "contract.ended", "delivery": delivery}
    return RunItem.objects.create(run=run, position=position, state=state, **made | columns)


def endpoint_of(endpoint: Endpoint) -> Endpoint:
    rows = with_open_alerts(with_log(Endpoint.objects.select_related("install"), retried_since=NOON))
    return rows.get(pk=endpoint.pk)


def test_report_of_a_run_is_made_from_its_rows() -> None:
    endpoint = make_endpoint(
        install=make_install(name="Acme Labs"), handler_url="https://acme.example/hooks", name="Billing"
    )
    counts = {"delivered": 1, "failed_again": 1, "waiting": 1}
    run = make_run(
        endpoint=endpoint,
        state="stopped",
        created_at=NOON,
        ended_at=NOON + 9 * MINUTE,
        counts=counts,
        note="ticket 4711",
        why="Stopped by paul.",
    )
    for position, state in enumerate(("delivered", "failed_again", "waiting")):
        item = make_item(run, position=position, state=state, words="handler returned 503", settled_at=NOON + MINUTE)
        make_attempt(delivery=item.delivery, ok=False, cause="status", answered_status=502, received_at=NOON - MINUTE)
    failed = run.items.get(position=1)
    RunStep.objects.create(run=run, name="probe", began_at=NOON, ended_at=NOON + MINUTE, words="It responds.")
    make_entry(endpoint=endpoint, action="pause run", actor_name="paul", at=NOON + 2 * MINUTE)
    make_entry(endpoint=endpoint, action="stop run", actor_name="paul", at=NOON + 9 * MINUTE)
    report = report_of_run(run, now=NOW)
    assert report.headline == "Stopped: 1 of 3 delivered, 1 failed again, 1 not requested."
    assert facts(report)["Customer"] == "Acme Labs"
    assert facts(report)["Endpoint"] == "Billing"
    assert facts(report)["Endpoint URL"] == "https://acme.example/hooks"
    assert facts(report)["Endpoint ID"] == endpoint.opentrain_id
    assert facts(report)["Run"].endswith(f"/runs/{run.pk}/")
    assert lines(report, "Cause") == ("The last attempts before the run: 3 deliveries: handler returned 502.",)
    assert lines(report, "Who did what") == (
        "2026-06-12 12:00:00 UTC: ana started the run.",
        "2026-06-12 12:01:00 UTC: Check the handler: It responds.",
        "2026-06-12 12:02:00 UTC: paul paused the run.",
        "2026-06-12 12:09:00 UTC: paul stopped the run.",
    )
    assert lines(report, "Deliveries without success")[0] == (
        f"{failed.opentrain_id} contract.ended: failed again (handler returned 503), 2026-06-12 12:01:00 UTC"
    )
    assert len(lines(report, "Deliveries without success")) == 2  # and the one that was not requested
    assert lines(report, "What is missing or not known")[0].startswith("Not known, because this token lacks")


def test_report_of_an_active_run_lists_no_delivery_that_may_still_succeed() -> None:
    run = make_run(state="paused", ended_at=None, why="Paused by ana.", counts={"waiting": 1, "requested": 1})
    make_item(run, position=0, state="requested")
    make_item(run, position=1, state="waiting")
    report = report_of_run(run, now=NOW)
    assert lines(report, "Deliveries without success") == ()
    assert facts(report)["Ended"] == "not ended"
    assert "Paused: Paused by ana." in lines(report, "Outcome")
    assert lines(report, "What is missing or not known")[0].startswith("The run has not ended")


def test_report_says_when_the_endpoint_was_disabled_before_the_run() -> None:
    endpoint = make_endpoint(status="DISABLED", consecutive_failures=10, disabled_at=NOON)
    run = make_run(endpoint=endpoint, state="running", ended_at=None)
    [said] = lines(report_of_run(run, now=NOW), "Cause")
    assert said.startswith("The endpoint was disabled: last seen active at 2026-06-12 1")
    assert said.endswith(", it still is.")


def test_report_of_a_delivery_is_made_from_its_rows() -> None:
    delivery = make_failed_delivery(attempt_count=3, last_attempt_at=NOON + 2 * MINUTE)
    columns = {"delivery": delivery, "ok": False, "cause": "status", "answered_status": 503}
    make_attempt(number=2, received_at=NOON + MINUTE, **columns)
    make_attempt(
        number=3,
        received_at=NOON + 2 * MINUTE,
        handler_url="https://acme.example/hooks",
        handler_status=503,
        answered_in_time=True,
        **columns,
    )
    make_entry(
        endpoint=delivery.endpoint, delivery_id=delivery.opentrain_id, action="redeliver", words="Requested again."
    )
    report = report_of_delivery(delivery, now=NOW)
    assert report.headline == "Failed: the last of 3 attempts failed at 2026-06-12 12:02:00 UTC."
    assert facts(report)["Delivery ID"] == delivery.opentrain_id
    assert facts(report)["Page"].endswith(f"/deliveries/{delivery.pk}/")
    assert lines(report, "Cause") == ("2 attempts: handler returned 503. Check the handler's logs for this period.",)
    assert lines(report, "Attempts") == (
        "1 attempt before these.",
        (
            "2026-06-12 12:01:00 UTC: handler returned 503, in 12 ms. "
            "Redeliver answered 503. Whether OpenTrain got that in time is not known."
        ),
        (
            "2026-06-12 12:02:00 UTC: handler returned 503, in 12 ms. "
            "The handler returned 503; OpenTrain got the same in time."
        ),
    )
    assert lines(report, "Who did what") == ("2026-06-12 12:00:00 UTC: ana: redeliver. Requested again.",)


def test_report_of_a_delivery_gives_no_advice_about_what_is_over() -> None:
    delivery = make_delivery(attempt_count=2)
    make_attempt(delivery=delivery, number=1, ok=False, cause="timeout", received_at=NOON - MINUTE, source="observed")
    make_attempt(delivery=delivery, number=2)
    report = report_of_delivery(delivery, now=NOW)
    assert lines(report, "Cause") == (f"1 attempt: {lines(report, 'Attempts')[0].split(': ', 1)[1].split(', as')[0]}.",)
    assert lines(report, "Attempts")[0].endswith(", as the handler reports.")


def test_report_of_an_endpoint_is_made_from_its_rows() -> None:
    endpoint = make_endpoint(
        status="DISABLED", consecutive_failures=10, disabled_at=NOON, disabled_reason="Too many failures"
    )
    make_failed_delivery(endpoint=endpoint)
    make_alert(endpoint=endpoint, kind="signatures", words="Signatures do not verify.")
    make_entry(endpoint=endpoint, actor_name="paul")
    make_entry(endpoint=endpoint, action="redeliver in a run")  # the run tells of it
    run = make_run(endpoint=endpoint, why="1 of 1 delivered in 9 s.", ended_at=NOW)
    report = report_of_endpoint(endpoint_of(endpoint), now=NOW)
    assert report.headline.startswith(
        "Disabled since 2026-06-12 12:00:00 UTC, by OpenTrain's clock: OpenTrain disabled"
    )
    assert lines(report, "Cause")[0] == "OpenTrain's reason: “Too many failures”"
    assert lines(report, "Cause")[1].startswith("1 delivery failed: handler returned 503, received at 2026-06-12 12:00")
    assert lines(report, "Open alerts")[0].endswith(": Signatures do not verify.")
    assert lines(report, "Who did what") == ("2026-06-12 12:00:00 UTC: paul: re-enable endpoint. Re-enabled.",)
    assert lines(report, "Outcome")[0].startswith(f"Recovery {run.pk}, started by ana at 2026-06-12 12:00:00 UTC: 1 of")
    assert lines(report, "Outcome")[1] == "1 delivery in the log is failed and not requested again."
    said = lines(report, "What is missing or not known")
    assert (
        said[0] == "Events since 2026-06-12 11:55:00 UTC may be missing here. "
        "OpenTrain sends nothing while the endpoint is disabled."
    )
    assert said[1].startswith("What contracts did while nothing was sent: not known, because this token lacks")


def test_report_says_of_which_time_events_may_be_missing_and_what_others_received() -> None:
    """The endpoint was disabled for half a minute, four times; another of the install received an event then."""
    install = make_install()
    columns = {"install": install, "event_types": ["milestone.funded"]}
    endpoint, other = (
        make_endpoint(stopped_seen_at=NOON + 9 * MINUTE, **columns),
        make_endpoint(name="Audit", **columns),
    )
    for minute in (0, 4, 8, 9):
        status = {"status": "DISABLED", "consecutive_failures": 10}
        for at, state in ((minute, status), (minute + 0.5, {"status": "ACTIVE", "consecutive_failures": 0})):
            EndpointSnapshot.objects.create(endpoint=endpoint, at=NOON + at * MINUTE, **state)
    make_delivery(endpoint=other, event_type="milestone.funded", first_received_at=NOON + 9.2 * MINUTE)
    run = make_run(endpoint=endpoint, created_at=NOON + 9.4 * MINUTE, ended_at=NOW)
    received = "Audit: 1 milestone.funded. It is not in this endpoint's log."
    for report in (report_of_run(run, now=NOW), report_of_endpoint(endpoint_of(endpoint), now=NOW)):
        said = lines(report, "What is missing or not known")
        assert any(
            re.match(
                r"Events (at|between) 2026-06-12 12:0[89]:\d\d UTC.* may be missing here\. It was disabled then\.", one
            )
            for one in said
        )
        assert any(one.startswith("Received by") and one.endswith(received) for one in said)
        assert not re.search(r"(?<!\d\d\d\d-\d\d-\d\d )(?<!:)\b\d\d:\d\d", report.plain)  # no time without its date
        assert "ago" not in report.plain
    assert "1 earlier time is on the endpoint's page." in said


def test_report_of_an_endpoint_does_not_pass_over_what_is_not_delivered_yet() -> None:
    endpoint = make_endpoint(consecutive_failures=4)
    for _ in range(4):
        make_delivery(endpoint=endpoint, last_ok=False, last_cause="status", last_status=503)
    make_delivery(endpoint=endpoint, requested_at=NOON)
    make_delivery(endpoint=endpoint)
    report = report_of_endpoint(endpoint_of(endpoint), now=NOW)
    assert lines(report, "Outcome") == (
        "No failed delivery is in the log.",
        "5 deliveries in the log are not delivered yet: 4 to be retried, 1 requested again.",
    )


def test_report_of_an_endpoint_without_a_log_claims_nothing_of_deliveries() -> None:
    endpoint = make_endpoint(receiver_key=None, install=make_install(last_error="OpenTrain did not respond."))
    report = report_of_endpoint(endpoint_of(endpoint), now=NOW)
    assert lines(report, "Outcome") == ()
    assert lines(report, "What is missing or not known") == (
        "Redeliver does not see this endpoint's deliveries: OpenTrain knows which failed.",
        "Redeliver could not read this install from OpenTrain last time: OpenTrain did not respond.",
    )


def test_report_of_what_can_no_longer_be_repaired_here_says_so() -> None:
    install = make_install(disconnected_at=NOON + 2 * MINUTE, disconnected_by_name="ana")
    left = make_endpoint(install=install, status="DISABLED", consecutive_failures=10, disabled_at=NOON)
    report = report_of_endpoint(endpoint_of(left), now=NOW)
    assert report.headline.startswith("Disconnected: ")
    said = (
        "ana disconnected this install from Redeliver at 2026-06-12 12:02:00 UTC: "
        "nothing is known of its endpoints since then."
    )
    of_run = report_of_run(make_run(endpoint=left, created_at=NOON), now=NOW)
    of_delivery = report_of_delivery(make_failed_delivery(endpoint=left), now=NOW)
    for one in (report, of_run, of_delivery):
        assert said in lines(one, "What is missing or not known")
    deleted = report_of_delivery(make_failed_delivery(endpoint=make_endpoint(deleted_at=NOON)), now=NOW)
    not_here = "Failed: OpenTrain does not retry it automatically. It cannot be redelivered: "
    assert lines(of_delivery, "Outcome") == (f"{not_here}its install is disconnected from Redeliver.",)
    assert lines(deleted, "Outcome") == (f"{not_here}OpenTrain no longer has its endpoint.",)


def test_report_of_a_run_says_of_how_many_deliveries_it_tells_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(created_at=NOON)
    for position in range(3):
        item = make_item(run, position=position, state="waiting")
        make_attempt(delivery=item.delivery, ok=False, cause="status", answered_status=502, received_at=NOON - MINUTE)
    monkeypatch.setattr(reports, "LOOKED_AT", 2)
    assert lines(report_of_run(run, now=NOW), "Cause") == (
        "The last attempts before the run, of its first 2 deliveries: 2 deliveries: handler returned 502.",
    )
    monkeypatch.setattr(reports, "LOOKED_AT", 3)
    [said] = lines(report_of_run(run, now=NOW), "Cause")
    assert said == "The last attempts before the run: 3 deliveries: handler returned 502."


def test_no_report_holds_a_secret_or_markup_that_runs() -> None:
    endpoint = make_endpoint(install=make_install(name=HOSTILE), disabled_reason=HOSTILE, status="DISABLED")
    run = make_run(
        endpoint=endpoint, note=HOSTILE, chosen=HOSTILE, why=HOSTILE, quoted=HOSTILE, actor_name=HOSTILE[:99]
    )
    make_item(run, position=0, state="refused", words=HOSTILE, event_type=HOSTILE[:99])
    delivery = make_failed_delivery(endpoint=endpoint, event_type=HOSTILE[:99], event_id=HOSTILE)
    made = [report_of_run(run, now=NOW), report_of_delivery(delivery, now=NOW)]
    for report in [*made, report_of_endpoint(endpoint_of(endpoint), now=NOW)]:
        for text in (report.plain, report.markdown):
            assert SECRET[6:] not in text
            assert "t0ken" not in text
            assert str(endpoint.receiver_key) not in text
            assert "\u202e" not in text
        assert r"\<script\>" in report.markdown
