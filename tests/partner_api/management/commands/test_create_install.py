"""create_install prints a working token, or says what is wrong."""

import pytest
from django.core.management import CommandError

from dashboard.partner_api.models import Install, Token
from tests.partner_api.conftest import Partner
from tests.partner_api.test_tasks import command


@pytest.mark.urls("dashboard.partner_api.urls")
def test_create_install_prints_one_line_with_a_token_that_works(db: None) -> None:
    [line] = command("create_install", "--organization", "Acme Labs", "--scopes", "contracts:read")
    assert sorted(line) == ["install", "token"]
    answer = Partner(install_id=line["install"], token=line["token"]).call("GET", "/installs/current")
    assert answer.json["install"]["id"] == Install.objects.get().pk
    assert answer.json["install"]["scopes"] == ["contracts:read"]
    assert Token.objects.get().scopes == ["contracts:read"]


def test_create_install_with_an_unknown_scope_says_which_there_are(db: None) -> None:
    with pytest.raises(CommandError, match=r"There is no scope all\. The scopes are project-links:read"):
        command("create_install", "--organization", "Acme", "--scopes", "all")
