"""Contracts, links and their changes: each once per install, and seen only by who may see the install."""

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from dashboard.models import Contract, ContractChange, ProjectLink
from tests.factories import NOON, make_contract, make_grant, make_install, make_link, make_user

pytestmark = pytest.mark.django_db


def test_contract_and_link_are_stored_once_per_install() -> None:
    install = make_install()
    for make, number in ((make_contract, "con_1"), (make_link, "lnk_1")):
        make(install=install, opentrain_id=number)
        make(opentrain_id=number)  # of another install
        with pytest.raises(IntegrityError), transaction.atomic():
            make(install=install, opentrain_id=number)


def test_change_is_one_of_a_contract_or_of_a_link() -> None:
    install = make_install()
    contract, link = make_contract(install=install), make_link(install=install)
    columns = {"install": install, "what": "job", "not_before": NOON, "seen_at": NOON}
    for one in ({"contract": contract}, {"link": link}):
        ContractChange.objects.create(**columns | one)
    for one in ({}, {"contract": contract, "link": link}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ContractChange.objects.create(**columns | one)


def test_change_names_its_field_for_people() -> None:
    assert [ContractChange(what=what).label for what in ("end_date", "gone")] == ["End date", "Gone"]


@pytest.mark.parametrize(("model", "make"), [(Contract, make_contract), (ProjectLink, make_link)])
def test_contract_and_link_are_visible_to_those_who_see_their_install(model: Any, make: Any) -> None:
    row = make()
    admin, other = make_user(role="partner_admin"), make_user(role="partner_admin")
    make_grant(user=admin, install=row.install)
    make_grant(user=other, install=make().install)
    assert list(model.objects.visible_to(admin)) == [row]
    assert row not in model.objects.visible_to(other)
    assert model.objects.visible_to(make_user()).count() == 2
    assert not model.objects.visible_to(make_user(role="")).exists()
