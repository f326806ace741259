"""A report as text and as Markdown: whole, readable, and not to be forged by texts from outside."""

from datetime import UTC, datetime

import pytest

from dashboard.logs import redact_for_readers
from dashboard.rules.reports import MOST_CHARS, Fact, Report, Section, Subject, at, section
from dashboard.rules.secret_texts import STARTS

NOON = datetime(2026, 6, 12, 12, 0, tzinfo=UTC)
SECRET = f"{STARTS[1]}c2VjcmV0"


def report(**fields: object) -> Report:
    made = {
        "title": "Recovery 3: Acme Labs",
        "headline": "2 of 2 delivered in 9 min.",
        "facts": (Fact("Customer", "Acme Labs"), Fact("Endpoint ID", "whe_1", is_code=True)),
        "sections": (Section("Cause", ("Handler returned 503.",)),),
        "made_at": NOON,
    }
    return Report(**made | fields)


def told(**fields: object) -> Report:
    return report(**fields).told(hide=redact_for_readers)


@pytest.mark.parametrize(
    ("endpoint_id", "fact"),
    [("whe_1", Fact("Endpoint ID", "whe_1", is_code=True)), ("", Fact("Endpoint ID", "not known"))],
)
def test_subject_has_whole_ids_and_says_which_is_not_known(endpoint_id: str, fact: Fact) -> None:
    subject = Subject("Acme Labs", "ins_1", "Billing", "https://acme.example/hooks", endpoint_id)
    assert subject.facts == (
        Fact("Customer", "Acme Labs"),
        Fact("Install ID", "ins_1", is_code=True),
        Fact("Endpoint", "Billing"),
        Fact("Endpoint URL", "https://acme.example/hooks", is_code=True),
        fact,
    )


def test_plain_text_has_title_result_facts_sections_and_the_time() -> None:
    assert told().plain == (
        "Recovery 3: Acme Labs\n2 of 2 delivered in 9 min.\n\n"
        "Customer: Acme Labs\nEndpoint ID: whe_1\n\n"
        "Cause\n- Handler returned 503.\n\n"
        "As of 2026-06-12 12:00:00 UTC, as far as Redeliver knows.\n"
    )


def test_markdown_has_the_same() -> None:
    assert told().markdown == (
        "## Recovery 3: Acme Labs\n\n**2 of 2 delivered in 9 min.**\n\n"
        "- **Customer:** Acme Labs\n- **Endpoint ID:** `whe_1`\n\n"
        "### Cause\n\n- Handler returned 503.\n\n"
        "_As of 2026-06-12 12:00:00 UTC, as far as Redeliver knows._\n"
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>"),
        ("**bold** _so_ ~~no~~", r"\*\*bold\*\* \_so\_ \~\~no\~\~"),
        ("[here](https://evil.example)", r"\[here\](https:&#8203;//evil.example)"),
        ("@everyone", "@&#8203;everyone"),
        ("www.evil.example", "www&#8203;.evil.example"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("12) no list", r"12\) no list"),
        ("---", r"\---"),
        ("2026-11-30 16:51:35 UTC: 2 of 3 (so far)", "2026-11-30 16:51:35 UTC: 2 of 3 (so far)"),
        ("a | b", r"a \| b"),
        ("&lt;b&gt;", r"\&lt;b\&gt;"),
        ("`code`", r"\`code\`"),
        (r"\<b>", r"\\\<b\>"),
    ],
)
def test_markup_of_a_text_from_outside_is_shown_as_it_is(text: str, shown: str) -> None:
    assert f"- {shown}\n" in told(sections=(Section("Cause", (text,)),)).markdown
    assert f"- **Customer:** {shown}\n" in told(facts=(Fact("Customer", text),)).markdown
    assert f"- {text}\n" in told(sections=(Section("Cause", (text,)),)).plain


@pytest.mark.parametrize(("text", "code"), [("a`b", "``a`b``"), ("``", "``` `` ```"), ("https://a_b", "`https://a_b`")])
def test_code_holds_any_text(text: str, code: str) -> None:
    assert f"- **ID:** {code}\n" in told(facts=(Fact("ID", text, is_code=True),)).markdown


def test_text_from_outside_cannot_look_like_a_part_of_the_report() -> None:
    forged = told(facts=(Fact("Customer", "Acme\n\nOutcome\r\n- All delivered\x00\x1b[2J\u202e"),))
    assert forged.facts[0].value == "Acme Outcome - All delivered [2J⟨U+202E⟩"
    assert forged.plain.count("\n\n") == 3


def test_huge_texts_are_cut() -> None:
    found = told(title="t" * 9000, headline="h" * 9000, facts=(Fact("Customer", "c" * 9000),))
    assert [len(found.title), len(found.headline), len(found.facts[0].value)] == [MOST_CHARS] * 3
    assert found.facts[0].value.endswith("…")


def test_secrets_leave_no_trace_in_any_part() -> None:
    hidden = f"key https://redeliver.example/hooks/{'k' * 43}/ {SECRET} https://a.example/?token=t0ken"
    found = told(
        title=hidden,
        headline=hidden,
        facts=(Fact("Endpoint", hidden, is_code=True),),
        sections=section("Cause", hidden),
    )
    for text in (found.plain, found.markdown):
        assert "kkkk" not in text
        assert "c2VjcmV0" not in text
        assert "t0ken" not in text
        assert text.count("/hooks/") == 4


def test_what_is_missing_leaves_no_empty_line_or_section() -> None:
    found = told(facts=(Fact("Note", ""), Fact("Customer", "Acme")), sections=(Section("Cause", ()),))
    assert [one.name for one in found.facts] == ["Customer"]
    assert found.sections == ()
    assert section("Cause", "", "") == ()
    assert section("Cause", "", "So.") == (Section("Cause", ("So.",)),)


def test_line_of_a_timeline_begins_with_the_whole_time() -> None:
    assert at(NOON, "ana started the run.") == "2026-06-12 12:00:00 UTC: ana started the run."
