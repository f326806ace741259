"""Addresses that OpenTrain accepts."""

import pytest

from dashboard.rules.opentrain_urls import is_delivered_to


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
