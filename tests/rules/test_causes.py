"""Why an attempt failed, in words."""

import pytest

from dashboard.rules import causes
from dashboard.rules.causes import Cause


@pytest.mark.parametrize(
    ("cause", "status", "words"),
    [
        ("", 204, "delivered (204)"),
        ("", None, "delivered"),
        ("status", 503, "503 from your handler"),
        ("status", None, "an error from your handler"),
        ("timeout", 504, "no answer from your handler within 9.5 s"),
        ("refused", 502, "connection refused by your handler"),
        ("tls", 502, "TLS failed: no secure connection to your handler"),
        ("sunspots", 502, "sunspots"),
    ],
)
def test_describe_cause_says_it_in_plain_words(cause, status, words) -> None:
    assert causes.describe_cause(cause=cause, status=status) == words


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause])
def test_describe_cause_has_words_of_its_own_for_every_cause(cause) -> None:
    assert causes.describe_cause(cause=cause, status=502) != cause.value


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in {Cause.NONE, Cause.STATUS}])
def test_cause_has_words_for_any_server_too(cause) -> None:
    words = causes.no_answer_words(cause)
    assert words not in {"", cause.value}
    assert "handler" not in words


def test_stored_values_of_causes_never_change() -> None:
    assert sorted(Cause) == [
        "", "address", "busy", "connection", "cut_off", "denied", "dns", "garbled", "refused", "status", "timeout",
        "tls", "too_large",
    ]  # fmt: skip
