"""Secrets from environment variables and from files."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

from dashboard.config import environment

KEY, OLDER = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRETS = {"SECRET_KEY", "FIELD_KEYS", "DATABASE_URL", "METRICS_TOKEN", "DEMO_HANDLER_TOKEN"}


def test_secret_from_a_file_comes_without_its_last_newline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(" a b\n")
    monkeypatch.setenv("METRICS_TOKEN_FILE", str(tmp_path / "token"))
    assert (environment.secret("METRICS_TOKEN"), environment.is_given("METRICS_TOKEN")) == (" a b", True)


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfsecret\r\n", b"secret\r\n", b"\xef\xbb\xbfsecret", b"secret\n\n", b"secret\r\n\r\n"]
)
def test_secret_of_a_windows_editor_is_the_secret(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_bytes(content)
    monkeypatch.setenv("METRICS_TOKEN_FILE", str(tmp_path / "token"))
    assert environment.secret("METRICS_TOKEN") == "secret"


@pytest.mark.parametrize(
    ("given", "on"),
    [("0", False), ("0\r", False), ("False", False), ("off", False), (" ", False), ("1\r", True), ("yes", True)],
)
def test_flag_is_on_unless_it_says_no(given: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEHIND_PROXY", given)
    assert environment.flag("BEHIND_PROXY", default=True) is on


def test_secret_that_is_not_set_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METRICS_TOKEN", raising=False)
    assert (environment.secret("METRICS_TOKEN"), environment.is_given("METRICS_TOKEN")) == ("", False)


@pytest.mark.parametrize(
    ("content", "value", "why"),
    [
        (None, "", "METRICS_TOKEN_FILE: {path} cannot be read: No such file or directory."),
        (b"\n", "", "METRICS_TOKEN_FILE: {path} is empty."),
        (b"\xff\xfes\0e\0", "", "METRICS_TOKEN_FILE: {path} is not text in UTF-8."),
        (b"\xef\xbb\xbf\r\n", "", "METRICS_TOKEN_FILE: {path} is empty."),
        (b"one", "two", "METRICS_TOKEN and METRICS_TOKEN_FILE are both set: remove one of them."),
    ],
)
def test_secret_file_that_is_of_no_use_says_so(
    content: bytes | None, value: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("METRICS_TOKEN", value)
    monkeypatch.setenv("METRICS_TOKEN_FILE", str(path))
    with pytest.raises(ImproperlyConfigured) as raised:
        environment.secret("METRICS_TOKEN")
    assert str(raised.value) == why.format(path=path)


def test_settings_read_every_secret_by_way_of_its_file_too() -> None:
    source = Path("dashboard/settings.py").read_text()
    assert set(re.findall(r'_secret\("(\w+)"\)', source)) >= SECRETS
    raw = re.findall(r'(?:_list|environ\.get)\("(\w*(?:KEY|KEYS|TOKEN|SECRET|PASSWORD|DATABASE_URL)\w*)"', source)
    assert raw == []


@pytest.mark.slow
def test_settings_take_all_secrets_from_files(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in SECRETS}
    for name in SECRETS:
        value = {"DATABASE_URL": "postgresql://u:p@db/redeliver", "FIELD_KEYS": KEY}.get(name, f"the {name}")
        (tmp_path / name).write_text(f"{value}\n")
        environ[f"{name}_FILE"] = str(tmp_path / name)
    code = (
        "from dashboard import settings as s;"
        "print([s.SECRET_KEY, s.FIELD_KEYS, s.DATABASES['default']['HOST'], s.METRICS_TOKEN, s.DEMO_HANDLER_TOKEN])"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == f"['the SECRET_KEY', ['{KEY}'], 'db', 'the METRICS_TOKEN', 'the DEMO_HANDLER_TOKEN']\n"


MOVED = (
    "SERVE is 'receiver', but web processes take no deliveries any more. "
    "See docs/operations.md, 'Move from one web process to receivers'."
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("SERVE", "receiver", MOVED),
        ("LOG_FORMAT", "xml", "LOG_FORMAT is 'xml'; it must be text or json."),
    ],
)
def test_settings_say_what_is_wrong_with_a_value(name: str, value: str, why: str) -> None:
    command = [sys.executable, "-c", "import dashboard.settings"]
    done = subprocess.run(command, env=os.environ | {name: value}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip().splitlines()[-1].partition(": ")[2]) == (1, why)


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://localhost:8000", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://[::1]:8000", True),
        ("https://redeliver.example.com", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost:80@example.com/", False),
        ("http://localhost@example.com", False),
        ("http://example.com/localhost", False),
        ("http://[::1]example.com", False),
        ("http://0.0.0.0:8000", False),
        ("http://[::]:8000", False),
        ("http://192.168.0.7:8000", False),
        ("localhost:8000", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_and_no_other(url: str, own: bool) -> None:
    assert environment.is_loopback(url) is own


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("new,old", ["new", "old"]),
        (" new , old,", ["new", "old"]),
        ('["new", "old"]', ["new", "old"]),
        ("'new','old'", ["new", "old"]),
        ("new\r\nold\r\n", ["new", "old"]),
        ('"new"', ["new"]),
        ("\ufeffnew\u200b", ["new"]),
        ("[::1],localhost", ["[::1]", "localhost"]),
        ("[::1]", ["[::1]"]),
        ("[fe80::1],[::1]", ["[fe80::1]", "[::1]"]),
        ("", []),
    ],
)
def test_list_is_read_as_people_paste_it(text: str, found: list[str]) -> None:
    assert environment.split(text) == found


@pytest.mark.parametrize(
    "text", ["https://a.example/", '"https://a.example"', "\ufeffhttps://a.example/\r", "<https://a.example>"]
)
def test_url_is_read_as_people_paste_it(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", text)
    assert environment.url("PUBLIC_URL", "http://localhost:8000") == "https://a.example"
    monkeypatch.delenv("PUBLIC_URL")
    assert environment.url("PUBLIC_URL", "http://localhost:8000/") == "http://localhost:8000"


@pytest.mark.parametrize("spelled", ["{},{}", '["{}", "{}"]', '"{}","{}"', "{}\r\n{}\r\n", "\ufeff{}, \u201c{}\u201d"])
def test_keys_are_read_as_people_paste_them(spelled: str) -> None:
    assert environment.keys("FIELD_KEYS", spelled.format(KEY, OLDER)) == [KEY, OLDER]


@pytest.mark.parametrize(
    "wrong", [KEY[:-5], f"{KEY}{OLDER}", "short", "\u00fc" * 44], ids=["cut", "joined", "short", "no base64"]
)
def test_key_that_is_none_is_named_by_its_place_and_not_repeated(wrong: str) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        environment.keys("FIELD_KEYS", f"{KEY},{wrong}")
    assert str(raised.value).startswith("FIELD_KEYS: key 2 of 2 is not a key: a key is 44 characters")
    assert wrong not in str(raised.value)


@pytest.mark.parametrize("blank", [" ", ",", "\n", "[]", "\ufeff"])
def test_keys_that_are_blank_are_not_taken_for_none(blank: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^FIELD_KEYS is set and holds no key"):
        environment.keys("FIELD_KEYS", blank)
    assert environment.keys("FIELD_KEYS", "") == []


def test_certificates_are_a_file_that_can_be_read_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    monkeypatch.setenv("EXTRA_CA_BUNDLE", f"{path}\r")
    assert environment.certificates("EXTRA_CA_BUNDLE") == str(path)
    monkeypatch.delenv("EXTRA_CA_BUNDLE")
    assert environment.certificates("EXTRA_CA_BUNDLE") == ""


@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"])
def test_certificates_that_cannot_be_read_refuse_to_start(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("EXTRA_CA_BUNDLE", str(path))
    with pytest.raises(ImproperlyConfigured) as caught:
        environment.certificates("EXTRA_CA_BUNDLE")
    assert str(caught.value) == f"EXTRA_CA_BUNDLE: {str(path)!r} is not a readable PEM file of certificates."
