"""A contract ends, and its event is lost: real processes notice, say so, hand it over, and close the finding.

The demo with a clock of its own: waits are so short that nothing can come any more after 20 s, and nothing happens that
the test does not cause.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from dashboard.launch.processes import claim_port
from tests.journeys.acting import RUN_MS, take_all, wait_for
from tests.journeys.conftest import ROOT, Demo, start_demo, stop_demo
from tests.partner_api.sink import Received, running_sink

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("demo")]
SWEEP_MS = 45_000
"""Timeout of one sweep. They begin every 5 s; a busy machine is slower."""
SHORT = """
import sys
from dashboard.launch import __main__ as launch, demo
demo.RETRY_DELAYS_S, demo.RUN_INTERVAL_S, demo.EVENT_EVERY_S, demo.LOSE = "1,1,1,1", "1", "3600", "0"
sys.exit(launch.main(["demo"]))
"""
PASSWORD = "a-password-of-paul"
# Of Acme Labs' two endpoints, the one with a handler that works is left. Paul is its partner admin.
PREPARE = f"""
import json
from django.utils import timezone
from dashboard.models import Endpoint, Grant, User
from dashboard.services import opentrain
endpoints = Endpoint.objects.select_related("install").filter(install__name="Acme Labs")
broken = endpoints.get(handler_url__contains="acme-billing")
opentrain.delete_endpoint(token=broken.install.token, endpoint_id=broken.opentrain_id)
Endpoint.objects.filter(pk=broken.pk).update(deleted_at=timezone.now())
works = endpoints.get(handler_url__contains="acme-contracts")
paul = User.objects.create_user("paul", password="{PASSWORD}", role="partner_admin")
Grant.objects.create(user=paul, install=works.install)
print(json.dumps(dict(install=works.install.opentrain_id, handler=works.handler_url, secret=works.secret.reveal())))
"""
POINT = """
from dashboard.models import Endpoint
print(Endpoint.objects.filter(handler_url="{before}").update(handler_url="{after}"))
"""


@pytest.fixture
def short_demo() -> Iterator[Demo]:
    folder = Path(tempfile.mkdtemp(prefix="redeliver-lost-"))
    folder.chmod(0o711)
    running = start_demo(folder=folder, port=claim_port(0), program=("-c", SHORT))
    yield running
    stop_demo(running)
    shutil.rmtree(folder)


def launch(demo: Demo, *arguments: str) -> Any:
    """Run a command of Redeliver or the Partner API on the demo's data; return what its last line says."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-m", "dashboard.launch", *arguments]
    given = environment | {"DATA_DIR": str(demo.folder), "OPENTRAIN_BASE_URL": demo.partner_api}
    done = subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def shell(demo: Demo, script: str) -> Any:
    return launch(demo, "manage", "shell", "--verbosity", "0", "-c", script)


def papi(demo: Demo, *arguments: str) -> Any:
    return launch(demo, "partner-api", *arguments)


def passed_on(url: str) -> Callable[[Received], int]:
    """Return what hands each request on to the demo's own handler, and gives back its status."""

    def hand_on(received: Received) -> int:
        request = urllib.request.Request(url, data=received.body, headers=received.headers)  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    return hand_on


def signature_by_openssl(received: Received, *, secret: str, folder: Path) -> tuple[str, str]:
    """Return the signature that the openssl command line makes of a request, as the docs say, and the sent one."""
    stamp, _, sent = received.headers["X-OpenTrain-Signature"].removeprefix("t=").partition(",v1=")
    (folder / "body").write_bytes(received.body)
    script = '(printf \'%s.\' "$1"; cat body) | openssl dgst -sha256 -hmac "$2"'
    made = subprocess.run(
        ["sh", "-c", script, "sh", stamp, secret], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return made.stdout.split()[-1], sent


def ended_row(page: Page):
    return page.locator("#endpoints-heading ~ table tbody tr").filter(has_text="contract.ended")


def wait_for_row(page: Page, text: str, *, timeout_ms: int) -> None:
    """Wait by reloading until what is known of the end at the endpoint is this."""
    for _ in range(timeout_ms // 500):
        if ended_row(page).count() and text in ended_row(page).inner_text():
            return
        page.wait_for_timeout(500)
        page.reload()
    expect(ended_row(page)).to_contain_text(text)


def sign_in_as_paul(page: Page, demo: Demo) -> None:
    page.goto(demo.url)
    page.get_by_label("User name").fill("paul")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="Inbox")).to_have_attribute("aria-current", "page")


