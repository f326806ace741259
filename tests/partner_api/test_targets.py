"""URLs that an endpoint may have."""

from urllib.parse import urlsplit

import pytest
import yarl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.partner_api import targets

GOOD = [
    "https://partner.example.com/hooks/opentrain",
    "https://partner.example.com",
    "HTTPS://Partner.Example.com:8443/a?b=c&d=%20",
    "https://10.0.0.7/x",
    "https://[2001:db8::1]:443/x",
    "https://xn--bcher-kva.example/",
    "https://host_name.internal/",
    "https://example.com./x",
    "http://localhost:8000/hooks/k/",
    "http://127.0.0.1:9/x",
    "http://[::1]:9/x",
    "https://e.example/" + "a" * (2048 - 18),
]

ASCII = "must be an absolute URL of printable ASCII"
HTTPS = "must be https; plain http is for localhost"
BAD = [
    ("", ASCII),
    ("https://e.example/" + "a" * (2049 - 18), "must be at most 2048 characters long; this has 2049"),
    ("https://e.example/a b", ASCII),
    ("https://e.example/\n", ASCII),
    ("https://e.example/\x00", ASCII),
    ("https://e.example/\x7f", ASCII),
    ("https://bücher.example/", ASCII),
    ("https://e.example\\@evil.example/", ASCII),
    ("https://e.example/\ud800", ASCII),
    ("https://u:p@e.example/", "must not contain a user name or password"),
    ("https://@e.example/", "must not contain a user name or password"),
    ("https://e.example/#x", "must not have a fragment"),
    ("https://e.example/#", "must not have a fragment"),
    ("http://e.example/", HTTPS),
    ("http://localhost.evil.example/", HTTPS),
    ("http://127.0.0.2/", HTTPS),
    ("http://127.1/", HTTPS),
    ("http://[::2]/", HTTPS),
    ("ftp://e.example/", "must begin with https://"),
    ("//e.example/", "must begin with https://"),
    ("e.example/x", "must begin with https://"),
    ("https:e.example", "must begin with https://"),
    ("javascript:alert(1)", "must begin with https://"),
    ("https:///x", "has no host name"),
    ("https://:443/x", "has no host name"),
    ("https://e.example:0/", "has an invalid port"),
    ("https://e.example:/", "has an invalid port"),
    ("https://e.example:65536/", "is not a URL"),
    ("https://e.example:8x/", "is not a URL"),
    ("https://[::1/", "is not a URL"),
    ("https://[::1]3/", "is not a URL"),
    ("https://[::1].evil.example/", "is not a URL"),
    ("https://[::g]/", "is not a URL"),
    ("https://[::1%25eth0]/", "is not a URL"),
    ("https://a..example/", "has an invalid host name"),
    ("https://-a.example/", "has an invalid host name"),
    ("https://a%2eb.example/", "has an invalid host name"),
    ("https://" + "a." * 127 + "example/", "has an invalid host name"),
]


@pytest.mark.parametrize("url", GOOD)
def test_a_good_target_is_returned_unchanged(url: str) -> None:
    assert targets.check(url, allow_http_localhost=True) == url


@pytest.mark.parametrize(("url", "words"), BAD)
def test_a_bad_target_is_refused_with_its_reason(url: str, words: str) -> None:
    with pytest.raises(targets.BadTarget) as refusal:
        targets.check(url, allow_http_localhost=True)
    assert str(refusal.value).startswith(words)


def test_http_localhost_can_be_forbidden() -> None:
    with pytest.raises(targets.BadTarget, match="must be https"):
        targets.check("http://localhost:8000/", allow_http_localhost=False)
    assert targets.check("https://localhost/", allow_http_localhost=False) == "https://localhost/"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(max_size=300)
    | st.text(max_size=100).map("https://{}".format)
    | st.text(max_size=60).map("http://{}/x".format)
)
def test_any_text_is_refused_or_is_the_same_host_to_whoever_reads_it(url: str) -> None:
    try:
        checked = targets.check(url, allow_http_localhost=True)
    except targets.BadTarget:
        return
    assert checked == url
    assert url.lower().startswith(("https://", "http://localhost", "http://127.0.0.1", "http://[::1]"))
    assert yarl.URL(url).host == urlsplit(url).hostname
