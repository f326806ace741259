"""The texts of alerts; text from outside stays plain text in mail, chat and JSON."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dashboard.rules.alert_messages import (
    LISTED,
    NEXT_STEPS,
    End,
    Item,
    Message,
    closing_words,
    email_subject,
    email_text,
    how_it_ends,
    json_body,
    opening_words,
    plain,
    slack_body,
    slack_text,
    stored_end,
)
from dashboard.rules.alerts import AlertEvent, AlertKind

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
ITEM = Item(
    id=7,
    kind=AlertKind.DISABLED,
    events=(AlertEvent.OPENED,),
    install_id=3,
    install="Acme Labs",
    endpoint_id=9,
    endpoint="Billing",
    endpoint_url="https://acme.example.com/hook",
    words="OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped until it is re-enabled.",
    opened_at=NOON,
    cleared_at=None,
    cleared_words="",
    ended_as="",
    address="https://redeliver.example.com/endpoints/9/",
)
OVER = replace(
    ITEM,
    events=(AlertEvent.CLEARED,),
    cleared_at=NOON + timedelta(minutes=14),
    cleared_words="It is no longer disabled by OpenTrain.",
    ended_as="resolved",
)
MESSAGE = Message(id="3f1c", created_at=NOON, items=(ITEM,), address="https://redeliver.example.com/alerts/")


def say(*items: Item, **changes) -> Message:
    return replace(MESSAGE, items=items, **changes)


def test_one_alert_is_told_in_its_subject_and_its_words() -> None:
    assert email_subject(MESSAGE) == ("[Redeliver] Disabled by OpenTrain: Acme Labs, Billing")
    assert email_text(MESSAGE) == (
        "Disabled by OpenTrain: Acme Labs, Billing\n"
        "OpenTrain disabled it after 10 consecutive failures, so deliveries are stopped until it is re-enabled.\n"
        "Endpoint: https://acme.example.com/hook\n"
        "Since 2026-06-12 12:00:00 UTC\n"
        "Next: Repair the handler, then recover the endpoint: https://redeliver.example.com/endpoints/9/\n\n"
        "All alerts and channels: https://redeliver.example.com/alerts/\n"
    )


@pytest.mark.parametrize("kind", list(AlertKind))
def test_message_says_what_to_do_next_with_a_link(kind: AlertKind) -> None:
    item, step = replace(ITEM, kind=kind), NEXT_STEPS[kind]
    assert f"\nNext: {step}: {ITEM.address}\n" in email_text(say(item))
    assert f"<{ITEM.address}|{step}>" in json.loads(slack_body(say(item)))["text"]


def test_all_clear_leads_to_what_happened() -> None:
    assert f"\nSee what happened: {OVER.address}\n" in email_text(say(OVER))
    assert "Next:" not in email_text(say(OVER))
    assert f"<{OVER.address}|See what happened>" in json.loads(slack_body(say(OVER)))["text"]


def test_all_clear_says_how_long_it_lasted() -> None:
    assert email_subject(say(OVER)).startswith("[Redeliver] Resolved after 14 min: Disabled by OpenTrain: Acme Labs")
    text = email_text(say(OVER))
    assert "It is no longer disabled by OpenTrain. It lasted 14 min." in text
    assert "Resolved 2026-06-12 12:14:00 UTC" in text
    assert json.loads(json_body(say(OVER)))["alerts"][0]["lastedSeconds"] == 840


def test_message_of_what_is_over_alone_says_so_in_its_subject() -> None:
    assert email_subject(say(OVER, OVER)) == "[Redeliver] Resolved: 2 alerts"
    assert email_subject(say(OVER, OVER, more=1)) == "[Redeliver] 3 alerts, 2 resolved"


@pytest.mark.parametrize(
    ("stored", "end", "label"),
    [
        ("resolved", End.RESOLVED, "Resolved"),
        ("deleted", End.DELETED, "Endpoint deleted"),
        ("not_known", End.NOT_KNOWN, "Not known"),
        ("", End.NOT_KNOWN, "Not known"),
        ("of_another_release", End.NOT_KNOWN, "Not known"),
    ],
)
def test_end_is_only_called_resolved_where_it_is_known_to_be(stored: str, end: End, label: str) -> None:
    assert (stored_end(stored), stored_end(stored).label) == (end, label)


@pytest.mark.parametrize(
    ("is_gone", "is_left", "end"),
    [
        (False, False, End.RESOLVED),
        (True, False, End.DELETED),
        (False, True, End.NOT_KNOWN),
        (True, True, End.NOT_KNOWN),
    ],
)
def test_only_what_is_still_watched_ends_as_resolved(is_gone: bool, is_left: bool, end: End) -> None:
    assert how_it_ends(is_gone=is_gone, is_left=is_left) is end


def test_end_does_not_hang_on_its_sentence() -> None:
    gone = replace(OVER, cleared_words="Somebody removed the endpoint.", ended_as="deleted")
    assert email_subject(say(gone)).startswith("[Redeliver] Endpoint deleted after 14 min")


def test_alert_of_a_deleted_endpoint_is_not_told_as_resolved() -> None:
    gone = replace(OVER, cleared_words="The endpoint was deleted.", ended_as="deleted")
    assert email_subject(say(gone)).startswith("[Redeliver] Endpoint deleted after 14 min: Disabled by OpenTrain: Acme")
    assert "Endpoint deleted 2026-06-12 12:14:00 UTC" in email_text(say(gone))
    assert "esolved" not in email_text(say(gone))
    assert email_subject(say(OVER, gone)) == "[Redeliver] Ended: 2 alerts"
    assert email_subject(say(ITEM, gone)) == "[Redeliver] 2 alerts, 1 ended"


def test_chat_has_no_green_tick_for_an_end_after_which_events_may_be_missing() -> None:
    text = json.loads(slack_body(say(ITEM, OVER)))["text"]
    assert "check_mark" not in text
    assert ":white_circle: *Resolved after 14 min" in text


def test_messages_name_the_url_once_beside_the_endpoints_name() -> None:
    assert "\nEndpoint: https://acme.example.com/hook\n" in email_text(MESSAGE)
    assert " Endpoint: https://acme.example.com/hook. <" in json.loads(slack_body(MESSAGE))["text"]
    before_names = replace(ITEM, endpoint=ITEM.endpoint_url)
    assert "Endpoint: " not in email_text(say(before_names))
    assert "Endpoint: " not in email_text(say(replace(ITEM, endpoint="", endpoint_url="", endpoint_id=None)))


def test_summary_counts_what_is_over_and_says_that_it_was_held_back() -> None:
    both = replace(OVER, events=(AlertEvent.OPENED, AlertEvent.CLEARED))
    message = say(ITEM, both, held=True, more=5)
    assert email_subject(message) == "[Redeliver] 7 alerts from quiet hours, 1 resolved"
    assert email_text(message).startswith("Held back during quiet hours.\n\n")
    assert "And 5 more." in email_text(message)
    assert "And 5 more." in json.loads(slack_body(message))["text"]


def test_test_says_that_nothing_is_wrong() -> None:
    message = say(test=True)
    assert email_subject(message) == "[Redeliver] Test alert"
    assert "Nothing is wrong" in email_text(message)
    assert json.loads(json_body(message))["type"] == "test"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Acme\r\nBcc: all@example.com", "Acme Bcc: all@example.com"),
        ("a\x00b\x1b[31mc", "a b [31mc"),
        ("a\u2028b\u2029c\x85d\x0be", "a b c d e"),
        ("\u202egnp.exe\u202c \u200b", "⟨U+202E⟩gnp.exe⟨U+202C⟩ ⟨U+200B⟩"),
        ("a\u00a0b", "a⟨U+00A0⟩b"),
        ("  many   blanks ", "many blanks"),
        ("x" * 50, "x" * 19 + "…"),
        ("\ud800", "\ufffd"),
    ],
)
def test_plain_is_one_line_that_is_seen_whole(text, shown) -> None:
    assert plain(text, limit=20 if len(text) == 50 else 100) == shown


def test_plain_of_a_huge_text_is_cut_before_it_is_looked_at() -> None:
    assert len(plain("\n" * 50_000_000, limit=100)) == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<!channel>", "&lt;!channel&gt;"),
        ("<https://evil.example|click>", "&lt;https://evil.example|click&gt;"),
        ("<@U123> & co", "&lt;@\u200bU123&gt; &amp; co"),
        ("@channel [click](https://evil.example)", "@\u200bchannel [click]\u200b(https://evil.example)"),
        ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
    ],
)
def test_slack_text_has_no_mention_and_no_link_of_somebody_elses(text, shown) -> None:
    assert slack_text(text) == shown


def test_slack_body_escapes_every_outside_text_and_keeps_our_own_links() -> None:
    evil = "<!channel> @all [x](https://evil.example)"
    item = replace(OVER, install=evil, endpoint=evil, words=evil, cleared_words=evil)
    for message in (say(item), say(item, ITEM), say(replace(item, events=(AlertEvent.OPENED,)))):
        text = json.loads(slack_body(message))["text"]
        assert "<!" not in text
        assert "@all" not in text
        assert "](" not in text
        assert text.count("<") == len(message.items) + 1  # one link per alert, and one to all alerts
        assert "<https://redeliver.example.com/alerts/|All alerts>" in text


def test_json_body_is_what_the_readme_says() -> None:
    assert json.loads(json_body(MESSAGE)) == {
        "id": "3f1c",
        "type": "alerts",
        "apiVersion": "v1",
        "createdAt": "2026-06-12T12:00:00.000Z",
        "text": "Disabled by OpenTrain: Acme Labs, Billing",
        "heldBack": False,
        "more": 0,
        "url": "https://redeliver.example.com/alerts/",
        "alerts": [
            {
                "id": 7,
                "kind": "disabled",
                "events": ["opened"],
                "title": "Disabled by OpenTrain",
                "words": ITEM.words,
                "clearedWords": "",
                "install": {"id": 3, "name": "Acme Labs"},
                "endpoint": {"id": 9, "name": "Billing", "url": "https://acme.example.com/hook"},
                "openedAt": "2026-06-12T12:00:00.000Z",
                "clearedAt": None,
                "lastedSeconds": None,
                "url": "https://redeliver.example.com/endpoints/9/",
            }
        ],
    }


def test_alert_of_redeliver_itself_has_no_install_in_json() -> None:
    own = replace(ITEM, kind=AlertKind.LOG_LAGS, install_id=None, install="Redeliver", endpoint_id=None, endpoint="")
    [alert] = json.loads(json_body(say(own)))["alerts"]
    assert (alert["kind"], alert["install"], alert["endpoint"]) == ("log_lags", None, None)


def test_alert_that_is_told_late_is_told_as_it_began() -> None:
    late = replace(OVER, events=(AlertEvent.OPENED,))
    assert email_subject(say(late)) == email_subject(MESSAGE)
    assert json.loads(json_body(say(late)))["alerts"][0]["clearedAt"] is None


def test_biggest_message_stays_small() -> None:
    item = replace(ITEM, install="ä" * 120, endpoint="ä" * 120, words="ä" * 1200)
    message = say(*[item] * LISTED)
    assert max(len(json_body(message)), len(slack_body(message)), len(email_text(message).encode())) < 150_000


def test_words_quote_opentrain_and_are_capped() -> None:
    assert opening_words(sentences=["It is so.", ""], said="10 failures\r\n\r\nin a row") == (
        "It is so. OpenTrain: “10 failures in a row”"
    )
    assert len(opening_words(sentences=["x" * 5000], said="y" * 5000)) == 1200


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_says_what_ended_it(kind) -> None:
    assert closing_words(kind=kind, end=End.RESOLVED, now_says="Now it is Active.").endswith(". Now it is Active.")