def hand_over(page: Page, *, why: str, screenshots: Path) -> None:
    """Allow it as the partner admin, and send what is missing to the handler."""
    page.goto(why)
    ended_row(page).get_by_role("link", name="Hand over").click()
    page.get_by_role("link", name="Allow sending").click()
    page.get_by_role("button", name="Allow sending").click()
    page.goto(why)
    ended_row(page).get_by_role("link", name="Hand over").click()
    take_all(page, screenshots, "hand-over")
    page.get_by_role("button", name="Send to your handler").click()
    expect(page.locator("#answer")).to_contain_text("Your handler took it (200", timeout=RUN_MS)


def test_a_lost_end_is_noticed_named_handed_over_and_closed(
    short_demo: Demo, open_page: Callable[..., Page], screenshots: Path, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    demo, page = short_demo, open_page()
    known = shell(demo, PREPARE)
    with running_sink() as sink:
        sink.answer = passed_on(known["handler"])
        assert shell(demo, POINT.format(before=known["handler"], after=sink.url)) == 1
        job = papi(demo, "link", "--install", known["install"], "--project", "lost", "--new-job", "Street scenes")[
            "job"
        ]
        contract = papi(demo, "hire", "--job", job)["contract"]
        sign_in_as_paul(page, demo)
        why = f"{demo.url}/why/?q={contract}"
        page.goto(why)
        wait_for(page, "main", "Your handler took contract.started", timeout_ms=SWEEP_MS)

        # It ends, and OpenTrain says nothing. One sweep later it is not seen yet, and it may still come.
        assert papi(demo, "end", "--contract", contract, "--lose", "1")["events"] == []
        page.goto(demo.url)
        wait_for(page, "main", "1 contract.ended of Acme Labs not seen yet", timeout_ms=SWEEP_MS)
        page.goto(why)
        expect(ended_row(page)).to_contain_text("Not seen yet")
        expect(ended_row(page)).to_contain_text("It may still come until")

        # When nothing can come any more, it is missing.
        wait_for_row(page, "Missing", timeout_ms=RUN_MS)
        expect(ended_row(page)).to_contain_text("OpenTrain did not send it, or it was lost on the way")
        expect(ended_row(page)).to_contain_text("A person may still have access")
        take_all(page, screenshots, "why-missing")
        page.goto(demo.url)
        expect(page.locator("main")).to_contain_text("1 person may still have access to Acme Labs")
        take_all(page, screenshots, "inbox-access")

        # What is handed over is signed as OpenTrain signs, and says that it is not from there.
        before = len(sink.requests)
        hand_over(page, why=why, screenshots=screenshots)
        [received] = sink.requests[before:]
        assert received.headers["X-Redeliver-Reconstructed"] == "1"
        said = json.loads(received.body)
        assert (said["type"], said["resourceId"], said["reconstructed"]) == ("contract.ended", contract, True)
        made, sent = signature_by_openssl(received, secret=known["secret"], folder=tmp_path)
        assert made == sent

        # The finding closes without anyone's doing.
        page.goto(why)
        wait_for_row(page, "took contract.ended", timeout_ms=RUN_MS)
        page.goto(demo.url)
        expect(page.locator("main")).not_to_contain_text("may still have access")
