"""The demo, started as a user starts it, and a real Chromium."""

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
from pytest_django.live_server_helper import LiveServer

from dashboard.launch.processes import claim_port
from dashboard.models import User
from tests.faults.failed import session_of

ROOT = Path(__file__).resolve().parents[2]
READY_S = 120
PATIENCE_MS = 30_000
"""Timeout of a page's responses, long enough for a busy machine."""
expect.set_options(timeout=PATIENCE_MS)
# Chromium has no sandbox as root; the other flags prevent its background network requests.
CHROMIUM_FLAGS = [
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP plain.test 127.0.0.1",  # a host that is no localhost: on http, not a secure context
]


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo."""

    process: "subprocess.Popen[str]"
    folder: Path
    port: int
    url: str
    username: str
    password: str
    partner_api: str


DEMO = ("-m", "dashboard.launch", "demo")


def start_demo(*, folder: Path, port: int, program: tuple[str, ...] = DEMO) -> Demo:
    """Start the demo and wait for its READY line. `program` are Python's arguments."""
    environment = {**os.environ, "DATA_DIR": str(folder), "PORT": str(port)}
    environment.pop("DJANGO_SETTINGS_MODULE")  # pytest-django sets it for this process only
    process = subprocess.Popen(
        [sys.executable, *program],
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
    """Stop the demo by a signal and return how many seconds that took."""
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
    """One demo for all journeys, which are grouped into one process."""
    running = start_demo(folder=demo_folder, port=claim_port(0))
    yield running
    if running.process.poll() is None:
        stop_demo(running)


@pytest.fixture(scope="module")
def browser(django_db_setup: None) -> Iterator[Browser]:
    """A Chromium for one module.

    Playwright's event loop runs in this thread while the browser exists, and Django would refuse database access there.
    So the fixture allows it meanwhile, creates the test database first, and ends before the next module.
    """
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        missing = "no Chromium was found: install Debian's package chromium"
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        zone = {**os.environ, "TZ": "UTC"}  # pages show times in it
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS, env=zone)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a page in a new context; any error in the browser's console (CSP, script error) fails the test."""
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


@pytest.fixture
def page_as(live_server: LiveServer, open_page: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    """Open an empty page of the live server's console in a new context where a user is signed in, without the form."""
    opened: list[Page] = []

    def opener(user: User, **options: Any) -> Page:
        page = open_page(base_url=live_server.url, **options)
        page.context.add_cookies([{"name": "sessionid", "value": session_of(user), "url": live_server.url}])
        opened.append(page)
        return page

    yield opener
    for page in opened:
        page.goto("about:blank")  # no poll may be in progress when the database is emptied


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """The folder for screenshots: SCREENSHOTS, or a temporary one."""
    folder = Path(os.environ.get("SCREENSHOTS") or tempfile.mkdtemp(prefix="redeliver-screenshots-"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
