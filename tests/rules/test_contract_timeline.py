"""The timeline of a contract: which moments there are, by whose clock, in which order, and how many are shown."""

from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.contract_timeline import (
    AttemptFacts,
    Clock,
    ContractTimes,
    DeliveryTimes,
    Handed,
    Moment,
    Refusal,
    Tone,
    of_contract,
    of_delivery,
    of_handovers,
    of_intervals,
    of_links,
    of_periods,
    of_refusals,
    of_registration,
    timeline,
)
from dashboard.rules.reconciliation import Interval, LinkFacts, Period

NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVENTS = ("contract.started", "contract.ended")


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


def said(moments: list[Moment]) -> list[tuple[float, str]]:
    return [((moment.at - NOON) / MINUTE, moment.words) for moment in moments]


def test_contract_that_ended_between_two_reads_says_between_which() -> None:
    times = ContractTimes(
        status="ended",
        created_at=at(0),
        start_date=at(0),
        end_date=at(60),
        first_seen_at=at(5),
        last_seen_at=at(65),
        active_seen_at=at(55),
        ended_seen_at=at(65),
    )
    moments = of_contract(times)
    assert said(moments) == [
        (0, "OpenTrain created the contract."),
        (60, "The contract's end date."),
        (5, "OpenTrain listed it for the first time, as active."),
        (65, "OpenTrain listed the contract as ended for the first time."),
    ]
    assert [moment.clock for moment in moments] == [Clock.OPENTRAIN, Clock.OPENTRAIN, Clock.REDELIVER, Clock.REDELIVER]
    assert moments[3].not_before == at(55)


def test_contract_that_was_first_seen_as_ended_does_not_say_when_it_ended() -> None:
    times = ContractTimes("ended", None, None, None, first_seen_at=at(5), last_seen_at=at(9), ended_seen_at=at(5))
    assert said(of_contract(times)) == [
        (5, "OpenTrain listed it for the first time, already as ended."),
        (9, "OpenTrain last listed it, as ended."),
    ]


def test_contract_that_is_listed_no_longer_says_since_when_at_most() -> None:
    times = ContractTimes("", None, at(1), None, first_seen_at=at(5), last_seen_at=at(9), gone_at=at(12))
    moments = of_contract(times)
    assert said(moments) == [
        (1, "The contract's start date."),
        (5, "OpenTrain listed it for the first time."),
        (12, "A complete list of OpenTrain's lacked the contract."),
    ]
    assert (moments[-1].not_before, moments[-1].tone) == (at(9), Tone.WARN)


def test_link_says_when_it_was_created_seen_and_gone() -> None:
    link = LinkFacts("lnk_1", at(0), first_seen_at=at(2), last_seen_at=at(8), gone_at=at(10))
    assert said(of_links([(link, "Cats")])) == [
        (0, "The project link lnk_1 to Cats was created."),
        (2, "OpenTrain listed the project link lnk_1 for the first time."),
        (10, "OpenTrain's list lacked the project link lnk_1."),
    ]


def test_registration_is_by_opentrains_clock_and_deletion_by_ours() -> None:
    moments = of_registration(place="hook", created_at=at(0), deleted_at=at(9))
    assert said(moments) == [(0, "The endpoint was registered."), (9, "OpenTrain no longer has the endpoint.")]
    assert [moment.clock for moment in moments] == [Clock.OPENTRAIN, Clock.REDELIVER]


def period(minutes: float, **columns: object) -> Period:
    known = {"is_active": True, "event_types": frozenset(EVENTS), "is_received": True, "not_before": at(minutes - 1)}
    return Period(at=at(minutes), **{**known, **columns})  # type: ignore[arg-type]


def test_endpoint_says_only_what_changed_and_between_when() -> None:
    periods = [
        period(0),
        period(10),
        period(20, is_active=False),
        period(25, is_active=False, is_paused=True),
        period(30),
        period(40, event_types=frozenset({"contract.started", "install.revoked"})),
        period(50, is_received=False),
        period(60, is_received=None),
        period(70),
    ]
    moments = of_periods(place="hook", periods=periods[::-1], event_types=EVENTS)
    assert said(moments) == [
        (20, "It was disabled."),
        (25, "It was paused."),
        (30, "It was active again."),
        (40, "It was no longer subscribed to contract.ended."),
        (50, "OpenTrain delivered past Redeliver from here on."),
        (50, "It was subscribed to contract.ended."),
    ]
    assert {moment.at - (moment.not_before or NOON) for moment in moments} == {MINUTE}


def test_endpoint_says_what_kept_events_away_when_its_record_begins() -> None:
    first = period(0, is_active=False, is_received=False, event_types=frozenset({"contract.started"}))
    assert said(of_periods(place="hook", periods=[first], event_types=EVENTS)) == [
        (0, "It was disabled already."),
        (0, "OpenTrain delivered past Redeliver already."),
        (0, "It was not subscribed to contract.ended."),
    ]
    unknown = period(0, event_types=None, is_received=None)
    assert of_periods(place="hook", periods=[unknown], event_types=EVENTS) == []
    assert of_periods(place="hook", periods=[], event_types=EVENTS) == []


