"""Renaming endpoints and installs: unique, audited, and unknown to OpenTrain."""

import uuid

import pytest
from django.utils import timezone

from dashboard.actions import audit, names, rotations
from dashboard.models import AuditEntry, Endpoint, Install, Rotation, User
from tests.contract.fake import FakeOpenTrain
from tests.factories import make_endpoint, make_install, make_user

pytestmark = pytest.mark.django_db

HOOK = "https://acme.example.com/hook"


def rename(endpoint: Endpoint, name: str, **given: object) -> Endpoint:
    actor = given.pop("actor", None) or make_user()
    names.rename_endpoint(actor=actor, endpoint=endpoint, name=name, **{"operation": uuid.uuid4()} | given)
    return Endpoint.objects.get(pk=endpoint.pk)


def test_endpoint_gets_a_name_with_an_entry_and_without_a_call(fake_opentrain: FakeOpenTrain) -> None:
    endpoint, actor = make_endpoint(handler_url=HOOK), make_user()
    assert rename(endpoint, "Billing", actor=actor).title == "Billing"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.phase, entry.actor, entry.endpoint_name) == (
        "rename endpoint",
        "done",
        actor,
        "Billing",
    )
    assert entry.words == "The endpoint is called “Billing” now. It was called “acme.example.com/hook” before."
    assert fake_opentrain.calls == []
    assert rename(endpoint, "").title == "acme.example.com/hook"
    words = "The endpoint is called “acme.example.com/hook” now. It was called “Billing” before."
    assert AuditEntry.objects.order_by("-id")[0].words == words


def test_same_name_and_the_same_form_change_nothing() -> None:
    endpoint, form = make_endpoint(name="Billing"), uuid.uuid4()
    rename(endpoint, "Billing")
    assert not AuditEntry.objects.exists()
    rename(endpoint, "Access", operation=form)
    with pytest.raises(audit.NotedBefore):
        rename(endpoint, "Billing", operation=form)
    assert Endpoint.objects.get(pk=endpoint.pk).name == "Access"


@pytest.mark.parametrize("name", ["Billing", "BILLING", "acme.example.com/hook"])
def test_name_of_another_endpoint_of_the_install_is_taken(name: str) -> None:
    install = make_install()
    make_endpoint(install=install, name="Billing")
    make_endpoint(install=install, handler_url=HOOK)
    endpoint = make_endpoint(install=install, handler_url="https://b.example.com/")
    with pytest.raises(
        names.Taken, match=r"Another endpoint of this install is called (Billing|acme.example.com/hook)\."
    ):
        rename(endpoint, name)
    assert (Endpoint.objects.get(pk=endpoint.pk).name, AuditEntry.objects.count()) == ("", 0)


@pytest.mark.parametrize("name", ["Cafe\u0301", "\uff23af\u00e9", "acme.example.com/hook (\u202612ab34)"])
def test_name_that_looks_like_a_title_of_the_install_is_taken(name: str) -> None:
    install = make_install()
    make_endpoint(install=install, name="Caf\u00e9")
    for number in (1, 2):
        make_endpoint(install=install, handler_url=HOOK, opentrain_id=f"whe_{number}12ab3{number + 3}")
    with pytest.raises(names.Taken):
        rename(make_endpoint(install=install), name)


@pytest.mark.parametrize("name", ["acme.example.com/hook", "https://ACME.example.com/hook/", f"{HOOK}?from=us"])
def test_name_that_is_the_address_of_an_endpoint_with_another_name_is_taken(name: str) -> None:
    install = make_install()
    make_endpoint(install=install, name="Billing", handler_url=HOOK)
    with pytest.raises(names.Taken, match=r"has the address acme\.example\.com/hook\. Choose a name that differs"):
        rename(make_endpoint(install=install, handler_url="https://other.example.com/"), name)


def test_name_may_be_the_own_address() -> None:
    assert rename(make_endpoint(handler_url=HOOK), "acme.example.com/hook").title == "acme.example.com/hook"


def test_name_of_a_deleted_endpoint_and_of_another_install_is_free() -> None:
    install = make_install()
    make_endpoint(install=install, name="Billing", deleted_at=timezone.now())
    make_endpoint(name="Billing")
    assert rename(make_endpoint(install=install), "Billing").name == "Billing"


def test_names_tell_identical_urls_apart_without_a_mark() -> None:
    install = make_install()
    one, two = (make_endpoint(install=install, handler_url=HOOK) for _ in range(2))
    assert rename(one, "Billing").title == "Billing"
    two.refresh_from_db()
    assert two.title == "acme.example.com/hook"


def test_both_endpoints_of_a_rotation_may_have_one_name(
    install: Install, support: User, fake_opentrain: FakeOpenTrain
) -> None:
    token = install.token
    made = fake_opentrain.create_endpoint(token=token, url=HOOK, event_types=["contract.ended"])
    old = make_endpoint(install=install, opentrain_id=made.endpoint.id, receiver_key=None, url=HOOK, name="Billing")
    rotations.start(actor=support, old=old, clock=timezone.now, operation=uuid.uuid4())
    new = Rotation.objects.get().new
    assert (new.name, new.title) == ("Billing", "Billing (new secret)")
    assert rename(new, "Access").title == "Access (new secret)"
    assert rename(new, "Billing").title == "Billing (new secret)"


def test_install_gets_a_name_and_without_one_its_organization(fake_opentrain: FakeOpenTrain) -> None:
    install, actor = make_install(name="Acme", organization_id="org_7"), make_user()
    for name in ("Acme Labs", "Acme Labs", ""):
        names.rename_install(actor=actor, install=install, name=name, operation=uuid.uuid4())
    install.refresh_from_db()
    assert install.name == "org_7"
    assert list(AuditEntry.objects.order_by("id").values_list("action", "words", "install_name")) == [
        ("rename install", "The install is called “Acme Labs” now. It was called “Acme” before.", "Acme Labs"),
        ("rename install", "The install is called “org_7” now. It was called “Acme Labs” before.", "org_7"),
    ]
    assert fake_opentrain.calls == []
