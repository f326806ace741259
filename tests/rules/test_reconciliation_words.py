"""Verdicts in words: one sentence, what it means, what to do, and a label for tables."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from dashboard.rules.reconciliation_facts import Consequence, Event, Kind, Reason, Verdict
from dashboard.rules.reconciliation_words import Words, label, words

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
ENDED_AT = NOON - 5 * HOUR
WHY_MISSING = [
    Reason.REGISTERED_AFTER,
    Reason.NOT_SUBSCRIBED,
    Reason.DISABLED,
    Reason.PAUSED,
    Reason.LINKED_AFTER,
    Reason.NO_LINK,
    Reason.INSTALL_NOT_ACTIVE,
    Reason.RECEIVER_AWAY,
    Reason.UNPROVEN,
]
WHY_NOT_KNOWN = [Reason.NO_LOG, Reason.OUT_OF_PATH, Reason.BEFORE_LOG, Reason.STATUS_UNKNOWN, Reason.NOT_LISTED]
VERDICTS = [
    *(Verdict(kind) for kind in Kind if kind not in {Kind.MISSING, Kind.NOT_KNOWN}),
    *(Verdict(Kind.MISSING, reason) for reason in WHY_MISSING),
    *(Verdict(Kind.NOT_KNOWN, reason) for reason in WHY_NOT_KNOWN),
    Verdict(Kind.NOT_SEEN_YET, Reason.NOT_IN_LOG_YET),
    Verdict(Kind.NOT_SEEN_YET, Reason.NOT_SUBSCRIBED),
]


def said(verdict: Verdict, event: Event = Event.ENDED, **more: object) -> Words:
    return words(event=event, verdict=replace(verdict, happened_at=ENDED_AT), now=NOON, **more)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict(Kind.TAKEN, at=NOON - 3 * MINUTE), "Taken 3 min ago"),
        (Verdict(Kind.TAKEN), "Taken"),
        (Verdict(Kind.TAKEN_IN_PART, at=NOON), "Taken for at least one link"),
        (Verdict(Kind.NOT_SEEN_YET, until=NOON.replace(hour=15, minute=48)), "Not seen yet, may come until 15:48 UTC"),
        (Verdict(Kind.NOT_SEEN_YET), "Not seen yet"),
        (Verdict(Kind.NOT_SEEN_YET, Reason.NOT_SUBSCRIBED, until=NOON), "Not seen yet: not subscribed then"),
        (Verdict(Kind.MISSING, Reason.DISABLED), "Missing: disabled then"),
        (Verdict(Kind.NOT_KNOWN, Reason.NO_LOG), "Not known: no log"),
        (Verdict(Kind.FAILED, at=NOON - 2 * HOUR), "Failed 2 h ago"),
        (Verdict(Kind.REQUESTED, at=NOON - 2 * HOUR), "Requested again"),
        (Verdict(Kind.OUT_OF_ORDER, at=NOON), "Out of order"),
        (Verdict(Kind.NOT_DUE), "Not due"),
    ],
)
def test_label_is_short_enough_for_a_table(verdict: Verdict, expected: str) -> None:
    assert label(verdict, now=NOON) == expected


def test_missing_without_proof_says_that_it_is_not_known_why() -> None:
    found = said(Verdict(Kind.MISSING, Reason.UNPROVEN), consequence=Consequence.ACCESS)
    assert found == Words(
        label="Missing: not sent or lost",
        sentence="The contract ended 5 h ago, and no contract.ended arrived: OpenTrain did not send it, or it was lost "
        "on the way. It is not known which.",
        meaning="A person may still have access.",
        advice="Redeliver all failed may bring it. If it does not, hand it over.",
    )
    assert found.full == f"{found.sentence} {found.meaning} {found.advice}"


def test_disabled_then_says_what_may_bring_it() -> None:
    found = said(Verdict(Kind.MISSING, Reason.DISABLED))
    assert (
        found.sentence == "The contract ended 5 h ago, while the endpoint was disabled, and no contract.ended arrived."
    )
    assert found.advice.startswith("Re-enable the endpoint if it is still disabled. Redeliver all failed may bring it.")


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        (NOON + MINUTE, "and the next attempt is expected by 12:01 UTC."),
        (NOON - MINUTE, "and the next attempt has been overdue since 11:59 UTC."),
        (None, "and no attempt has arrived since."),
    ],
)
@pytest.mark.parametrize("kind", [Kind.RETRYING, Kind.REQUESTED])
def test_what_is_on_its_way_says_when_it_is_expected(kind: Kind, until: datetime | None, expected: str) -> None:
    found = said(Verdict(kind, at=NOON - 3 * MINUTE, until=until), consequence=Consequence.ACCESS)
    assert found.sentence.startswith("The handler has not taken contract.ended: ")
    assert found.sentence.endswith(expected)
    assert found.meaning == "Until the handler takes it, a person may still have access."


@pytest.mark.parametrize("verdict", [one for one in VERDICTS if one.kind.is_finding], ids=lambda one: one.kind.value)
def test_a_start_of_a_contract_that_has_ended_is_never_advised(verdict: Verdict) -> None:
    found = said(verdict, Event.STARTED, has_ended=True)
    assert found.advice == "Leave it: the contract has ended, and a start that arrives now may give access back."


def test_an_end_is_advised_also_though_the_contract_has_ended() -> None:
    assert said(Verdict(Kind.FAILED), has_ended=True).advice == "Fix the cause, then redeliver it."


def test_partner_admins_read_of_their_own_handler() -> None:
    found = said(Verdict(Kind.OUT_OF_ORDER, at=NOON - HOUR), handler="your handler")
    assert found.sentence == "Your handler took contract.started 60 min ago, after it had taken contract.ended."
    assert found.meaning.startswith("Your handler may have given access back")
    assert "the handler" not in found.full.lower()


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (("lnk_1",), "This concerns project link lnk_1, not every link of the job."),
        (("a", "b"), "This concerns project links a, b, not every link of the job."),
        (("a", "b", "c", "d", "e"), "This concerns project links a, b, c and 2 more, not every link of the job."),
        (("{name}",), "This concerns project link {name}, not every link of the job."),
    ],
)
def test_what_is_true_of_some_links_names_them(ids: tuple[str, ...], expected: str) -> None:
    assert said(Verdict(Kind.MISSING, Reason.UNPROVEN, link_ids=ids)).sentence.endswith(expected)


def test_what_was_handed_over_is_not_passed_off_as_a_delivery() -> None:
    found = said(Verdict(Kind.TAKEN, at=NOON - 3 * MINUTE, handed_over=True))
    assert found.label == "Handed over 3 min ago"
    assert found.sentence == ("The handler took contract.ended 3 min ago. Redeliver had built it and handed it over.")


def test_a_log_that_is_behind_is_said_where_it_may_change_the_verdict() -> None:
    behind = said(Verdict(Kind.MISSING, Reason.DISABLED, is_log_behind=True)).sentence
    assert behind.endswith("A receiver holds attempts that are not in the log yet, so this may have changed.")
    taken = said(Verdict(Kind.TAKEN, at=NOON - MINUTE, is_log_behind=True)).sentence
    assert taken == "The handler took contract.ended 60 s ago."


def test_nothing_is_due_says_why() -> None:
    not_yet = words(event=Event.ENDED, verdict=Verdict(Kind.NOT_DUE), now=NOON)
    assert not_yet.sentence == "No contract.ended is due: OpenTrain lists the contract as active."
    assert said(Verdict(Kind.NOT_DUE)).sentence == (
        "No contract.ended is due: the endpoint was deleted before the contract ended."
    )


def test_every_verdict_has_a_sentence_of_its_own_that_names_the_event_or_what_happened() -> None:
    for event in Event:
        found = [said(one, event) for one in VERDICTS]
        sentences = [one.sentence for one in found]
        assert len(set(sentences)) == len(sentences)
        assert len({one.label for one in found}) == len(found) - 1  # of a spool, the sentence tells
        for one in sentences:
            assert event.value in one or "The contract" in one
            assert one.endswith(".")
            assert "{" not in one


def test_every_finding_has_advice_and_no_text_has_gaps() -> None:
    for event, one, meant in product(Event, VERDICTS, Consequence):
        found = said(one, event, consequence=meant)
        assert bool(found.advice) or not one.kind.is_finding
        assert "  " not in found.full
        assert "None" not in found.full


def test_nothing_known_of_when_it_happened_says_nothing_of_when() -> None:
    found = words(event=Event.STARTED, verdict=Verdict(Kind.MISSING, Reason.PAUSED), now=NOON)
    assert found.sentence == "The contract started, while the endpoint was paused, and no contract.started arrived."
