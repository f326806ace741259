"""What paths are for."""

import pytest

from dashboard.rules.site_paths import is_for_programs, is_observations, receiver_key


@pytest.mark.parametrize("path", ["/hooks/a", "/hooks/a/", "//hooks/a", "/hooks//a/", "/hooks/a//", "///hooks/a"])
def test_key_is_found_whatever_the_slashes(path: str) -> None:
    assert receiver_key(path) == "a"
    assert is_for_programs(path)


@pytest.mark.parametrize("path", ["/hooks", "/hooks/", "/hooks/a/b", "/hooked/a", "/x/hooks/a", "hooks/a", "/"])
def test_other_paths_have_no_key(path: str) -> None:
    assert receiver_key(path) is None


@pytest.mark.parametrize(
    ("path", "is_it"),
    [
        ("/api/v1/observations", True),
        ("//api//v1/observations//", True),
        ("/api/v1/observations/x", False),
        ("/api/v1", False),
    ],
)
def test_observations(path: str, is_it: bool) -> None:
    assert is_observations(path) is is_it
    assert is_for_programs(path)


@pytest.mark.parametrize("path", ["/", "/hooksy", "/apiary/", "/accounts/login/", "/installs/"])
def test_pages_are_not_for_programs(path: str) -> None:
    assert not is_for_programs(path)
