"""What is hidden of URLs and headers, and what is not."""

import pytest

from dashboard.rules.masking import REDACTED, Masking
from dashboard.rules.outside_texts import cut

RULE = Masking()
KEY = "aB3-_" * 8 + "xyz"
"""As long as a receiver's key."""
HIDDEN = [
    "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key", "x_api_key", "Api-Key", "X-ApiKey",
    "X-Auth-Token", "X-Access-Token", "X-CSRF-Token", "X-Vault-Token", "X-Secret", "X-Client-Secret", "X-Password",
    "X-Auth", "X-Functions-Key", "Ocp-Apim-Subscription-Key", "X-Amz-Security-Token", "X-Session-Id",
    "X-Amzn-Oidc-Data", "X-Goog-Iap-Jwt-Assertion", "X-Session", "X-Otp", "X-Pin",
]  # fmt: skip
SHOWN = [
    "Content-Type", "Content-Length", "Host", "User-Agent", "Accept", "X-Request-Id", "X-Forwarded-For", "Author",
    "ETag", "X-OpenTrain-Signature", "X-OpenTrain-Delivery", "X-OpenTrain-Event", "Traceparent", "X-Keyword",
    "Idempotency-Key", "X-Hub-Signature", "WWW-Authenticate", "Location", "Code",
    "X-Pinned", "Session-Type",
]  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_header_that_holds_a_secret_by_its_name_is_hidden(name: str) -> None:
    for spelled in (name, name.lower(), name.upper()):
        assert RULE.header(spelled, "s3cr3t") == REDACTED


@pytest.mark.parametrize("name", SHOWN)
def test_other_header_is_shown(name: str) -> None:
    assert RULE.header(name, "t=1,v1=abc") == "t=1,v1=abc"


@pytest.mark.parametrize(
    "value",
    [
        "Bearer abcdefgh1234",
        "basic YWRhOnNlY3JldA==",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
        "a ot_ptk_abc",
        "rdo_a",
    ],
)
def test_value_that_is_a_credential_is_hidden_whatever_its_header_is_called(value: str) -> None:
    assert RULE.header("X-Anything", value) == REDACTED


def test_credential_that_was_cut_to_be_kept_is_hidden() -> None:
    assert RULE.header("X-Anything", cut("Bearer " + "a" * 2000, most=1000)) == REDACTED


def test_plain_words_are_no_credential() -> None:
    assert RULE.header("X-Plan", "basic plan") == "basic plan"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://h.example/in?api_key=s3cr3t", "https://h.example/in?api_key=[redacted]"),
        (f"https://h.example/hooks/{KEY}/", "https://h.example/hooks/[redacted]/"),
        (f"https://h.example/at/hooks/{KEY}?a=1", "https://h.example/at/hooks/[redacted]?a=1"),
        (f"https://h.example/hooks/%41{KEY[1:]}/", "https://h.example/hooks/[redacted]/"),
        (f"https://h.example/hooks/{KEY[:20]}…", "https://h.example/hooks/[redacted]"),
        ("https://h.example/hooks/opentrain/production-de/", "https://h.example/hooks/opentrain/production-de/"),
        ("https://h.example/in?a=1&apiKey=s3cr3t&b=2#x", "https://h.example/in?a=1&apiKey=[redacted]&b=2#x"),
        ("https://h.example/?access%5Ftoken=s3cr3t", "https://h.example/?access%5Ftoken=[redacted]"),
        ("https://h.example/?sv=1&sig=s3cr3t%2B", "https://h.example/?sv=1&sig=[redacted]"),
        ("https://h.example/?X-Amz-Signature=s3cr3t", "https://h.example/?X-Amz-Signature=[redacted]"),
        ("https://h.example/?code=s3cr3t==", "https://h.example/?code=[redacted]"),
        ("https://h.example/?a=1;token=s3cr3t", "https://h.example/?a=1;token=[redacted]"),
        ("https://h.example/#access_token=s3cr3t&x=1", "https://h.example/#access_token=[redacted]&x=1"),
        ("https://h.example/?x=1#token=s3cr3t", "https://h.example/?x=1#token=[redacted]"),
        ("https://h.example/?t=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "https://h.example/?t=[redacted]"),
        ("https://h.example/?next=whsec_s3cr3t", "https://h.example/?next=[redacted]"),
        ("https://user:s3cr3t@h.example/in", "https://[redacted]@h.example/in"),
        ("https://s3cr3t@h.example:8443?x=1", "https://[redacted]@h.example:8443?x=1"),
        ("https://user:s3@cr3t@h.example/", "https://[redacted]@h.example/"),
        ("/moved?token=s3cr3t", "/moved?token=[redacted]"),
        ("//user:s3cr3t@h.example/", "//[redacted]@h.example/"),
    ],
)
def test_secret_of_a_url_is_hidden_and_the_rest_stays(given: str, shown: str) -> None:
    assert RULE.url(given) == shown
    assert RULE.url(shown) == shown


@pytest.mark.parametrize(
    "url",
    [
        "", "https://h.example", "https://h.example/a@b", "https://h.example/in?tenant=acme&page=2", "https://h.example/?",
        "https://h.example/?token=", "https://h.example/?keyword=a", "https://h.example/token/abc", "not a url",
        "https://h.example/?mail=a@b.example", "https://h.example/?a=b=c&&d", "https://[2001:db8::1]:443/?a=1",
    ],
)  # fmt: skip
def test_url_without_a_secret_stays_as_it_is(url: str) -> None:
    assert RULE.url(url) == url


def test_urls_in_a_text_are_masked_and_its_words_stay() -> None:
    text = "Changed: the handler is now https://a.example/?api_key=s3cr3t (it was https://u:s3cr3t@b.example?token=s3cr3t)."
    assert RULE.text(text) == (
        "Changed: the handler is now https://a.example/?api_key=[redacted] "
        "(it was https://[redacted]@b.example?token=[redacted])."
    )
    assert RULE.text("token=abc is no URL") == "token=abc is no URL"


@pytest.mark.parametrize("name", ["Location", "Link", "Referer"])
def test_url_in_a_header_is_masked(name: str) -> None:
    assert RULE.header(name, "https://a.example/?token=s3cr3t") == "https://a.example/?token=[redacted]"
    assert RULE.header("X-Note", "see https://a.example/?token=s3cr3t") == "see https://a.example/?token=[redacted]"
    assert RULE.header("Location", "/in?sig=s3cr3t") == "/in?sig=[redacted]"


def test_operator_adds_patterns_and_takes_none_away() -> None:
    rule = Masking(names=["X-Partner-*", "tenant_ref", "x-opentrain-signature", "a.b"])
    assert (
        rule.header("x-partner-code", "s") == rule.header("Tenant-Ref", "s") == rule.header("Cookie", "s") == REDACTED
    )
    assert rule.url("https://h.example/?tenantRef=s") == "https://h.example/?tenantRef=[redacted]"
    assert (rule.header("X-OpenTrain-Signature", "t=1"), rule.header("aXb", "s")) == ("t=1", "s")
    assert RULE.header("X-Partner-Code", "s") == "s"


@pytest.mark.parametrize(
    "piece", ["a", "a=", "&", "https://", "@", "eyJ", "-eyJ", "?a=b)", ").", "bearer ", "a=).", "token=", "whsec_", ":"]
)
def test_steps_grow_with_the_text_and_not_with_its_square(piece: str) -> None:
    """A million characters take seconds when each step is one character, and days when each is a text."""
    assert RULE.text("https://h.example/?" + piece * (1_000_000 // len(piece)))
    assert RULE.header("X-A", piece * (1_000_000 // len(piece)) + "://")
