"""The demo's scene: created once, and corrected when the ports have changed."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.demo import story
from dashboard.models import AlertChannel, Delivery, Endpoint, Install, User
from dashboard.services import demo
from tests.contract.fake import FakeOpenTrain

pytestmark = pytest.mark.django_db


@pytest.fixture
def broken(fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch, settings: Any) -> dict[str, bool]:
    """Set up the story with the fake OpenTrain; return the handlers' broken state by URL."""
    settings.DEMO_HANDLER_URL = "http://localhost:9001"
    told: dict[str, bool] = {}

    def partner_api(command: str, *_arguments: str) -> str:
        assert command == "create_install"
        return json.dumps({"token": fake_opentrain.add_install().reveal()})

    def set_broken(*, handler_url: str, broken: bool) -> None:
        told[handler_url] = broken

    monkeypatch.setattr(story, "_partner_api", partner_api)
    monkeypatch.setattr(demo, "set_broken", set_broken)
    return told


def test_scene_is_two_installs_with_four_endpoints_of_which_one_is_broken(
    broken: dict[str, bool], tmp_path: Path
) -> None:
    story.tell(folder=tmp_path)
    found = Endpoint.objects.registered().order_by("pk").values_list("install__name", "handler_url")
    assert list(found) == [
        ("Acme Labs", "http://localhost:9001/acme-contracts/webhooks"),
        ("Acme Labs", "http://localhost:9001/acme-billing/webhooks"),
        ("Beta Data", "http://localhost:9001/beta-projects/webhooks"),
        ("Beta Data", "http://localhost:9001/beta-budgets/webhooks"),
    ]
    assert broken == {url: "acme-billing" in url for _name, url in found}
    assert [one.handler_url for one in Endpoint.objects.filter(hands_over=True)] == [found[1][1]]
    assert AlertChannel.objects.get().way == "webhook"
    assert not Delivery.objects.exists()


def test_note_lets_someone_sign_in_and_is_private(broken: dict[str, bool], tmp_path: Path) -> None:
    story.tell(folder=tmp_path)
    note = tmp_path / "demo.json"
    told = json.loads(note.read_text())
    assert note.stat().st_mode & 0o077 == 0
    assert told["installs"] == list(Install.objects.order_by("id").values_list("opentrain_id", flat=True))
    client = Client()
    assert client.login(username=told["username"], password=told["password"])
    assert client.get(reverse("member-list")).status_code == 200


def test_password_that_is_told_is_the_users_also_after_the_note_was_lost(
    broken: dict[str, bool], tmp_path: Path
) -> None:
    story.tell(folder=tmp_path)
    (tmp_path / "demo.json").unlink()
    story.tell(folder=tmp_path)
    told = json.loads((tmp_path / "demo.json").read_text())
    assert Client().login(username=told["username"], password=told["password"])


def test_next_start_keeps_everything_and_follows_the_ports(
    broken: dict[str, bool], tmp_path: Path, fake_opentrain: FakeOpenTrain, settings: Any
) -> None:
    story.tell(folder=tmp_path)
    before = (tmp_path / "demo.json").read_text(), list(Endpoint.objects.order_by("pk").values_list("pk", flat=True))
    broken.clear()
    settings.DEMO_HANDLER_URL, settings.RECEIVER_URL = "http://localhost:9002", "http://localhost:8002"
    story.tell(folder=tmp_path)
    after = (tmp_path / "demo.json").read_text(), list(Endpoint.objects.order_by("pk").values_list("pk", flat=True))
    assert (after, broken) == (before, {})
    for endpoint in Endpoint.objects.select_related("install"):
        remote = fake_opentrain.get_endpoint(token=endpoint.install.token, endpoint_id=endpoint.opentrain_id)
        assert remote.url == endpoint.url
        assert endpoint.url.startswith("http://localhost:8002/hooks/")
        assert endpoint.handler_url.startswith("http://localhost:9002/")
    assert AlertChannel.objects.get().url.reveal().startswith("http://localhost:9002/")
    assert User.objects.count() == 1


def test_scene_that_cannot_be_set_says_why(
    broken: dict[str, bool], tmp_path: Path, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def revoked(*_arguments: str) -> str:
        token = fake_opentrain.add_install()
        fake_opentrain.revoke(token)
        return json.dumps({"token": token.reveal()})

    monkeypatch.setattr(story, "_partner_api", revoked)
    with pytest.raises(RuntimeError, match="not valid"):
        story.tell(folder=tmp_path)
    assert not (tmp_path / "demo.json").exists()
