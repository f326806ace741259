"""The headers that can be sent; all code that sends, stores or shows headers applies the same rule."""

import pytest
from django.db import connection

from dashboard.db.fields import MaskedHeadersField
from dashboard.presenters import curl
from dashboard.rules import headers, receipts
from dashboard.rules.masking import REDACTED
from dashboard.services import handler
from dashboard.services.http.client import exchange

BOUNDS = {"connect_s": 1.0, "read_s": 1.0, "total_s": 1.0, "max_bytes": 1}


@pytest.mark.parametrize("name", ["X-OpenTrain-Event", "a", "!#$%&'*+.^_`|~09azAZ-"])
def test_name_of_the_characters_of_a_token_can_be_sent(name) -> None:
    assert headers.is_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "é", "(a)", "a/b", "a@b", "a\x00"])
def test_name_with_another_character_is_sent_shown_and_passed_on_by_nobody(name) -> None:
    assert not headers.is_name(name)
    assert handler.passed_on(headers=[(name, "value")]) == [("Via", handler.VIA)]
    assert "value" not in curl.command(url="https://acme.example.com/", headers=[(name, "value")], body=b"")
    with pytest.raises(ValueError, match="cannot be sent"):
        exchange(method="GET", url="http://localhost:9", headers=[(name, "value")], body=None, **BOUNDS)


@pytest.mark.parametrize("value", ["", "a b\tc", "\x80\xff"])
def test_value_without_control_characters_can_be_sent(value) -> None:
    assert headers.is_value(value)


@pytest.mark.parametrize("value", ["a\r\nb", "\x00", "\x7f", "Ā"])
def test_value_with_a_control_character_is_sent_and_passed_on_by_nobody(value) -> None:
    assert not headers.is_value(value)
    assert handler.passed_on(headers=[("X-A", value)]) == [("Via", handler.VIA)]
    with pytest.raises(ValueError, match="has a line break"):
        exchange(method="GET", url="http://localhost:9", headers=[("X-A", value)], body=None, **BOUNDS)


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "X-Auth-Token"],
)
def test_credentials_are_neither_kept_nor_shown(name) -> None:
    stored = MaskedHeadersField().get_db_prep_value(receipts.kept([(name, "secret")]), connection)
    assert stored.obj == [[name, REDACTED]]
    assert "secret" not in curl.command(url="https://acme.example.com/", headers=[(name, "secret")], body=b"")


def test_header_is_found_by_its_name_in_any_case() -> None:
    given = [("X-A", "1"), ("x-a", "2"), ("X-B", "3")]
    assert (headers.values_of(given, "x-A"), headers.first_of(given, "X-a")) == (["1", "2"], "1")
    assert (headers.values_of(given, "X-C"), headers.first_of(given, "X-C")) == ([], None)
