"""What the front costs a page: the same console asked directly and through the receiver's process.

python -m tests.bench.bench_front; it starts its own PostgreSQL, the console under gunicorn, and the front. Each page is
requested from both in turn over kept connections, so that other load on the machine affects both equally; a cost is the
median of the differences of a pair. The last line is one JSON object:
front_ms    the highest cost of a page
direct_ms   the median time of that page without the front
"""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from django.utils import timezone

from dashboard.launch.processes import claim_port, end_with_owner
from dashboard.launch.site import gunicorn, manage
from tests.bench.site import console, make_installs

INSTALLS = 100
REPEATS = int(os.environ.get("REPEATS", "400"))
WARM_UP = 40
UP_S = 60
PAGES = ("/", "/inbox/live/", "/accounts/", "/static/vendor/tabler-1.6.1/tabler.min.css")


def main() -> None:
    with console(ALLOWED_HOSTS="localhost", LOG_LEVEL="WARNING"), contextlib.ExitStack() as stack:
        cookie = signed_in()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="redeliver-front-")))
        direct, through = claim_port(0), claim_port(0)
        os.environ |= {"RECEIVER_CONSOLE": str(folder / "console"), "RECEIVER_BIND": f"127.0.0.1:{through}"}
        subprocess.run(manage("collectstatic", "--noinput"), check=True, capture_output=True)
        web = gunicorn(application="dashboard.wsgi:application", bind=f"unix:{folder / 'console'}", threads=16)
        stack.enter_context(running(*web, "--bind", f"127.0.0.1:{direct}"))
        stack.enter_context(running(sys.executable, "-m", "dashboard.receiver"))
        asked = [stack.enter_context(asking(port, cookie)) for port in (direct, through)]
        report({path: measure(path, *asked) for path in PAGES})


def signed_in() -> str:
    """Return the session cookie of a member who sees all installs."""
    from django.conf import settings
    from django.test import Client

    from dashboard.models import User

    make_installs(first=1, count=INSTALLS, at=timezone.now())
    client = Client()
    client.force_login(User.objects.create_user("ana", role="support"))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


@contextlib.contextmanager
def running(*command: str) -> Iterator[None]:
    process = subprocess.Popen(command, preexec_fn=end_with_owner)  # noqa: PLW1509 - it only asks for a signal
    try:
        yield
    finally:
        process.terminate()
        process.wait(UP_S)


class Asking:
    """A kept connection of a signed-in browser."""

    def __init__(self, port: int, cookie: str) -> None:
        self.connection = http.client.HTTPConnection("localhost", port, timeout=UP_S)
        self.headers = {"Cookie": cookie, "Accept-Encoding": "gzip", "Accept": "text/html"}

    def ms(self, path: str) -> float:
        started = time.perf_counter()
        self.connection.request("GET", path, headers=self.headers)
        response = self.connection.getresponse()
        response.read()
        assert response.status == http.HTTPStatus.OK, (path, response.status)
        return (time.perf_counter() - started) * 1000


@contextlib.contextmanager
def asking(port: int, cookie: str) -> Iterator[Asking]:
    """Yield a connection to a server once it is up."""
    one = Asking(port, cookie)
    deadline = time.monotonic() + UP_S
    while True:
        try:
            one.ms("/healthz")
            one.ms("/")
            break
        except (OSError, AssertionError):
            one.connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    yield one
    one.connection.close()


def measure(path: str, direct: Asking, through: Asking) -> tuple[float, float]:
    """Return the cost of the front and the median time without it, in ms."""
    pairs = []
    for number in range(WARM_UP + REPEATS):
        if number % 2:
            one, other = direct.ms(path), through.ms(path)
        else:
            other, one = through.ms(path), direct.ms(path)
        pairs.append((one, other))
    kept = pairs[WARM_UP:]
    return median(other - one for one, other in kept), median(one for one, _ in kept)


def report(found: dict[str, tuple[float, float]]) -> None:
    for path, (cost, alone) in found.items():
        print(f"{path:50} {alone:7.2f} ms directly, {cost:+6.2f} ms through the front")
    cost, alone = max(found.values())
    print(json.dumps({"front_ms": round(cost, 2), "direct_ms": round(alone, 2)}))


if __name__ == "__main__":
    main()
