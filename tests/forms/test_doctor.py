"""Parsing a request pasted into the doctor."""

import base64
from datetime import UTC, datetime

import pytest
from django.http import QueryDict

from dashboard.forms.doctor import DoctorForm
from dashboard.rules.attempts import BODY_LIMIT
from dashboard.rules.time_zones import read_in, zone_named

NOW = datetime(2026, 6, 12, 12, 30, tzinfo=UTC)
HEADERS = "X-OpenTrain-Signature: t=1,v1=ab"


def sent(**fields: str) -> DoctorForm:
    query = QueryDict(mutable=True)
    query.update({"headers": HEADERS, "encoding": "text", **fields})
    form = DoctorForm(query, now=NOW)
    form.is_valid()
    return form


def test_headers_are_read_as_pairs() -> None:
    form = sent()
    assert (dict(form.errors), form.cleaned_data["headers"]) == ({}, [("X-OpenTrain-Signature", "t=1,v1=ab")])


@pytest.mark.parametrize("headers", ["", "the webhook does not work", "x" * 32_001])
def test_headers_that_are_none_are_refused(headers: str) -> None:
    assert list(sent(headers=headers).errors) == ["headers"]


def test_body_as_text_may_have_had_either_line_end() -> None:
    form = sent(body="a\r\nb\r\n")
    assert (form.bodies, form.is_exact) == ([b"a\nb\n", b"a\r\nb\r\n"], False)
    assert sent(body="ü").bodies == ["ü".encode()]
    assert sent().bodies == [b""]


def test_body_in_base64_is_exact_whatever_spaces_are_in_it() -> None:
    for text in (" YQ0K\r\nYg== ", "\u200b\u201cYQ0KYg==\u201d\u00a0"):
        form = sent(body=text, encoding="base64")
        assert (form.bodies, form.is_exact) == ([b"a\r\nb"], True)
    assert sent(body="-_-_", encoding="base64").bodies == [base64.b64decode("+/+/")]


@pytest.mark.parametrize("body", ["!", "YQ=", "ü"])
def test_body_that_is_not_base64_is_refused(body: str) -> None:
    assert list(sent(body=body, encoding="base64").errors) == ["body"]


def test_body_has_the_receivers_limit() -> None:
    whole = base64.b64encode(b"x" * BODY_LIMIT).decode()
    beyond = base64.b64encode(b"x" * (BODY_LIMIT + 1)).decode()
    assert dict(sent(body=whole, encoding="base64").errors) == {}
    assert list(sent(body=beyond, encoding="base64").errors) == ["body"]


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-12 12:00:00",
        "2026-06-12 12:00",
        "2026-06-12 12:00:00 UTC",
        "2026-06-12T12:00:00.000Z",
        "2026-06-12T14:00:00+02:00",
        "2026-06-12 17:30:00 UTC+05:30",
        "12:00",
        "today 12pm",
        "2026-06-12T09:30:00\u221202:30",
        "\u200b\u201c2026-06-12\u00a012:00:00\u201d,",
    ],
)
def test_time_of_arrival_is_taken_as_pages_and_logs_write_it(text: str) -> None:
    assert sent(arrived_at=text).cleaned_data["arrived_at"] == datetime(2026, 6, 12, 12, tzinfo=UTC)


def test_time_of_arrival_may_be_left_out() -> None:
    assert sent(arrived_at=" \u200b").cleaned_data["arrived_at"] is None


def test_time_of_arrival_is_the_readers() -> None:
    with read_in(zone_named("Asia/Kolkata")):
        assert sent(arrived_at="2026-06-12 17:30").cleaned_data["arrived_at"] == datetime(2026, 6, 12, 12, tzinfo=UTC)


IN_OCTOBER = "on 26 October 2025 in Europe/Berlin, as CEST and as CET"
ADD = " Add the offset, as in 2026-06-12 12:00:00+02:00."
NOT_A_TIME = "Enter a time such as 2026-06-12 12:00:00 (Europe/Berlin), or leave it empty."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("midday", NOT_A_TIME),
        ("2026-06-12", NOT_A_TIME),
        ("2026-06-12T12Z", NOT_A_TIME),
        ("2026-06-31 12:00", "This is not a time: there is no such day."),
        ("0001-01-01T00:00+14:00", "This is not a time: years go from 1970 to 2999."),
        (
            "2025-10-26 02:30",
            f"02:30 comes twice {IN_OCTOBER}, because the clocks go back.{ADD}",
        ),
        (
            "2026-03-29 02:30",
            f"02:30 does not exist on 29 March 2026 in Europe/Berlin, because the clocks go forward.{ADD}",
        ),
    ],
)
def test_time_of_arrival_that_does_not_tell_a_signatures_age_is_refused(text: str, said: str) -> None:
    with read_in(zone_named("Europe/Berlin")):
        assert sent(arrived_at=text).errors["arrived_at"] == [said]


def test_secret_is_taken_as_it_is() -> None:
    assert sent(secret=" whsec_x\n").cleaned_data["secret"] == " whsec_x\n"


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("whsec_a\nwhsec_b", "This contains 2 signing secrets. Paste only one."),
        ("whsec_awhsec_b", "This contains 2 signing secrets. Paste only one."),  # a browser joins the lines
        ("ot_ptk_c4n4ry", "This is an install token (ot_ptk_…), not a signing secret (whsec_…)."),
        ("rdo_c4n4ry", "This is an observation key (rdo_…), not a signing secret (whsec_…)."),
    ],
)
def test_what_cannot_be_the_secret_is_refused_with_the_true_reason(secret: str, words: str) -> None:
    assert sent(secret=secret).errors == {"secret": [words]}
