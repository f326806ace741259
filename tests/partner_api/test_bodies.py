"""Request bodies: read within limits, and refused with a clear message."""

import pytest

from dashboard.partner_api import bodies
from dashboard.partner_api.models import Endpoint
from tests.partner_api.conftest import Partner
from tests.partner_api.test_errors import problem, refused

pytestmark = pytest.mark.urls("dashboard.partner_api.urls")

BODIES = [
    (b"", "application/json", bodies.EMPTY),
    (
        b"{",
        "application/json",
        "The body is not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2.",
    ),
    (b"[]", "application/json", "The body must be a JSON object: { … }."),
    (b"null", "application/json", "The body must be a JSON object: { … }."),
    (b'"x"', "application/json", "The body must be a JSON object: { … }."),
    (b'{"a":NaN}', "application/json", "The body is not valid JSON: NaN is not a JSON value."),
    (b'{"a":1,"a":2}', "application/json", "The body names a key more than once."),
    (b'{"a":"\xff"}', "application/json", "The body is not UTF-8."),
    ('{"a":1}'.encode("utf-16"), "application/json", "The body is not UTF-8."),
    (b"[" * 60_000, "application/json", bodies.TOO_DEEP),
    (b"[" * 17, "application/json", bodies.TOO_DEEP),
    (b'{"a":' * 17 + b"{}" + b"}" * 17, "application/json", bodies.TOO_DEEP),
    (b'{"a":' + b"[" * 16 + b"]" * 16 + b"}", "application/json", bodies.TOO_DEEP),
    (
        b'{"a":-' + b"1" * 641 + b"}",
        "application/json",
        bodies.TOO_LONG,
    ),
    (
        b'{"a":' + b"1" * 5000 + b"}",
        "application/json",
        "The body contains a number with too many digits.",
    ),
    (b'{"a":"\\u0000"}', "application/json", "The body contains a NUL character, which no value may contain."),
    (b'{"a":[{"\\u0000":1}]}', "application/json", "The body contains a NUL character, which no value may contain."),
    (
        b'{"a":"\\ud800"}',
        "application/json",
        "The body contains half of a surrogate pair, which is not a character.",
    ),
    (b"{}" + b" " * 65_535, "application/json", "The body is larger than 64 KiB."),
    (
        b"{}",
        "application/json; charset=latin-1",
        "JSON must be UTF-8: encode the body as UTF-8, and leave charset out of Content-Type.",
    ),
    (
        b"{}",
        "application/json; charset=utf-16",
        "JSON must be UTF-8: encode the body as UTF-8, and leave charset out of Content-Type.",
    ),
    (b"{}", "text/plain", "Send the body as JSON, with the header Content-Type: application/json."),
    (
        b"{}",
        "application/x-www-form-urlencoded",
        "Send the body as JSON, with the header Content-Type: application/json.",
    ),
]


@pytest.mark.parametrize(("raw", "content_type", "message"), BODIES)
@pytest.mark.parametrize("limit", [2_500_000, 65_536])
def test_a_body_that_is_no_json_object_answers_400(
    *, partner: Partner, endpoint: Endpoint, settings, raw: bytes, content_type: str, message: str, limit: int
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = limit
    path = f"/webhook-endpoints/{endpoint.pk}/redeliver"
    answer = partner.call("POST", path, raw=raw, content_type=content_type)
    assert problem(answer) == (400, "BAD_REQUEST", message, {})


def test_a_body_of_64_kib_with_a_charset_is_read(partner: Partner, endpoint: Endpoint) -> None:
    answer = partner.call(
        "POST",
        f"/webhook-endpoints/{endpoint.pk}/redeliver",
        raw=b"{}" + b" " * 65_534,
        content_type="application/json; charset=utf-8",
    )
    assert (answer.status, answer.json["requeued"]) == (200, 0)


def test_a_body_of_sixteen_levels_is_read_and_its_field_is_named(partner: Partner, endpoint: Endpoint) -> None:
    raw = b'{"a":' + b"[" * 15 + b"]" * 15 + b"}"
    answer = partner.call("PATCH", f"/webhook-endpoints/{endpoint.pk}", raw=raw)
    assert problem(answer) == refused("a", "is not a field of this operation; remove it")
