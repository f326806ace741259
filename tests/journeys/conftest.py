"""The demo as a person starts it, and a real Chromium to look at it with."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashboard.launch.processes import claim_port

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120
PATIENCE_MS = 30_000
"""How long a page may take to respond, on a busy machine too."""
expect.set_options(timeout=PATIENCE_MS)
# As root Chromium has no sandbox; the rest keeps it from calling home.
CHROMIUM_FLAGS = [
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that is up."""

    process: "subprocess.Popen[str]"
    folder: Path
    port: int
    url: str
    username: str
    password: str
    partner_api: str


def start_demo(*, folder: Path, port: int) -> Demo:
    """Start the demo and wait for its READY line."""
    environment = {**os.environ, "DATA_DIR": str(folder), "PORT": str(port)}
    environment.pop("DJANGO_SETTINGS_MODULE")  # pytest-django's, for this process
    process = subprocess.Popen(
        [sys.executable, "-m", "dashboard.launch", "demo"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        if select.select([process.stdout], [], [], 1)[0]:
            line = process.stdout.readline()
            if line.startswith("READY "):
                return Demo(process=process, folder=folder, port=port, **json.loads(line.removeprefix("READY ")))
    process.kill()
    logs = "\n".join(f"== {log.name}\n{log.read_text()[-2000:]}" for log in (folder / "logs").glob("*.log"))
    pytest.fail(f"The demo was not up within {READY_S} s.\n{logs}")


def stop_demo(demo: Demo) -> float:
    """Ask it to stop and return how long that took, in seconds."""
    started = time.monotonic()
    demo.process.terminate()
    demo.process.wait(timeout=60)
    demo.process.stdout.close()
    return time.monotonic() - started


@pytest.fixture(scope="session")
def demo_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="redeliver-demo-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def demo(demo_folder: Path) -> Iterator[Demo]:
    """One demo for all journeys of this process; they are grouped into one."""
    running = start_demo(folder=demo_folder, port=claim_port(0))
    yield running
    if running.process.poll() is None:
        stop_demo(running)


@pytest.fixture(scope="module")
def browser(django_db_setup: None) -> Iterator[Browser]:
    """A Chromium for one module.

    Playwright's event loop runs in this thread for as long as it is there, and Django takes that for a mistake: so it
    is told otherwise meanwhile, the test database is made before, and all of it is gone before the next module.
    """
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        missing = "no Chromium was found: install Debian's package chromium"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page in a context of its own; any complaint of the browser (CSP, script error) fails the test."""
    contexts = []
    complaints: list[str] = []

    def opener(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield opener
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Where pictures go: SCREENSHOTS, or a folder that nobody keeps."""
    folder = Path(os.environ.get("SCREENSHOTS") or tempfile.mkdtemp(prefix="redeliver-screenshots-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
