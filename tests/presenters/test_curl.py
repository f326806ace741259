"""The curl command: run by a real shell and a real curl, it sends the stored request and does nothing else."""

import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from dashboard.presenters import curl

URL = "https://acme.example.com/hook"


@pytest.fixture
def handler() -> Iterator[Any]:
    """A handler on loopback that keeps the last request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.server.got = (dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(command: str) -> None:
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, timeout=60)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1}',
        b"",
        b"@/etc/passwd",
        b"'; touch /tmp/never; echo '$(id) `id` \\ !x \"%s\" %d",
        "line\nand another: é 漢".encode(),
        b"\x1b[2J\x00\x03\r\n\xff",
        b"line\r\n",
        bytes(range(256)),
    ],
)
def test_command_sends_the_very_bytes(handler: Any, body: bytes) -> None:
    headers = [("Content-Type", "application/json"), ("X-OpenTrain-Event", "it's $(id)"), ("X-Empty", "")]
    run(curl.command(url=f"http://127.0.0.1:{handler.server_port}/hook?a=[1-3]&b={{x,y}}'", headers=headers, body=body))
    got, sent = handler.got
    assert sent == body
    assert (got["Content-Type"], got["X-OpenTrain-Event"], got["X-Empty"]) == ("application/json", "it's $(id)", "")


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\u3164", "\ufe0f", "\u00a0", "\r"])
def test_command_hides_nothing_from_who_reads_it(hidden: str) -> None:
    command = curl.command(url=URL, headers=[("X-A", f"a{hidden}b")], body=f'{{"a": "{hidden}"}}\n'.encode())
    assert hidden not in command
    assert "base64 -d" in command


def test_command_leaves_out_secrets_and_what_curl_says_itself() -> None:
    headers = [
        ("Host", "redeliver.example.com"),
        ("Content-Length", "2"),
        ("Authorization", "Bearer x"),
        ("Cookie", "[redacted]"),
        ("X-Token", "[redacted]"),
        ("X-OpenTrain-Delivery", "dlv_1"),
    ]
    assert curl.command(url=URL, headers=headers, body=b"{}") == (
        "curl \\\n  --include \\\n  --globoff \\\n  --request POST \\\n"
        f"  --url {URL} \\\n  --header 'X-OpenTrain-Delivery: dlv_1' \\\n  --data-raw '{{}}'"
    )


def test_command_leaves_out_headers_that_are_not_headers() -> None:
    headers = [("@/etc/passwd", "x"), ("X-A", "a\r\nX-B: b"), ("", "x"), ("X: y", "z")]
    assert "--header" not in curl.command(url=URL, headers=headers, body=b"{}")


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "-o/tmp/x", "https://a b/", "https://a.example.com/\n"])
def test_address_that_is_no_web_address_makes_no_command(url: str) -> None:
    assert curl.command(url=url, headers=[], body=b"{}") == ""


def test_large_body_makes_no_command() -> None:
    assert curl.command(url=URL, headers=[], body=b"x" * (curl.BODY_BYTES + 1)) == ""


def test_header_that_the_log_has_cut_is_left_out() -> None:
    said = curl.command(url=URL, headers=[("X-Long", "v" * 999 + "…"), ("X-Whole", "v" * 1000)], body=b"{}")
    assert ("X-Long" in said, "X-Whole: v" in said) == (False, True)
