"""What an endpoint's page and lists say about where its deliveries go, and what they offer."""

from datetime import UTC, datetime
from typing import Any

import pytest

from dashboard.models import Endpoint
from dashboard.presenters.delivery_source import delivery_source, outside_words, path_words
from dashboard.rules.receiver_urls import Source
from tests.presenters.rows import SUPPORT, VIEWER, endpoint, labels

DOOR = "https://redeliver.example.com/hooks/key/"
MOVED = {"url": "https://acme.example.com/new", "handler_url": "https://acme.example.com/hook"}
MISLED = MOVED | {"url": "https://redeliver.example.com/hooks/other/"}
CHANGED = {"url_changed_at": datetime(2026, 6, 1, tzinfo=UTC), "url_before": "https://acme.example.com/before"}
CLAIMS = {"receiver_key": None, "url": DOOR}
GONE = endpoint(pk=3, deleted_at=datetime(2026, 6, 1, tzinfo=UTC))
THERE = endpoint(pk=3, handler_url="https://other.example.com/hook")


@pytest.mark.parametrize(
    ("fields", "given", "source", "said", "offered"),
    [
        ({}, {}, Source.RECEIVER, "", []),
        ({"url": DOOR[:-1]}, {}, Source.RECEIVER, "", []),
        ({}, {"never_verified": True}, Source.RECEIVER, "none has passed the signature", ["Enter signing secret…"]),
        ({}, {"lacks_secret": True}, Source.NO_SECRET, "refuses them (503)", ["Rotate secret…"]),
        (MOVED, {}, Source.MOVED, "changed outside Redeliver", ["Deliver through Redeliver again…", "Edit"]),
        (
            MOVED | CHANGED,
            {},
            Source.MOVED,
            "keep the URL",
            ["Deliver through Redeliver again…", "Edit", "Keep this URL"],
        ),
        (MISLED | CHANGED, {}, Source.MOVED, "refuses", ["Deliver through Redeliver again…", "Edit"]),
        ({"receiver_key": None} | CHANGED, {}, Source.DIRECT, "keep the URL", ["Keep this URL"]),
        (MISLED, {}, Source.MOVED, "refuses these deliveries", ["Deliver through Redeliver again…", "Edit"]),
        (CLAIMS, {"owner": GONE}, Source.REMADE, "created outside", ["Enter signing secret…", "Rotate secret…"]),
        (
            CLAIMS,
            {"owner": THERE},
            Source.TAKEN,
            "of another endpoint, other.example.com/hook",
            ["Open the other endpoint", "Edit", "Rotate secret…"],
        ),
        (CLAIMS, {}, Source.STRANGE, "belongs to no endpoint", ["Edit", "Rotate secret…"]),
        ({"receiver_key": None, "observation_key_sha256": "0"}, {}, Source.OBSERVED, "", []),
        ({"receiver_key": None}, {"lacks_secret": True}, Source.DIRECT, "", []),
    ],
)
def test_source_is_named_with_what_is_wrong_and_what_helps(
    fields: dict[str, Any], given: dict[str, Any], source: Source, said: str, offered: list[str]
) -> None:
    facts: dict[str, Any] = {"owner": None, "lacks_secret": False, "never_verified": False} | given
    for user in (SUPPORT, VIEWER):
        found = delivery_source(endpoint(**fields), **facts, user=user)
        assert found.source is source
        assert (found.notice is None) is (said == "")
        if found.notice is not None:
            assert said in found.notice.words
            shown = [label for label, _look in labels(found.notice.controls)]
            assert shown == (offered if user is SUPPORT else [])
            assert found.notice.asks is (user is VIEWER)
            assert found.is_explained_above is bool(found.no_log)
        else:
            assert not found.is_explained_above


def test_notice_of_a_moved_endpoint_names_both_addresses() -> None:
    facts: dict[str, Any] = {"owner": None, "lacks_secret": False, "never_verified": False}
    found = delivery_source(endpoint(**MOVED), **facts, user=SUPPORT)
    assert found.notice is not None
    assert "OpenTrain delivers to https://acme.example.com/new" in found.notice.words
    assert "https://acme.example.com/hook gets nothing through Redeliver." in found.notice.words
    assert found.no_log == "ended: OpenTrain delivers to another URL"


def test_endpoint_that_was_moved_to_a_wrong_address_of_the_receiver_is_not_called_unseen() -> None:
    facts: dict[str, Any] = {"owner": None, "lacks_secret": False, "never_verified": False}
    found = delivery_source(endpoint(**MISLED), **facts, user=SUPPORT)
    assert found.notice is not None
    assert "does not see" not in found.notice.words
    assert "nothing to do" not in found.notice.words
    assert found.notice.tone == "tone-bad"
    assert "directly" not in path_words(endpoint(**MISLED))
    assert outside_words(endpoint(**MISLED)).endswith("so its deliveries are refused.")


def test_receiver_that_has_another_address_now_is_said() -> None:
    facts: dict[str, Any] = {"owner": None, "lacks_secret": False, "never_verified": False}
    there = endpoint(url="https://old-name.example.com/hooks/key/")
    found = delivery_source(there, **facts, user=SUPPORT)
    assert (found.source, found.remark[:36]) == (Source.RECEIVER, "The receiver has another address now")
    assert delivery_source(endpoint(), **facts, user=SUPPORT).remark == ""


def test_deleted_endpoint_needs_no_repair() -> None:
    facts: dict[str, Any] = {"owner": GONE, "lacks_secret": False, "never_verified": False}
    gone = endpoint(**CLAIMS, deleted_at=datetime(2026, 6, 2, tzinfo=UTC))
    assert delivery_source(gone, **facts, user=SUPPORT).notice is None


def test_deleted_endpoint_whose_key_was_taken_over_keeps_its_log() -> None:
    facts: dict[str, Any] = {"owner": None, "never_verified": False, "user": SUPPORT}
    gone = endpoint(receiver_key=None, deleted_at=datetime(2026, 6, 2, tzinfo=UTC))
    assert delivery_source(gone, **facts, lacks_secret=False).no_log == "kept from before the endpoint was deleted"
    assert delivery_source(gone, **facts, lacks_secret=True).no_log == ""


@pytest.mark.parametrize(
    ("one", "path", "outside"),
    [
        (endpoint(), "received through Redeliver", ""),
        (endpoint(**MOVED), "moved outside Redeliver", "Its URL was changed outside Redeliver"),
        (endpoint(**CLAIMS), "set up outside Redeliver", "It was set up outside Redeliver"),
        (endpoint(receiver_key=None, observation_key_sha256="0"), "reported by its handler", ""),
        (endpoint(receiver_key=None), "directly to its own URL", ""),
    ],
)
def test_lists_say_it_in_a_few_words(one: Endpoint, path: str, outside: str) -> None:
    assert path_words(one).startswith(path)
    assert outside_words(one).startswith(outside)
    assert bool(outside_words(one)) is bool(outside)


def test_moved_endpoint_is_known_by_the_url_that_opentrain_delivers_to() -> None:
    assert endpoint(**MOVED).known_as == "https://acme.example.com/new"
    assert endpoint(handler_url="https://acme.example.com/hook").known_as == "https://acme.example.com/hook"
