"""URLs that users enter: accepted, or refused before any call to them."""

import pytest
from django.core.exceptions import ValidationError

from dashboard.forms.web_addresses import handler_address, opentrain_address, web_address
from tests.factories import make_endpoint


def taken(check, text: str) -> bool:
    try:
        check(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        ("https://example.com", True),
        ("http://example.com:8080/a?b=c#d", True),
        ("HTTPS://EXAMPLE.COM/", True),
        ("https://[2001:db8::1]/", True),
        ("", False),
        ("example.com", False),
        ("//example.com", False),
        ("ftp://example.com", False),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("https:///path", False),
        ("https://ex ample.com", False),
        ("https://example.com/\n", False),
        ("https://exämple.com", False),
        ("https://example.com:99999/", False),
        ("https://[::1/", False),
        ("https://user@example.com", False),
        ("https://user:pass@example.com", False),
        ("https://:pass@example.com", False),
    ],
)
def test_web_address(text: str, is_taken: bool) -> None:
    assert taken(web_address, text) is is_taken


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("https://93.184.216.34/", True),
        ("https://[2606:2800:220:1::1]/", True),
        ("https://a-name.example.com/", True),
        ("http://localhost/", False),
        ("http://127.0.0.1/", False),
        ("http://10.0.0.1/", False),
        ("http://169.254.169.254/latest", False),
        ("http://[::1]/", False),
        ("http://[::ffff:10.0.0.1]/", False),
    ],
)
def test_handler_is_at_a_public_address_unless_the_setting_allows_others(settings, text: str, public: bool) -> None:
    settings.HANDLER_PRIVATE_ADDRESSES = False
    assert taken(handler_address, text) is public
    settings.HANDLER_PRIVATE_ADDRESSES = True
    assert taken(handler_address, text)


def test_handler_needs_a_whole_address_whatever_is_allowed(settings) -> None:
    settings.HANDLER_PRIVATE_ADDRESSES = True
    assert not taken(handler_address, "localhost:8000")


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        ("https://example.com/hook", True),
        ("http://example.com/hook", False),
        ("http://localhost:9000/", True),
        ("http://127.0.0.1/", True),
        ("http://[::1]:9000/", True),
        ("http://localhost.example.com/", False),
        ("https://user@example.com", False),
    ],
)
def test_opentrain_delivers_in_the_clear_to_this_machine_alone(text: str, is_taken: bool) -> None:
    assert taken(opentrain_address, text) is is_taken


def test_refusal_names_the_setting_that_allows_it(settings) -> None:
    settings.HANDLER_PRIVATE_ADDRESSES = False
    with pytest.raises(ValidationError, match="HANDLER_PRIVATE_ADDRESSES=1"):
        handler_address("http://10.0.0.1/")


@pytest.mark.parametrize(
    "text",
    [
        "https://redeliver.example.com/hooks/any-key/",
        "https://REDELIVER.example.com:443/hooks/any-key",
        "https://in.example.com/hooks/any-key/",
        "https://proxy.example.com/below/hooks/key_of-another?a=b",
        "https://10.0.0.1/%68ooks/key_of%2Danother/",
    ],
)
@pytest.mark.django_db
def test_handler_is_no_receiver_of_ours_not_even_through_a_proxy(settings, text: str) -> None:
    settings.RECEIVER_URL = "https://in.example.com"
    settings.HANDLER_PRIVATE_ADDRESSES = True
    make_endpoint(receiver_key="key_of-another")
    with pytest.raises(ValidationError, match="leads back to Redeliver"):
        handler_address(text)


@pytest.mark.parametrize("text", ["https://acme.example.com/hooks/", "https://acme.example.com/hooks/a%00b"])
@pytest.mark.django_db
def test_handler_may_have_an_address_like_a_receivers(text: str) -> None:
    assert taken(handler_address, text)
    assert taken(handler_address, "https://acme.example.com/hooks/a-key-of-theirs/")
