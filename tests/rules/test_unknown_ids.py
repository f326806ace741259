"""What is said of an ID that nothing has: never more than was looked through."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dashboard.rules.unknown_ids import Looked, looked_words, meanings, next_steps

NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
ONE = Looked(
    installs=1,
    names=("Acme Labs",),
    reads_every=timedelta(minutes=10),
    kept_days=90,
    oldest_read_at=NOON - timedelta(minutes=4),
    newest_read_at=NOON - timedelta(minutes=4),
    log_since=NOON - timedelta(days=3),
)
MANY = replace(ONE, installs=118, names=("Acme Labs", "Beta Data"), newest_read_at=NOON - timedelta(seconds=9))


def test_one_install_says_as_of_when() -> None:
    assert looked_words(ONE, now=NOON) == (
        "Looked through 1 install: Acme Labs.",
        "Contracts and links were last read 4 min ago.",
        "The delivery log was looked through since its first delivery, 3 days ago.",
    )


def test_many_installs_are_counted_and_the_oldest_read_is_said() -> None:
    assert looked_words(MANY, now=NOON)[:2] == (
        "Looked through 118 installs: Acme Labs, Beta Data and 116 more.",
        "Contracts and links were last read 9 s ago, those of one install 4 min ago.",
    )


def test_what_was_out_of_reach_is_said_with_its_number() -> None:
    assert looked_words(replace(MANY, unread=1, failing=2, cut=3, lacking=4), now=NOON)[2:6] == (
        "Of 1 of these installs, contracts were never read.",
        "Of 4 of these installs, the token may not read contracts or project links.",
        "Of 2 of these installs, the last read failed.",
        "Of 3 of these installs, some contracts were out of reach: OpenTrain lists only the newest.",
    )
    assert "The token may not read contracts or project links." in looked_words(replace(ONE, lacking=1), now=NOON)


def test_contracts_that_were_never_read_prove_nothing() -> None:
    never = replace(ONE, oldest_read_at=None, newest_read_at=None, unread=1, log_since=None)
    assert looked_words(never, now=NOON) == (
        "Looked through 1 install: Acme Labs.",
        "Their contracts and links were never read from OpenTrain, so nothing is known of them.",
        "The delivery log is empty.",
    )


def test_person_without_an_install_is_told_so() -> None:
    none = replace(ONE, installs=0, names=())
    assert looked_words(none, now=NOON) == ("You can see no install, so nothing was looked through.",)


def test_meanings_name_other_installs_without_saying_that_there_are_any() -> None:
    others = "It is of an install that is not among the installs that you can see, or of another partner's app."
    assert others in meanings(ONE)
    everything = "It is of an install that is not connected to Redeliver, or of another partner's app."
    assert everything in meanings(replace(ONE, sees_all=True))


def test_retention_is_a_meaning_only_where_deliveries_are_deleted() -> None:
    deleted = "It is of a delivery that is no longer in the log: deliveries are deleted after 90 days."
    assert deleted in meanings(ONE)
    assert not any("no longer in the log" in words for words in meanings(replace(ONE, kept_days=0)))


def test_next_steps_begin_with_the_id_and_say_when_to_look_again() -> None:
    assert next_steps(ONE)[0] == "Copy the complete ID again, from OpenTrain or from the logs of your handler."
    assert next_steps(ONE)[-1] == "If it is new, look it up again in ten minutes."
    assert len(next_steps(replace(ONE, lacking=1))) == len(next_steps(ONE)) + 1
