"""Ports that cannot be used."""

import socket
from pathlib import Path

import pytest

from tests.launch.test_folder import launch


@pytest.mark.parametrize("what", ["demo", "run"])
def test_port_in_use_gets_one_line(what: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = launch(what, PORT=str(port), DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == (
        f"Redeliver cannot start: Port {port} cannot be used: Address already in use. Choose another with PORT=…\n"
    )


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1", "8000.5"])
def test_port_that_is_none_gets_one_line(port: str, tmp_path: Path) -> None:
    done = launch("demo", PORT=port, DATA_DIR=str(tmp_path))
    assert done.stderr == f"Redeliver cannot start: PORT is '{port}'; it must be a number from 1 to 65535.\n"
