"""What copying adds is removed from a value, and the rest is taken or refused with the true reason."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.rules.pasted import (
    Unusable,
    bare,
    code,
    identifier,
    mail_address,
    one,
    searched_ids,
    signing_secret,
    spellings,
    token,
    url,
    values,
)

TOKEN = "ot_ptk_c4n4ry-_x"


def reason(read: Callable[[str], str], text: str) -> str:
    with pytest.raises(Unusable) as refused:
        read(text)
    return str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "a1",
        "  a1\r\n",
        "\u00a0a1\u2009\u3000",
        "\ufeffa1\u200b",
        "a\u200b\u00ad1",
        "\u202aa1\u202c",
        "\u3164a\ufe0f1\u2800",
        '"a1"',
        "'a1'",
        "`a1`",
        "```\na1\n```",
        "“a1”",
        "„a1“",
        "\u2018a1\u2019",
        "«a1»",
        '"a1",',
        '\\"a1\\"',
        '"a1',
        "a1”",
        ' “\u200b"a1"” ;',
    ],
)
def test_bare_removes_what_copying_adds(text: str) -> None:
    assert bare(text) == "a1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "O'Brien & Söhne",
        "می\u200cخو\u0627\u0647م",
        '"a","b"',
        "https://a.example/x?q='a'",
        "<img src=x>",
        "a,b",
        "a  b",
    ],
)
def test_bare_leaves_the_rest_as_it_is(text: str) -> None:
    assert bare(text) == text


def test_bare_shows_a_space_for_every_kind_of_space() -> None:
    assert bare("2026-06-12\u00a003:12") == "2026-06-12 03:12"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" , ;\n", []),
        ("a", ["a"]),
        ("a, b ,c,", ["a", "b", "c"]),
        ("a\r\nb\n", ["a", "b"]),
        ("a; b", ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ("['a', 'b']", ["a", "b"]),
        ("[a,b]", ["a", "b"]),
        ('"a","b"', ["a", "b"]),
        ('"a,b"', ["a", "b"]),
        ("“a”;`b`", ["a", "b"]),
        ("\ufeffa,\u200bb", ["a", "b"]),
    ],
)
def test_values_reads_a_list_in_every_spelling(text: str, found: list[str]) -> None:
    assert values(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\nb", "This contains 2 lines. Paste only one name."),
        ("a\u2028b\n\nc", "This contains 3 lines. Paste only one name."),
        ('["a", "b"]', "This contains a list of 2 values. Paste only one name."),
    ],
)
def test_one_refuses_several(text: str, words: str) -> None:
    assert reason(lambda given: one(given, what="name"), text) == words


@pytest.mark.parametrize("text", ["a", "\n a \n", '["a"]', "['a']", '[\n  "a"\n]'])
def test_one_takes_one(text: str) -> None:
    assert one(text, what="name") == "a"


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"\u200b{TOKEN}\ufeff",
        TOKEN.replace("c4", "c4\u200b"),
        f"\u00a0{TOKEN}\u00a0",
        f"“{TOKEN}”",
        f"```\n{TOKEN}\n```",
        f"Bearer {TOKEN}",
        f"bearer “{TOKEN}”",
        f"Authorization: Bearer {TOKEN}",
        f'-H "Authorization: Bearer {TOKEN}" \\',
        f'["{TOKEN}"]',
        f"['{TOKEN}']",
        f'  "token": "{TOKEN}",',
        f'{{"token": "{TOKEN}"}}',
        f"export OPENTRAIN_TOKEN='{TOKEN}'",
        f"OPENTRAIN_TOKEN={TOKEN}",
        f'\\"{TOKEN}\\"',
    ],
)
def test_token_is_taken_from_what_is_around_it(text: str) -> None:
    assert token(text) == TOKEN


def test_token_of_nothing_is_nothing() -> None:
    assert token(" \u200b\n") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{TOKEN}\n{TOKEN}", "This contains 2 tokens."),
        (f"{TOKEN}{TOKEN}", "This contains 2 tokens."),  # a browser joins the lines of a one-line field
        (f'["{TOKEN}", "{TOKEN}"]', "This contains 2 tokens."),
        (f"Acme\n{TOKEN}", "This contains 2 lines."),
        ("ot_ptk_c4n\n4ry", "This contains 2 lines."),
        ("whsec_c4n4ry", "This is a signing secret (whsec_…), not an install token."),
        ("“rdo_c4n4ry”", "This is an observation key (rdo_…), not an install token."),
        ("https://a.example/?token=ot_ptk_c4n4ry", "This is a URL, not an install token."),
        ("OT_PTK_c4n4ry", "Upper and lower case were changed."),
        ("Acme Labs ot_ptk_c4n4ry", "Other text stands before the token: paste only the token."),
        ("<ot_ptk_c4n4ry>", "Other text stands before the token: paste only the token."),
        ("(ot_ptk_c4n4ry)", "Other text stands before the token: paste only the token."),
        ("**ot_ptk_c4n4ry**", "Other text stands before the token: paste only the token."),
        ("&quot;ot_ptk_c4n4ry&quot;", "Other text stands before the token: paste only the token."),
        ("\u043et_ptk_c4n4ry", "This token has characters that only look like its own. Copy it again"),
        (
            "\uff4f\uff54_ptk_c4n4ry",
            "This token has characters that only look like its own. Copy it again",
        ),
        ("xot_ptk_c4n4ry", "This is not an install token. Install tokens begin with ot_ptk_."),
        ("c4n4ry", "This is not an install token. Install tokens begin with ot_ptk_."),
        ("ot_ptk_", "This is only the beginning of a token"),
        ("ot_ptk_c4n…", "This token is shortened or masked."),
        ("ot_ptk_••••••", "This token is shortened or masked."),
        ("ot_ptk_c4n 4ry", "This token has a space in the middle."),
        ("ot_ptk_c4n\u00a04ry", "This token has a space in the middle."),
        ("ot_ptk_c4n4r\u0443", "This token has 1 character that no token can have."),  # a Cyrillic letter
        ("ot_ptk_üö", "This token has 2 characters that no token can have."),
        ("ot_ptk_" + "x" * 194, "This has 201 characters; a token has at most 200."),
    ],
)
def test_token_is_refused_with_the_true_reason_and_not_repeated(text: str, words: str) -> None:
    said = reason(token, text)
    assert said.startswith(words)
    assert "c4n" not in said


@pytest.mark.parametrize(
    "text",
    ["whsec_c4n", "\u200b\u201cwhsec_c4n\u201d", '"secret": "whsec_c4n",', "OPENTRAIN_SECRET=whsec_c4n", "`whsec_c4n`"],
)
def test_signing_secret_is_taken_from_what_is_around_it(text: str) -> None:
    assert signing_secret(text) == "whsec_c4n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("whsec_c4n\nwhsec_c4n", "This contains 2 signing secrets. Paste only one signing secret."),
        (TOKEN, "This is an install token (ot_ptk_…), not a signing secret. Signing secrets begin with whsec_."),
        ("c4n", "This is not a signing secret. Signing secrets begin with whsec_."),
        ("whsec_", "This is only the beginning of a signing secret (whsec_)."),
        ("whsec_c4 n", "This signing secret has a space in the middle."),
        ("whsec_c4n\u00fc", "This signing secret has 1 character that no signing secret can have."),
        ("whsec_" + "x" * 295, "This has 301 characters; a signing secret has at most 300."),
    ],
)
def test_signing_secret_is_refused_with_the_true_reason_and_not_repeated(text: str, words: str) -> None:
    said = reason(signing_secret, text)
    assert said.startswith(words)
    assert "c4n" not in said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ""),
        ("dlv_1", "dlv_1"),
        ("“dlv_1”", "dlv_1"),
        ("ev\u200bt_1", "evt_1"),
        ("X-OpenTrain-Delivery: dlv_1", "dlv_1"),
        ('"deliveryId": "dlv_1",', "dlv_1"),
        ("event_id=evt_1", "evt_1"),
        ("requestId: 7b1c\u20102f", "7b1c-2f"),
        ('["dlv_1"]', "dlv_1"),
        ("order 1, part 2", "order 1, part 2"),
        (' "><img src=x>" ', '"><img src=x>"'),
        ("'", "'"),
        ("why did evt_12ab… fail?", "evt_12ab"),
        ("Why did “evt_12ab” fail?", "evt_12ab"),
        ("see\ndlv_7f3a\nand tell me", "dlv_7f3a"),
        ("evt_12ab and again evt_12ab.", "evt_12ab"),
        ("request 6f0bd6b4-6f8e-4f5e-9b0b-5f4a3f1d2c11 is stuck", "6f0bd6b4-6f8e-4f5e-9b0b-5f4a3f1d2c11"),
        ("EVT_12AB please", "EVT_12AB"),
        ("job_1001 (job)", "job_1001"),
        ("the whole thing", "the whole thing"),
        ("no_digits here", "no_digits here"),
        ("ana@job_1.example mailed", "ana@job_1.example mailed"),
    ],
)
def test_identifier_is_taken_from_what_is_around_it(text: str, found: str) -> None:
    assert identifier(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dlv_10001, dlv_10002", "This contains 2 IDs. Paste only one ID."),
        ("dlv_10001 dlv_10002 dlv_10003", "This contains 3 IDs. Paste only one ID."),
        ('"dlv_10001","dlv_10002"', "This contains 2 IDs. Paste only one ID."),
        ("dlv_1\r\ndlv_2", "This contains 2 lines. Paste only one ID."),
        ('["dlv_1", "dlv_2"]', "This contains a list of 2 values. Paste only one ID."),
        (TOKEN, "This contains a token, key or secret. Paste only the ID."),
        ("did evt_1 or evt_2 fail?", "This contains 2 IDs. Paste only one ID."),
    ],
)
def test_identifier_refuses_lists_and_secrets(text: str, words: str) -> None:
    assert reason(identifier, text) == words


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("evt_12ab", ("evt_12ab", "evt_12AB", "EVT_12AB")),
        ("Evt_12aB", ("Evt_12aB", "evt_12aB", "evt_12ab", "evt_12AB", "EVT_12AB")),
        ("EVT_12AB", ("EVT_12AB", "evt_12AB", "evt_12ab")),
        ("7B1C-2F", ("7B1C-2F", "7b1c-2f")),
        ("7b1c-2f", ("7b1c-2f", "7B1C-2F")),
        ("evt_12", ("evt_12", "EVT_12")),
        ("12", ("12",)),
        ("\u0130D_1", ("\u0130D_1",)),  # lower case would change its length
    ],
)
def test_spellings_are_as_given_first_then_in_lower_case_then_in_capitals(given: str, found: tuple[str, ...]) -> None:
    assert spellings(given) == found


def test_searched_ids_are_of_the_id_or_of_the_name() -> None:
    assert searched_ids("is Whe_7 slow?") == ("Whe_7", "whe_7", "WHE_7")
    assert searched_ids("acme labs") == ("acme labs", "ACME LABS")
    assert searched_ids("dlv_10001, dlv_10002") == ("dlv_10001, dlv_10002",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (" https://a.example/hook\n", "https://a.example/hook"),
        ("<https://a.example/hook>", "https://a.example/hook"),
        ("“https://a.example/hook”", "https://a.example/hook"),
        ("https://a.exam\u200bple/hook", "https://a.example/hook"),
        ('"https:\\/\\/a.example\\/hook",', "https://a.example/hook"),
        ("`https://a.example/x?q='a'`", "https://a.example/x?q='a'"),
        ("https://a.example/a b", "https://a.example/a b"),
    ],
)
def test_url_is_taken_from_what_is_around_it(text: str, found: str) -> None:
    assert url(text) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://a.example\nhttps://b.example", "This contains 2 lines. Paste only one URL."),
        ("https://a.example, https://b.example", "This contains 2 URLs. Paste only one URL."),
    ],
)
def test_url_refuses_several(text: str, words: str) -> None:
    assert reason(url, text) == words


@pytest.mark.parametrize(
    "text",
    [
        "ana@a.example",
        "\u200bana@a.example\u00a0",
        "<ana@a.example>",
        "mailto:ana@a.example",
        "mailto:ana@a.example?subject=x",
        "Ana Lee <ana@a.example>",
        '"Lee, Ana" <ana@a.example>,',
    ],
)
def test_mail_address_is_taken_from_what_is_around_it(text: str) -> None:
    assert mail_address(text) == "ana@a.example"


def test_mail_address_refuses_several() -> None:
    said = "This contains 2 addresses. Paste only one address."
    assert reason(mail_address, "ana@a.example; ben@a.example") == said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ""),
        ("123456", "123456"),
        (" 123 456\n", "123456"),
        ("123\u00a0456", "123456"),
        ("123\u200b456", "123456"),
        ("123\u2011456", "123456"),
        ("123\u2013456", "123456"),
        ("`123456`", "123456"),
        ("\uff11\uff12\uff13\uff14\uff15\uff16", "123456"),
        ("1234 5678", "12345678"),
    ],
)
def test_code_is_its_digits(text: str, found: str) -> None:
    assert code(text, lengths=(6, 8)) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("12345678\n87654321", "This contains 2 lines. Paste only one code."),
        ("12345678 87654321", "This has 16 digits. A code has 6 or 8: paste only one code."),
        ("12345", "This has 5 digits. A code has 6 or 8: paste only one code."),
        ("Your code is 123456", "A code has digits only. Paste only the code."),
    ],
)
def test_code_is_refused_with_the_true_reason(text: str, words: str) -> None:
    assert reason(lambda given: code(given, lengths=(6, 8)), text) == words


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_and_reading_twice_changes_nothing(text: str) -> None:
    assert bare(bare(text)) == bare(text)
    for read in (token, signing_secret, identifier, url, mail_address):
        try:
            found = read(text)
        except Unusable:
            continue
        assert read(found) == found


@pytest.mark.parametrize(
    "text", ["[" * 100_000 + "]" * 100_000, "\u200b" * 200_000, "'\"" * 100_000, "a:" * 100_000, "<a@" * 60_000]
)
def test_long_text_is_read_quickly(text: str) -> None:
    started = time.process_time()
    for read in (bare, values, token, identifier, url, mail_address):
        try:
            read(text)
        except Unusable:
            continue
    assert time.process_time() - started < 5
