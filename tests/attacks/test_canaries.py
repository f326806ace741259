"""Canary secrets: real flows plant them, and the tests search everything that the system writes for them.

They may appear in four places only: the secret of a handler's URL in its endpoint's row; a receiver key in its
endpoint's row and in the URLs on the endpoint's pages (it
is part of the URL that OpenTrain delivers to, and everyone who sees the endpoint may know it); a signing secret on the
page that responds to the registration; a session key in Django's session table and in allauth's, which lets users end
their sessions.
"""

import io
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt
from django.core.management import call_command
from django.db import connection
from django.test import Client

from dashboard import tasks
from dashboard.actions.installs import poller
from dashboard.models import AuditEntry, Endpoint, Install, User
from dashboard.services.opentrain import Reason, Unavailable
from dashboard.vault import Secret
from dashboard.views import inbox
from tests import totp
from tests.attacks.unpacking import unpacked
from tests.attacks.walking import addresses
from tests.contract.fake import FakeOpenTrain
from tests.factories import BODY, make_install, make_user
from tests.receiver.delivering import delivered
from tests.receiver.observing import observe
from tests.test_logs import logged

PASSWORD = "canary-password-tweet-tweet-1"
TYPO = "canary-password-with-a-typo-2"


@pytest.fixture(params=["text", "json"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """The output of the real logging configuration with every option on."""
    with logged(request.param) as stream:
        logging.getLogger().setLevel(logging.DEBUG)
        yield stream


class Planted:
    """The canaries, and the pages shown while planting them."""

    def __init__(self, fake: FakeOpenTrain, ana: User) -> None:
        self.client = Client(raise_request_exception=False)
        ana.set_password(PASSWORD)
        ana.save()
        self.client.post("/accounts/login/", {"login": "ana", "password": TYPO})
        self.client.post("/accounts/login/", {"login": "ana", "password": PASSWORD})
        self.totp_secret, self.seed = self._protect()
        self.begun = self._begin()
        self.session = self.client.cookies["sessionid"].value
        self.token = fake.add_install().reveal()
        self.install = self._connect()
        self.endpoint = self._register()
        assert self.endpoint.secret is not None
        self.secret = self.endpoint.secret.reveal()
        self.receiver_key = str(self.endpoint.receiver_key)
        self.handlers_secret = "canary-of-a-handler-tweet-3"
        self._edit(f"https://handler.invalid/in?tenant=acme&api_key={self.handlers_secret}")
        out = io.StringIO()
        call_command("observation_key", str(self.endpoint.pk), stdout=out, stderr=io.StringIO())
        self.observation_key = out.getvalue().strip()

    def _protect(self) -> tuple[str, str]:
        """Set up an authenticator app; return its secret and the seed of the recovery codes."""
        self.client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        page = self.client.get("/accounts/2fa/totp/activate/").content.decode()
        [secret] = re.findall(r"<code>([A-Z2-7]{32})</code>", page)
        self.client.post("/accounts/2fa/totp/activate/", {"code": totp.code(secret)})
        return secret, decrypt(Authenticator.objects.get(type="recovery_codes").data["seed"])

    def _begin(self) -> str:
        """As another user, start to set up an authenticator app without finishing; return its secret."""
        make_user(username="bea", password=PASSWORD)
        other = Client()
        other.post("/accounts/login/", {"login": "bea", "password": PASSWORD})
        other.post("/accounts/reauthenticate/", {"password": PASSWORD})
        page = other.get("/accounts/2fa/totp/activate/").content.decode()
        [secret] = re.findall(r"<code>([A-Z2-7]{32})</code>", page)
        return str(secret)

    def _connect(self) -> Install:
        form = self.client.get("/installs/connect/")
        operation = form.content.decode().partition('name="operation" value="')[2].partition('"')[0]
        self.client.post("/installs/connect/", {"token": self.token, "name": "Acme", "operation": operation})
        return Install.objects.get()

    def _register(self) -> Endpoint:
        path = f"/installs/{self.install.pk}/endpoints/new/"
        operation = self.client.get(path).content.decode().partition('name="operation" value="')[2].partition('"')[0]
        form = {"path": "receiver", "handler_url": "", "event_types": ["contract.started"], "operation": operation}
        page = self.client.post(path, form).content.decode()
        endpoint = Endpoint.objects.get()
        assert endpoint.secret is not None
        assert endpoint.secret.reveal() in page  # the only page that shows it
        return endpoint

    def _edit(self, address: str) -> None:
        """Set the handler's URL, and then again with another secret, so that the audit names both."""
        path = f"/endpoints/{self.endpoint.pk}/edit/"
        for one in (address + "-and-an-old-one", address):
            self.client.post(path, {"address": one, "event_types": ["contract.started"]})
        assert Endpoint.objects.get().handler_url == address

    @property
    def everywhere(self) -> dict[str, str]:
        """The canaries that may appear on no page and in no log line."""
        return {
            "token": self.token, "secret": self.secret, "session": self.session, "password": PASSWORD, "typo": TYPO,
            "observation key": self.observation_key, "TOTP secret": self.totp_secret,
            "TOTP secret that is being set up": self.begun, "seed of recovery codes": self.seed,
            "handler's secret": self.handlers_secret,
        }  # fmt: skip

    def found(self, text: str, *, and_receiver_key: bool) -> list[str]:
        canaries = self.everywhere | ({"receiver key": self.receiver_key} if and_receiver_key else {})
        hexed = {f"{name} as bytes": value.encode().hex() for name, value in canaries.items()}
        return [name for name, value in (canaries | hexed).items() if value in text]


@pytest.fixture
def planted(log: io.StringIO, fake_opentrain: FakeOpenTrain, support: User, code_lasts: None) -> Planted:
    return Planted(fake_opentrain, support)


def raise_with(*secrets: str) -> None:
    """Raise an error that holds secrets, as careless code would."""
    held = secrets
    raise RuntimeError(f"cannot go on with {held}")


def exercise(planted: Planted, fake: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every part that handles the canaries, and make it fail where possible."""
    for secret in (planted.secret, "whsec_another"):
        delivered(planted.receiver_key, secret=secret)
        delivered(planted.receiver_key, secret=secret, X_Auth_Token=planted.handlers_secret)
    delivered(planted.receiver_key, method="GET")
    planted.client.get(f"/hooks/{planted.receiver_key}/")
    for body in (b'{"observations": []}', b"nonsense", BODY):
        observe(key=planted.observation_key, body=body)
    planted.client.post(f"/endpoints/{planted.endpoint.pk}/enable/", {"operation": "nonsense"})
    fake.fail_next(Unavailable("OpenTrain cannot be reached.", reason=Reason.DNS))
    planted.client.get(f"/installs/{planted.install.pk}/")
    make_install(name="Unreadable", token=Secret("ot_ptk_other"))
    tasks.poll_installs(timestamp=0)
    with monkeypatch.context() as broken:
        broken.setattr(poller, "visit", lambda **_: raise_with(planted.token, planted.secret))
        Install.objects.update(poll_after=None)
        tasks.poll_installs(timestamp=1)


@pytest.mark.django_db
def test_canary_is_in_no_line_of_the_log(
    planted: Planted, log: io.StringIO, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    exercise(planted, fake_opentrain, monkeypatch)
    monkeypatch.setattr(inbox, "timezone", None)
    assert planted.client.get("/").status_code == 500
    written = log.getvalue()
    assert "Internal Server Error: /" in written
    assert "cannot go on with" in written
    assert planted.found(written, and_receiver_key=True) == []


@pytest.mark.django_db
def test_canary_is_on_no_page_and_in_no_export(
    planted: Planted, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    exercise(planted, fake_opentrain, monkeypatch)
    own = addresses(endpoint=planted.endpoint)
    read = 0
    for one in own:
        response = planted.client.get(one.path)
        text = b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined]
        said = text.decode(errors="replace") + str(dict(response.headers))
        read += response.status_code == 200
        assert planted.found(said, and_receiver_key=False) == [], one.name
    assert read > 25
    for export in ("/deliveries/export/?format=csv", "/deliveries/export/?format=ndjson&bodies=1"):
        response = planted.client.get(export)
        assert response.status_code == 200
        assert planted.found(b"".join(response).decode(), and_receiver_key=True) == [], export


@pytest.mark.django_db
def test_canary_is_in_no_error_page(planted: Planted, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    assert settings.DEBUG is False
    monkeypatch.setattr(
        inbox, "render", lambda *_args, **_options: raise_with(planted.token, planted.secret, planted.session)
    )
    key = planted.receiver_key
    for path, status in (("/", 500), (f"/hooks/{key}/", 404), (f"/hooks/{key}/more/", 404), ("/installs/0/", 404)):
        response = planted.client.get(path)
        assert response.status_code == status
        assert planted.found(response.content.decode(), and_receiver_key=True) == [], path
    refused = Client(enforce_csrf_checks=True).post("/accounts/login/", {"login": "ana", "password": PASSWORD})
    assert (refused.status_code, planted.found(refused.content.decode(), and_receiver_key=True)) == (403, [])


@pytest.mark.django_db
def test_canary_is_in_no_column_in_clear(
    planted: Planted, fake_opentrain: FakeOpenTrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    exercise(planted, fake_opentrain, monkeypatch)
    assert AuditEntry.objects.count() > 2
    places = set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT kept::text FROM "{table}" AS kept')  # noqa: S608 - the name of a table
            for (row,) in cursor.fetchall():
                places |= {(table, name) for name in planted.found(unpacked(row), and_receiver_key=True)}
    assert places == {
        ("dashboard_endpoint", "receiver key"),
        ("dashboard_endpoint", "handler's secret"),
        ("django_session", "session"),
        ("usersessions_usersession", "session"),
    }


@pytest.mark.django_db
def test_canary_is_in_no_repr(planted: Planted) -> None:
    held = [planted.install.__dict__, planted.endpoint.__dict__, planted.install.token, planted.endpoint.secret]
    assert planted.found(repr(held), and_receiver_key=False) == []
