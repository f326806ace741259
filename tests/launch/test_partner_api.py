"""The Partner API alone: its commands use the folder's database and the folder's keys."""

from pathlib import Path

import pytest

from dashboard.launch import partner_api as module
from dashboard.launch import postgres
from dashboard.launch.folder import keys, prepare
from dashboard.launch.partner_api import partner_api_command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path)


class Server:
    def __init__(self) -> None:
        self.did: list[str] = []

    def existing_url(self, name: str) -> str:
        self.did.append(f"find {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql:///{name}"

    def stop(self) -> None:
        self.did.append("stop")


@pytest.mark.parametrize("running", ["postgresql:///of-the-running-one", None])
def test_command_runs_on_the_running_database_or_on_one_that_is_started_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, running: str | None
) -> None:
    server, ran = Server(), []
    monkeypatch.setattr(postgres, "running_url", lambda **_: running)
    monkeypatch.setattr(postgres, "start", lambda **_: server)

    def run(environment: dict[str, str], arguments: list[str]) -> int:
        ran.append((environment["PARTNER_API_DATABASE_URL"], arguments, list(server.did)))
        return 3

    monkeypatch.setattr(module, "_run", run)
    assert partner_api_command(folder=folder, arguments=["emit", "--count", "1"]) == 3
    found = [] if running else ["find partner_api"]
    assert ran == [(running or "postgresql:///partner_api", ["emit", "--count", "1"], found)]
    assert server.did == ([*found, "stop"] if found else [])


def test_command_gets_the_folders_keys_unless_others_are_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PARTNER_API_KEYS", "PARTNER_API_SECRET_KEY", "PARTNER_API_RUN_INTERVAL_S"):
        monkeypatch.delenv(name, raising=False)
    own = keys(folder)
    found = module._environment(folder=folder, url="postgresql:///x")
    assert found == {
        "PARTNER_API_DATABASE_URL": "postgresql:///x",
        "PARTNER_API_KEYS": own.PARTNER_API_KEYS,
        "PARTNER_API_SECRET_KEY": own.SECRET_KEY,
        "PARTNER_API_RUN_INTERVAL_S": "5",
    }
    monkeypatch.setenv("PARTNER_API_RUN_INTERVAL_S", "60")
    assert module._environment(folder=folder, url="x")["PARTNER_API_RUN_INTERVAL_S"] == "60"


def test_command_really_runs_and_its_status_is_the_answer(
    postgres_server: postgres.Server, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(postgres, "running_url", lambda **_: postgres_server.url("postgres"))
    assert partner_api_command(folder=folder, arguments=["showmigrations", "--plan"]) == 0
    assert "partner_api.0001_initial" in capfd.readouterr().out
    assert partner_api_command(folder=folder, arguments=["no_such_command"]) == 1
    assert "no_such_command" in capfd.readouterr().err
