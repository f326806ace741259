"""Fuzzing: unusual requests that schemathesis generates from the served `openapi.json`, against the real server.

All of its checks in all of its phases: boundary values, random values, and chains of calls along the document's links,
as two installs that must not see each other's endpoints, links and contracts.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dashboard.launch import postgres
from tests.partner_api.serving import Installation, installation, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CASES = int(os.environ.get("FUZZ_CASES", "2000"))
"""Minimum number of requests; `make fuzz` sets more."""
OPERATIONS = 15
LINKS = 18
"""Number of links in the document; schemathesis infers some more."""

CONFIG = """
hooks = "tests.partner_api.fuzzing"
workers = 1
continue-on-failure = true

[generation]
max-examples = {examples}
database = "none"

[auth.wfc]
path = "{identities}"
peers = ["acme", "beta"]
"""


@pytest.fixture(scope="module")
def installed(postgres_server: postgres.Server) -> Installation:
    return installation(postgres_server, database="partner_api_fuzzing")


def configure(folder: Path, *, tokens: dict[str, str]) -> Path:
    identities = folder / "identities.json"
    people = [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in tokens.items()
    ]
    identities.write_text(json.dumps({"auth": people}))
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.format(examples=max(10, CASES // OPERATIONS), identities=identities))
    return config


def customer(installed: Installation, name: str) -> str:
    """Create an install with a contract that it may see; return its token."""
    granted = installed.create_install(name)
    link = json.loads(installed.manage("link", "--install", granted["install"], "--project", "42", "--new-job", name))
    contract = json.loads(installed.manage("hire", "--job", link["job"]))["contract"]
    installed.manage("fund", "--contract", contract, "--amount", "280", "--volume", "20")
    return granted["token"]


def fuzz(port: int, *, config: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("schemathesis")), "--no-color", "--config-file", str(config)]
    command += ["run", f"http://127.0.0.1:{port}/api/partner/v1/openapi.json", "--checks", "all"]
    command += ["--seed", "20260612", "--max-response-time", "30"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=900
    )


def test_no_request_that_the_document_allows_or_forbids_gets_an_undocumented_answer(
    installed: Installation, tmp_path: Path, capsys: Any
) -> None:
    tokens = {name: customer(installed, name) for name in ("acme", "beta")}
    config = configure(tmp_path, tokens=tokens)
    with serving(installed, folder=tmp_path, PARTNER_API_CALLS_PER_MINUTE="1000000") as port:
        done = fuzz(port, config=config, folder=tmp_path)
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert found is not None, done.stdout[-2000:]
    with capsys.disabled():
        print(f"\nschemathesis: {found[0]}")  # noqa: T201
    assert int(found[1]) >= CASES
    links = re.search(r"API Links: +(\d+) covered", done.stdout)
    assert links is not None
    assert int(links[1]) >= LINKS
    assert tokens["acme"] not in done.stdout
    # The document cannot lead from a list to its first contract: a list may be empty. schemathesis finds the way alone.
    with psycopg.connect(installed.url) as connection:
        reports = connection.execute("SELECT count(*) FROM partner_api_usage").fetchone()
    assert reports is not None
    assert reports[0] > 0
