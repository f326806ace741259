"""How requests come to the receiver. Their bodies are read in test_server.py, over real connections."""

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from dashboard.receiver.bodies import is_refused_as_plain, is_secure


@pytest.mark.parametrize(
    ("behind", "said", "is_it"),
    [(True, "https", True), (True, "http", False), (True, "", False), (False, "https", False)],
)
def test_scheme_is_the_trusted_proxys_word(behind: bool, said: str, is_it: bool, settings: Any) -> None:
    settings.BEHIND_PROXY, settings.SECURE_SSL_REDIRECT = behind, True
    request = make_mocked_request("POST", "/", headers={"X-Forwarded-Proto": said})
    assert is_secure(request) is is_it
    assert is_refused_as_plain(request) is not is_it


def test_plain_requests_are_taken_without_https(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    assert not is_refused_as_plain(make_mocked_request("POST", "/"))
