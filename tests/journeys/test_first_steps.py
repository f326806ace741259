"""The first steps of the README and of docs/partner-api.md, run as written: real processes, real deliveries."""

import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from dashboard.launch.processes import claim_port
from dashboard.management.commands.first_account import NO_ACCOUNT
from tests.docs.pages import DOCS, ROOT, shell_blocks
from tests.partner_api.sink import Received, running_sink

UP_S = 120
ARRIVES_S = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """A DATA_DIR that the user who runs PostgreSQL can enter; under root that is another user."""
    made = Path(tempfile.mkdtemp(prefix="redeliver-docs-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


def environment(*, folder: Path, port: int) -> dict[str, str]:
    without = {"DJANGO_SETTINGS_MODULE", "DATABASE_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in without}
    return {**kept, "DATA_DIR": str(folder), "PORT": str(port)}


@contextlib.contextmanager
def started(what: str, *, folder: Path, port: int, up: str) -> Iterator[IO[str]]:
    """Start what `make run` or `make partner-api` starts, and wait until it is ready. Yields what it prints next."""
    command = [sys.executable, "-m", "dashboard.launch", what]
    surroundings = environment(folder=folder, port=port)
    with subprocess.Popen(command, cwd=ROOT, env=surroundings, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], UP_S)[0], f"{what} was not up within {UP_S} s"
            assert process.stdout.readline().startswith(up)
            yield process.stdout
        finally:
            process.terminate()
            process.wait(timeout=60)


def shell(script: str, *, folder: Path, port: int) -> str:
    """Run a page's commands with this project's Python; return their output."""
    text = script.replace(".venv/bin/python", sys.executable)
    done = subprocess.run(
        ["bash", "-e"], input=f"shopt -s expand_aliases\n{text}", cwd=ROOT, env=environment(folder=folder, port=port),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_run_and_account_as_the_readme_says(folder: Path) -> None:
    port = claim_port(0)
    with started("run", folder=folder, port=port, up="Redeliver is up: ") as printed:
        assert printed.readline() == f"{NO_ACCOUNT}\n"
        with urllib.request.urlopen(f"http://localhost:{port}/accounts/login/", timeout=60) as page:
            assert page.status == 200
            assert b"make account" in page.read()
        # The command of `make account`. Without a terminal, it reads the password from stdin.
        command = [sys.executable, "-m", "dashboard.launch", "manage", "account", "ada", "--role", "support_lead"]
        done = subprocess.run(
            command, input="a-password-of-ada's\n", cwd=ROOT, env=environment(folder=folder, port=port),
            capture_output=True, text=True, timeout=60, start_new_session=True, check=True,
        )  # fmt: skip
        assert done.stdout == "ada can sign in, as support lead.\n"


def test_partner_api_as_its_page_says(folder: Path) -> None:
    """Runs all of the page's commands except those that prompt for a password or never end."""
    for program in ("bash", "curl", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    port = claim_port(0)
    alias, register, deliveries, openssl = (
        block for block in shell_blocks(DOCS / "partner-api.md") if "make " not in block and "createsuper" not in block
    )
    papi = alias.splitlines()[0]
    with started("partner-api", folder=folder, port=port, up="The Partner API is up: "), running_sink() as handler:
        granted = json.loads(shell(alias, folder=folder, port=port))
        there = register.replace("localhost:8100", f"localhost:{port}").replace("ot_ptk_…", granted["token"])
        answer = shell(there.replace("http://localhost:9000/hooks", handler.url), folder=folder, port=port)
        emit, _forever, failed = deliveries.replace("ins_…", granted["install"]).splitlines()
        shell(f"{papi}\n{emit}", folder=folder, port=port)
        received = first_of(handler.requests)
        assert shell(f"{papi}\n{failed}", folder=folder, port=port) == ""
        [line] = shell(f"{papi}\n{failed.replace('FAILED', 'DELIVERED')}", folder=folder, port=port).splitlines()
        assert json.loads(line)["delivery"] == received.delivery_id
    stamp, _, signature = received.headers["X-OpenTrain-Signature"].removeprefix("t=").partition(",v1=")
    (folder / "body").write_bytes(received.body)
    by_hand = openssl.replace("whsec_…", json.loads(answer)["secret"])
    assert re.search(rf"\b{signature}$", shell(f"cd {folder}; t={stamp}\n{by_hand}", folder=folder, port=port).strip())


def first_of(requests: list[Received]) -> Received:
    deadline = time.monotonic() + ARRIVES_S
    while not requests:
        assert time.monotonic() < deadline, f"no delivery arrived within {ARRIVES_S} s"
        time.sleep(0.05)
    return requests[0]
