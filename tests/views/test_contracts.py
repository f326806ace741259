"""A contract's page: what it shows, and to whom."""

from dashboard.models import Install, User
from tests.factories import make_contract
from tests.views.conftest import Browser, browser_of


def test_title_from_outside_is_shown_as_text(acme: Install, ana: Browser) -> None:
    contract = make_contract(install=acme, title="<b>Label</b> images")
    assert "&lt;b&gt;Label&lt;/b&gt; images" in ana.read(f"/contracts/{contract.pk}/")


def test_contract_of_another_install_does_not_exist(acme: Install, outsider: User) -> None:
    browser_of(outsider).read(f"/contracts/{make_contract(install=acme).pk}/", status=404)
