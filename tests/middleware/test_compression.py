"""Pages and static files are compressed."""

import gzip
from pathlib import Path

import pytest

from dashboard.middleware.compression import StaticFiles
from dashboard.models import User
from tests.views.conftest import Browser, browser_of

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def ana(support: User) -> Browser:
    return browser_of(support)


def test_page_is_compressed_for_who_takes_it_and_says_the_same(ana: Browser) -> None:
    plain = ana.client.get("/help/keys/")
    packed = ana.client.get("/help/keys/", headers=GZIP)
    assert (plain.headers.get("Content-Encoding"), packed["Content-Encoding"]) == (None, "gzip")
    assert "Go to inbox" in gzip.decompress(packed.content).decode()
    assert len(packed.content) < len(plain.content) / 2


def test_compressed_part_is_304_while_nothing_changes(ana: Browser, support: User) -> None:
    first = ana.client.get("/inbox/live/", headers=GZIP)
    again = ana.client.get("/inbox/live/", headers=GZIP | {"If-None-Match": first["ETag"]})
    assert (first["Content-Encoding"], again.status_code, again.content) == ("gzip", 304, b"")


def test_static_file_is_compressed_with_gzip_alone(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a { color: red }\n" * 100)
    storage = StaticFiles(location=str(tmp_path), base_url="/static/")
    list(storage.post_process({"a.css": (storage, "a.css")}))
    kinds = {path.suffix for path in tmp_path.iterdir()}
    assert kinds == {".css", ".gz", ".json"}
