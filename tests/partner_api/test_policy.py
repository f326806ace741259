"""The delivery rules, checked against known answers."""

from datetime import timedelta

import pytest

from dashboard.partner_api import policy
from dashboard.partner_api.policy import Cause, Outcome, Rules, Verdict

OPENTRAIN = Rules(
    retry_delays=tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120)),
    disable_after=10,
)
OK = policy.answered(status=200)
BAD = policy.answered(status=503)
SILENT = Outcome(status=None, cause=Cause.TIMEOUT)
TEN_S = timedelta(seconds=10)


def judge(outcome: Outcome, *, tries: int = 1, streak: int = 0, active: bool = True) -> Verdict:
    return policy.judge(outcome=outcome, tries=tries, streak=streak, active=active, rules=OPENTRAIN)


def verdict(*, delivered: bool, minutes: int | None, streak: int, disable: bool = False) -> Verdict:
    retry_in = None if minutes is None else timedelta(minutes=minutes)
    return Verdict(delivered=delivered, retry_in=retry_in, streak=streak, disable=disable)


@pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (299, True), (300, False), (410, False)])
def test_answered_takes_2xx_alone_for_a_success(status: int, ok: bool) -> None:
    assert policy.answered(status=status).ok is ok


@pytest.mark.parametrize(("tries", "minutes"), [(1, 1), (2, 5), (3, 30), (4, 120), (5, None), (6, None)])
def test_judge_follows_the_schedule_and_gives_up_after_the_fifth(tries: int, minutes: int | None) -> None:
    assert judge(BAD, tries=tries) == verdict(delivered=False, minutes=minutes, streak=1)
    assert judge(SILENT, tries=tries) == verdict(delivered=False, minutes=minutes, streak=1)


@pytest.mark.parametrize(
    ("streak", "expected"),
    [
        (8, verdict(delivered=False, minutes=1, streak=9)),
        (9, verdict(delivered=False, minutes=None, streak=10, disable=True)),
        (10, verdict(delivered=False, minutes=None, streak=11, disable=True)),
    ],
)
def test_judge_disables_on_the_tenth_failure_in_a_row(streak: int, expected: Verdict) -> None:
    assert judge(BAD, streak=streak) == expected


def test_judge_sets_the_streak_to_zero_on_success() -> None:
    assert judge(OK, streak=9) == verdict(delivered=True, minutes=None, streak=0)


def test_judge_leaves_the_streak_of_an_inactive_endpoint_alone() -> None:
    assert judge(OK, streak=10, active=False) == verdict(delivered=True, minutes=None, streak=10)
    assert judge(BAD, streak=10, active=False) == verdict(delivered=False, minutes=1, streak=10)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (policy.answered(status=503), "HTTP 503"),
        (SILENT, "no answer within 10 s"),
        (Outcome(status=None, cause=Cause.REFUSED), "connection refused"),
        (Outcome(status=None, cause=Cause.DNS), "the host name could not be resolved"),
        (Outcome(status=None, cause=Cause.TLS), "TLS handshake or certificate failed"),
        (Outcome(status=None, cause=Cause.CONNECTION), "the connection failed"),
    ],
)
def test_disabled_reason_says_how_many_and_why(outcome: Outcome, words: str) -> None:
    assert policy.disabled_reason(outcome, streak=10, timeout=TEN_S) == (
        f"Disabled automatically after 10 consecutive failed delivery attempts. The last one: {words}."
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (300, "5 minutes"), (60, "1 minute"), (61, "2 minutes"), (59, "59 seconds"), (5, "5 seconds"), (1, "1 second"),
        (0.2, "1 second"), (3600, "60 minutes"),
    ],
)  # fmt: skip
def test_approximately_words_a_duration(seconds: float, words: str) -> None:
    assert policy.approximately(timedelta(seconds=seconds)) == words
