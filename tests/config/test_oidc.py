"""OpenID Connect settings from the environment, and their errors."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from dashboard.config import oidc

pytestmark = pytest.mark.django_db

GIVEN = {
    "OIDC_ISSUER": "https://id.example.com/",
    "OIDC_CLIENT_ID": "redeliver",
    "OIDC_CLIENT_SECRET": "canary",
}


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [*GIVEN, "OIDC_CLIENT_SECRET_FILE", "OIDC_NAME"]:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_settings_are_read_from_the_environment(environ: pytest.MonkeyPatch, tmp_path: Any) -> None:
    assert oidc.read() is None
    for name, value in GIVEN.items():
        environ.setenv(name, value)
    found = oidc.read()
    assert found is not None
    assert (found.issuer, found.client_secret, found.name) == ("https://id.example.com", "canary", "single sign-on")
    assert "canary" not in repr(found)
    environ.delenv("OIDC_CLIENT_SECRET")
    (tmp_path / "secret").write_text("from a file\n")
    environ.setenv("OIDC_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    found = oidc.read()
    assert found is not None
    assert found.client_secret == "from a file"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"OIDC_ISSUER": ""}, "OIDC_ISSUER is not"),
        ({"OIDC_CLIENT_SECRET": ""}, "must be too"),
        ({"OIDC_ISSUER": "http://id.example.com"}, "must begin with https"),
        ({"OIDC_ISSUER": "http://localhost.evil.example"}, "must begin with https"),
    ],
)
def test_settings_that_are_unsafe_or_half_set_stop_the_start(
    changed: dict[str, str], words: str, environ: pytest.MonkeyPatch
) -> None:
    for name, value in (GIVEN | changed).items():
        environ.setenv(name, value)
    with pytest.raises(ImproperlyConfigured, match=words):
        oidc.read()
