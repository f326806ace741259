"""`make demo` starts everything in order and always stops the database. tests/journeys runs the real demo."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from dashboard.launch import demo, postgres, site
from dashboard.launch.folder import CannotStart, prepare, write_private
from dashboard.launch.processes import claim_port

TOLD = {"username": "support", "password": "c4n4ry", "installs": ["ins_1", "ins_2"]}


class Processes:
    """Records the processes started and waited for, in order; waiting for the story provides its result."""

    did: list[str]
    environment: dict[str, str]
    fails_at = ""

    def __init__(self, *, logs: Path, environment: dict[str, str]) -> None:
        Processes.did, Processes.environment, self.folder = [], environment, logs.parent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.did.append("end")

    def start(self, name: str, *_command: str, **_options: object) -> None:
        if name == self.fails_at:
            raise CannotStart("It failed.")
        self.did.append(name)

    def keep(self, name: str, program: object) -> None:
        assert isinstance(program, Server)
        self.did.append(f"keep {name}")

    def finish(self, *names: str) -> None:
        self.did.append(f"finish {' '.join(names)}")
        if "story" in names:
            write_private(self.folder / "demo.json", TOLD)

    def await_answer(self, *urls: str, within_s: float) -> None:
        self.did.append(f"await {len(urls)} for {within_s} s")

    def await_true(self, name: str, holds: Callable[[], bool], *, within_s: float) -> None:
        assert not holds()
        self.did.append(f"await {name} for {within_s} s")

    def watch(self) -> None:
        self.did.append("watch")


class Server:
    did: list[str]

    def create_database(self, name: str) -> None:
        self.did.append(name)

    def url(self, name: str) -> str:
        return f"postgresql:///{name}"

    def newest_worker(self, database: str) -> int:
        assert database in self.did
        return 7

    def stop(self) -> None:
        self.did.append("stop")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    made = Server()
    made.did = []
    monkeypatch.setattr(postgres, "start", lambda **_: made)
    monkeypatch.setattr(demo, "Processes", Processes)
    monkeypatch.setattr(Processes, "fails_at", "")
    monkeypatch.delenv("PUBLIC_URL", raising=False)
    return made


def test_everything_is_up_before_it_says_ready(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = claim_port(0)
    demo.demo(folder=prepare(tmp_path), port=port)
    assert Processes.did == [
        "keep postgres", "migrate", "migrate-api", "static", "finish static", "finish migrate migrate-api",
        "partner-api", "engine", "handler", "receiver", "console", "worker", f"await 3 for {site.UP_S} s",
        f"await worker for {site.UP_S} s", f"await engine for {site.UP_S} s", "story", "finish story",
        "events-0", "events-1", "watch", "end",
    ]  # fmt: skip
    word, _, line = capsys.readouterr().out.strip().partition(" ")
    assert (word, json.loads(line)) == (
        "READY",
        {
            "url": f"http://localhost:{port}",
            "username": "support",
            "password": "c4n4ry",
            "partner_api": Processes.environment["OPENTRAIN_BASE_URL"],
        },
    )
    assert server.did == ["redeliver", "partner_api", "stop"]


def test_both_sides_keep_the_same_pace_on_databases_of_their_own(server: Server, tmp_path: Path) -> None:
    demo.demo(folder=prepare(tmp_path), port=claim_port(0))
    environment = Processes.environment
    assert environment["OPENTRAIN_RETRY_DELAYS_S"] == environment["PARTNER_API_RETRY_DELAYS_S"]
    assert environment["OPENTRAIN_RUN_INTERVAL_S"] == environment["PARTNER_API_RUN_INTERVAL_S"]
    assert (environment["DATABASE_URL"], environment["PARTNER_API_DATABASE_URL"]) == (
        "postgresql:///redeliver", "postgresql:///partner_api",
    )  # fmt: skip


def test_database_is_stopped_when_something_fails(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Processes, "fails_at", "engine")
    with pytest.raises(CannotStart):
        demo.demo(folder=prepare(tmp_path), port=claim_port(0))
    assert (Processes.did[-1], server.did[-1], capsys.readouterr().out) == ("end", "stop", "")


@pytest.mark.parametrize("told", [{"username": "support"}, {"username": 5, "password": "x"}, TOLD | {"installs": [7]}])
def test_sign_in_of_an_earlier_start_that_is_damaged_is_told_in_words(
    told: dict[str, object], server: Server, tmp_path: Path
) -> None:
    folder = prepare(tmp_path)
    write_private(folder / "demo.json", told)
    with pytest.raises(CannotStart, match=r"demo\.json is damaged: restore it"):
        demo.demo(folder=folder, port=claim_port(0))
    assert server.did == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[5]", b"\xff", b"["])
def test_switches_of_the_handler_that_are_damaged_are_told_in_words(
    content: bytes, server: Server, tmp_path: Path
) -> None:
    folder = prepare(tmp_path)
    (folder / "handler.json").write_bytes(content)
    with pytest.raises(CannotStart, match=r"handler\.json is damaged: remove it"):
        demo.demo(folder=folder, port=claim_port(0))
    assert server.did == []
