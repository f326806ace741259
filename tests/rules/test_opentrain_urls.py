"""Addresses that OpenTrain accepts."""

import pytest

from dashboard.rules.opentrain_urls import is_delivered_to, is_same_place


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://acme.example.com/hook", True),
        ("http://localhost:8000/hook", True),
        ("http://127.0.0.1/hook", True),
        ("http://acme.example.com/hook", False),
        ("ftp://acme.example.com/", False),
        ("http://[broken", False),
        ("", False),
    ],
)
def test_https_and_http_for_this_machine_alone(url: str, accepted: bool) -> None:
    assert is_delivered_to(url) is accepted


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ("https://acme.example.com/hook", True),
        ("https://ACME.example.com:443/hook/", True),
        ("https://acme.example.com/Hook", False),
        ("https://acme.example.com:8443/hook", False),
        ("http://acme.example.com/hook", False),
        ("https://acme.example.com/hook?to=a", False),
        ("https://[broken", False),
        ("", False),
    ],
)
def test_same_place_is_the_same_host_port_path_and_query(other: str, same: bool) -> None:
    assert is_same_place("https://acme.example.com/hook", other) is same


def test_address_that_cannot_be_read_is_the_same_as_itself() -> None:
    assert is_same_place("https://[broken", "https://[broken")
