"""Whether a URL is an address of the receiver, and whether it carries the endpoint's key."""

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.rules.receiver_urls import KEY_CHARS, key_at_end, key_in, leads_to, whole_key

HERE = "https://redeliver.example.com"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (f"{HERE}/hooks/abc/", "abc"),
        (f"{HERE}/hooks/abc", "abc"),
        ("https://REDELIVER.example.com:443/hooks/abc/", "abc"),
        (f"{HERE}/hooks/abc/?x=1", "abc"),
        (f"{HERE}/hooks/", ""),
        (f"{HERE}/hooks/a/b/", ""),
        (f"{HERE}/other/abc/", ""),
        ("https://elsewhere.example.com/hooks/abc/", ""),
        ("http://redeliver.example.com/hooks/abc/", ""),
        ("https://redeliver.example.com:8443/hooks/abc/", ""),
        ("https://redeliver.example.com:x/hooks/abc/", ""),
        ("https://[oops/hooks/abc/", ""),
        ("", ""),
    ],
)
def test_key_is_read_from_addresses_of_the_receiver_alone(url: str, key: str) -> None:
    assert key_in(url=url, receiver_url=HERE) == key


def test_receiver_below_a_path_has_its_addresses_there() -> None:
    assert key_in(url="https://a.test/in/hooks/abc/", receiver_url="https://a.test/in/") == "abc"
    assert key_in(url="https://a.test/hooks/abc/", receiver_url="https://a.test/in/") == ""


@pytest.mark.parametrize(
    ("url", "leads"),
    [
        (f"{HERE}/hooks/abc/", True),
        (f"{HERE}/hooks/abc", True),
        ("https://old-name.example.com/below/hooks/abc/", True),  # RECEIVER_URL has changed since
        (f"{HERE}/hooks/abcd/", False),
        (f"{HERE}/abc/", False),
        ("https://acme.example.com/hook", False),
        ("https://[oops/hooks/abc/", False),
    ],
)
def test_url_leads_to_the_key_on_any_host(url: str, leads: bool) -> None:
    assert leads_to(url=url, key="abc") is leads


PIECES = (
    "http://", "https://", "/hooks/", "abc", "/", "?", "#", "a.b", ":8", ":x", "@", "[", "]", ";", " ", "\t", "\n",
    "%61", "é",
)  # fmt: skip


@example(pieces=["https://", "a.b", "?", "/hooks/", "abc"])
@example(pieces=["https://", "a.b", "/", "#", "/hooks/", "abc"])
@example(pieces=["https://", "/hooks/", "abc"])
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=8))
def test_short_way_to_a_plain_urls_path_finds_what_the_parser_finds(pieces: list[str]) -> None:
    url = "".join(pieces)
    try:
        path = urlsplit(url).path
    except ValueError:
        path = ""
    assert leads_to(url=url, key="abc") is path.rstrip("/").endswith("/hooks/abc")


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (f"{HERE}/hooks/abc/", "abc"),
        ("https://proxy.example.com/below/hooks/a_B-9", "a_B-9"),
        ("https://proxy.example.com/%68ooks/%61bc/?a=b#c", "abc"),
        ("https://acme.example.com/hooks/", ""),
        ("https://acme.example.com/hooks/a/b", ""),
        ("https://acme.example.com/hooks/a%00b", ""),
        ("https://acme.example.com/webhooks/abc", ""),
        ("https://[oops/hooks/abc/", ""),
    ],
)
def test_key_at_the_end_is_found_on_any_host(url: str, key: str) -> None:
    assert key_at_end(url=url) == key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a" * KEY_CHARS, "a" * KEY_CHARS),
        (f"https://elsewhere.example.com/hooks/{'a' * KEY_CHARS}/", "a" * KEY_CHARS),
        ("a" * (KEY_CHARS - 1), ""),
        (f"{HERE}/hooks/{'a' * (KEY_CHARS - 1)}", ""),
        (f"{'a' * (KEY_CHARS - 2)} b", ""),
        ("", ""),
    ],
)
def test_only_a_whole_key_is_one(text: str, key: str) -> None:
    assert whole_key(text) == key