def test_delivery_in_the_log_says_each_attempt() -> None:
    facts = DeliveryTimes(
        event_type="contract.ended",
        opentrain_id="dlv_1",
        event_created_at=at(0),
        first_received_at=at(1),
        last_attempt_at=at(6),
        requested_at=at(9),
        pk=7,
        attempts=(
            AttemptFacts(1, at(1), ok=False, cause="status", status=503),
            AttemptFacts(2, at(6), ok=True, status=200, is_reported=True),
        ),
    )
    moments = of_delivery(facts, place="hook")
    assert said(moments) == [
        (0, "contract.ended happened, as the event itself says."),
        (1, "contract.ended (delivery dlv_1), attempt 1: handler returned 503."),
        (6, "contract.ended (delivery dlv_1), attempt 2: delivered (200), as the handler reports."),
        (9, "contract.ended (delivery dlv_1): its redelivery was requested."),
    ]
    assert [moment.delivery for moment in moments] == [None, 7, 7, 7]
    assert [moment.tone for moment in moments] == [Tone.IDLE, Tone.BAD, Tone.OK, Tone.INFO]


def test_delivery_that_retention_took_says_what_the_evidence_has() -> None:
    taken = DeliveryTimes("contract.ended", "dlv_1", at(1), at(6), taken_at=at(6))
    assert said(of_delivery(taken, place="hook")) == [
        (1, "contract.ended (delivery dlv_1) first arrived."),
        (6, "contract.ended (delivery dlv_1): the handler took it."),
    ]
    at_once = DeliveryTimes("contract.ended", "dlv_1", at(1), at(1), taken_at=at(1))
    assert said(of_delivery(at_once, place="hook")) == [(1, "contract.ended (delivery dlv_1): the handler took it.")]
    failed = DeliveryTimes("contract.ended", "dlv_1", at(1), at(6), last_cause="timeout")
    assert said(of_delivery(failed, place="hook")) == [
        (1, "contract.ended (delivery dlv_1) first arrived."),
        (
            6,
            "contract.ended (delivery dlv_1): the last attempt failed: no response from the handler within 9.85 s.",
        ),
    ]


def test_refusals_handovers_and_intervals_say_what_happened() -> None:
    refused = of_refusals([Refusal("contract.ended", at(1), "The signature does not match.")], place="hook")
    assert said(refused) == [(1, "A request that says it is contract.ended was refused. The signature does not match.")]
    handed = of_handovers([Handed("contract.ended", "rdl_1", "ana", at(2), at(3), ok=True, status=200)], place="hook")
    assert said(handed) == [
        (2, "ana handed over a contract.ended that Redeliver built (rdl_1)."),
        (3, "A contract.ended that Redeliver built (rdl_1): delivered (200)."),
    ]
    away = [Interval(at(4), at(5)), Interval(at(6), None)]
    assert said(of_intervals(away, began="No receiver ran.", ended="A receiver ran again.")) == [
        (4, "No receiver ran."),
        (5, "A receiver ran again."),
        (6, "No receiver ran."),
    ]


def test_moments_are_in_order_of_time_each_once_whatever_order_they_came_in() -> None:
    moments = [Moment(at(minute), f"{minute}") for minute in range(9)]
    assert timeline([*moments[::-1], *moments]).moments == tuple(moments)


@pytest.mark.parametrize(("count", "shown", "left_out", "gap_after"), [(0, 0, 0, None), (9, 9, 0, None), (12, 9, 3, 3)])
def test_long_timeline_lacks_its_middle_and_says_so(
    count: int, shown: int, left_out: int, gap_after: int | None
) -> None:
    told = timeline([Moment(at(minute), "x") for minute in range(count)], most=9)
    assert (len(told.moments), told.left_out, told.gap_after) == (shown, left_out, gap_after)
    if left_out:
        assert [(one.at - NOON) / MINUTE for one in told.moments] == [0, 1, 2, 6, 7, 8, 9, 10, 11]


def test_timeline_knows_whether_it_has_two_clocks() -> None:
    ours, theirs = Moment(at(0), "x"), Moment(at(1), "y", clock=Clock.OPENTRAIN)
    assert (timeline([ours]).has_two_clocks, timeline([ours, theirs]).has_two_clocks) == (False, True)


def test_interval_within_a_second_is_a_moment() -> None:
    before, after = period(1), period(2, is_active=False, not_before=at(2) - MINUTE / 100)
    [moment] = of_periods(place="hook-1", periods=[before, after], event_types=EVENTS)
    assert moment.not_before == after.not_before
    brief = period(2, is_active=False, not_before=at(2))
    late = Period(**{**{name: getattr(brief, name) for name in brief.__slots__}, "at": at(2) + MINUTE / 100})
    [moment] = of_periods(place="hook-1", periods=[before, late], event_types=EVENTS)
    assert moment.not_before is None
