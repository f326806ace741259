"""The common parts of run and demo: command lines, the environment, and the database."""

import socket
from pathlib import Path

import pytest

from dashboard.launch import postgres, site
from dashboard.launch.folder import CannotStart, keys, prepare
from dashboard.receiver.__main__ import DRAIN_S

NAMES = ("SECRET_KEY", "FIELD_KEYS", "PUBLIC_URL", "CSRF_TRUSTED_ORIGINS", "HTTPS", "STATIC_ROOT",
         "PROMETHEUS_MULTIPROC_DIR", "RECEIVER_SPOOL_DIR", "DATABASE_URL")  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepare(tmp_path)


def test_environment_has_the_folders_keys_and_paths(folder: Path) -> None:
    own = keys(folder)
    assert site.environment(folder=folder, keys=own, port=8123) == {
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        "SECRET_KEY": own.SECRET_KEY,
        "FIELD_KEYS": own.FIELD_KEYS,
        "PUBLIC_URL": "http://localhost:8123",
        "CSRF_TRUSTED_ORIGINS": "http://localhost:8123",
        "HTTPS": "0",
        "STATIC_ROOT": str(folder / "static"),
        "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        "RECEIVER_SPOOL_DIR": str(folder / "receiver"),
    }
    assert (folder / "metrics").is_dir()


def test_what_the_person_set_is_theirs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://console.example.com/")
    monkeypatch.setenv("SECRET_KEY", "theirs")
    monkeypatch.setenv("FIELD_KEYS_FILE", "/run/secrets/field_keys")
    found = site.environment(folder=folder, keys=keys(folder), port=8123)
    assert (found["SECRET_KEY"], found["HTTPS"]) == ("theirs", "1")
    assert found["CSRF_TRUSTED_ORIGINS"] == "https://console.example.com"
    assert "FIELD_KEYS" not in found  # the process reads the secret from the file


def test_metrics_that_are_no_folder_are_told_in_words(folder: Path) -> None:
    (folder / "metrics").touch()
    with pytest.raises(CannotStart, match="metrics cannot be made: File exists"):
        site.forget_counts(folder)
    with pytest.raises(CannotStart, match="metrics cannot be made: File exists"):
        site.environment(folder=folder, keys=keys(folder), port=8123)


def test_forget_counts_leaves_an_empty_folder(folder: Path) -> None:
    (folder / "metrics").mkdir()
    (folder / "metrics" / "counter_1.db").write_text("of an earlier start")
    for _ in range(2):
        site.forget_counts(folder)
        assert list((folder / "metrics").iterdir()) == []


def test_partner_api_has_settings_of_its_own() -> None:
    assert site.manage_partner_api("migrate", "--noinput") == site.manage(
        "migrate", "--settings", "dashboard.partner_api.settings", "--noinput"
    )
    assert Path(site.manage("migrate")[1]).is_file()
    assert Path(site.gunicorn(application="a", bind="b", threads=1)[4]).is_file()


class Server:
    """A started embedded server."""

    def __init__(self) -> None:
        self.did: list[str] = []

    def create_database(self, name: str) -> None:
        self.did.append(f"create {name}")

    def existing_url(self, name: str) -> str:
        self.did.append(f"find {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql:///{name}"

    def stop(self) -> None:
        self.did.append("stop")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(postgres, "start", lambda **_: server)
    return server


def test_database_is_the_embedded_one_until_the_block_ends(folder: Path, started: Server) -> None:
    with site.database(folder) as database:
        assert database == site.Database({"DATABASE_URL": "postgresql:///redeliver"}, started)
        assert started.did == ["create redeliver"]
    assert started.did == ["create redeliver", "stop"]


def test_embedded_database_is_stopped_when_the_block_fails(folder: Path, started: Server) -> None:
    with pytest.raises(ZeroDivisionError), site.database(folder):
        _ = 1 / 0
    assert started.did[-1] == "stop"


def test_database_of_the_environment_wins(folder: Path, started: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://elsewhere/redeliver")
    with site.database(folder) as database:
        assert (database, started.did) == (site.Database({}), [])


@pytest.mark.parametrize(("running", "used"), [("postgresql:///running", True), (None, False)])
def test_shared_database_is_the_running_one_if_there_is_one(
    folder: Path, started: Server, monkeypatch: pytest.MonkeyPatch, running: str | None, used: bool
) -> None:
    monkeypatch.setattr(postgres, "running_url", lambda **_: running)
    with site.database(folder, shared=True) as database:
        assert database.environment["DATABASE_URL"] == (running if used else "postgresql:///redeliver")
        assert database.server is (None if used else started)
    assert started.did == ([] if used else ["find redeliver", "stop"])


def test_door_is_a_socket_that_listens_and_a_private_folder(folder: Path) -> None:
    with site.door(folder=folder, port=0) as door:
        assert door.environment == {
            "RECEIVER_BIND": f"fd://{door.socket.fileno()}",
            "RECEIVER_CONSOLE": str(door.console),
        }
        assert door.console.parent.stat().st_mode & 0o777 == 0o700
        assert len(bytes(door.console)) < 60  # wherever the folder is: a socket's path has at most 107
        host, port = door.socket.getsockname()
        assert door.url == f"http://127.0.0.1:{port}"
        socket.create_connection((host, port)).close()
    assert not door.console.parent.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port))


@pytest.mark.parametrize(
    ("host", "reached"),
    [("0.0.0.0", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::", "[::1]"), ("[::1]", "[::1]")],  # noqa: S104 - values that a user may set
)
def test_door_is_reached_at_the_address_that_it_listens_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str, reached: str
) -> None:
    if ":" in host and not ipv6():
        pytest.skip("this machine has no IPv6")
    monkeypatch.setenv("HOST", host)
    with site.door(folder=folder, port=0) as door:
        assert door.url == f"http://{reached}:{door.socket.getsockname()[1]}"


def ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_site_is_a_receiver_in_front_of_a_console_and_a_worker(folder: Path) -> None:
    begun: dict[str, tuple[tuple[str, ...], dict[str, object]]] = {}

    class Processes:
        def start(self, name: str, *command: str, **options: object) -> None:
            begun[name] = (command, options)

    with site.door(folder=folder, port=0) as door:
        site.start_site(processes=Processes(), door=door)  # type: ignore[arg-type]
    assert list(begun) == ["receiver", "console", "worker"]
    assert begun["receiver"] == (site.receiver(), {"inherits": door.socket, "end_s": site.RECEIVER_END_S})
    assert f"unix:{door.console}" in begun["console"][0]
    assert begun["worker"] == (site.worker(), {})


def test_receiver_has_the_time_to_finish_that_it_takes() -> None:
    assert DRAIN_S + 7 < site.RECEIVER_END_S  # the journal may take 7 s to write what waits


def test_work_begins_with_the_next_worker_that_registers() -> None:
    newest = [5, 5, 6]

    class Registered(Server):
        def newest_worker(self, database: str) -> int:
            assert database == "redeliver"
            return newest.pop(0)

    begins = site.work_begins(Registered(), database="redeliver")  # type: ignore[arg-type]
    assert (begins(), begins()) == (False, True)
